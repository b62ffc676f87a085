//! Gates that ask for proof: acceptance, rollback drill, and the links that people need at night.

use chrono::{DateTime, Utc};
use switchover::EnvironmentKind;

use crate::domain::environment::EnvironmentKey;
use crate::domain::evidence::{Evidence, EvidenceKind, Verdict};
use crate::domain::facts::Facts;
use crate::domain::gate::answer::{GateReport, GateState, fail, list, no_hosted, pass};
use crate::domain::rollout::Rollout;

/// Evidence for every hosted environment, taken in their order and since the last demotion.
pub(super) fn acceptance(facts: &Facts) -> GateReport {
    if facts.proof.hosted.is_empty() {
        return no_hosted("acceptance");
    }
    let mut begin = facts.proof.demoted_at;
    let mut proven: Vec<EnvironmentKey> = Vec::new();
    for rollout in &facts.proof.hosted {
        match proven_at(&facts.proof.evidence, &rollout.environment, begin) {
            Ok(at) => {
                begin = Some(at);
                proven.push(rollout.environment.clone());
            }
            Err(lacking) => return lacks(facts, &rollout.environment, lacking, &proven),
        }
    }
    pass(
        "acceptance",
        format!("passed in {}, in this order", list(&proven)),
    )
    .with("environments", proven.len())
}

/// What an environment lacks.
struct Lacking {
    kind: EvidenceKind,
    failed: bool,
    /// There is some, but from before the earlier environment was done or the last demotion.
    old: bool,
}

/// When the last of the three questions was answered, asking only evidence since `begin`.
fn proven_at(
    evidence: &[Evidence],
    environment: &EnvironmentKey,
    begin: Option<DateTime<Utc>>,
) -> Result<DateTime<Utc>, Lacking> {
    let mut last = begin.unwrap_or_default();
    for kind in EvidenceKind::ACCEPTANCE {
        let about = || {
            evidence
                .iter()
                .filter(|found| found.environment == *environment && found.kind == kind)
        };
        let failed_at = about()
            .filter(|found| found.verdict == Verdict::Fail)
            .map(|found| found.at)
            .max();
        let since = |found: &&Evidence| {
            found.verdict == Verdict::Pass && failed_at.is_none_or(|failed| found.at > failed)
        };
        let first = about()
            .filter(since)
            .map(|found| found.at)
            .filter(|at| begin.is_none_or(|begin| *at >= begin))
            .min();
        let Some(at) = first else {
            return Err(Lacking {
                kind,
                old: about().any(|found| since(&found)),
                failed: failed_at.is_some(),
            });
        };
        last = last.max(at);
    }
    Ok(last)
}

fn lacks(
    facts: &Facts,
    environment: &EnvironmentKey,
    lacking: Lacking,
    proven: &[EnvironmentKey],
) -> GateReport {
    let kind = lacking.kind.name();
    let why = if lacking.old {
        match proven.last() {
            Some(earlier) => format!("what there is was taken before {earlier} was done"),
            None => "what there is was taken before the last demotion".to_owned(),
        }
    } else if lacking.failed {
        "the newest says fail".to_owned()
    } else {
        "there is none".to_owned()
    };
    let route = &facts.route.spec.key;
    fail(
        "acceptance",
        format!("no passing evidence of {kind} in {environment}: {why}"),
        format!(
            "test it there, then: switchover evidence add {route} {environment} --kind {kind} \
             --verdict pass --summary …"
        ),
    )
    .with("environments", proven.len())
}

pub(super) fn rollback_drill(rollout: &Rollout, facts: &Facts) -> GateReport {
    let here = std::slice::from_ref(rollout);
    let asked = match facts.environment.kind {
        EnvironmentKind::Hosted => here,
        EnvironmentKind::OnPrem => facts.proof.hosted.as_slice(),
    };
    if asked.is_empty() {
        return no_hosted("rollback_drill");
    }
    let open = asked.iter().find(|rollout| !rollout.drill.is_complete());
    let Some(open) = open else {
        let names = asked.iter().map(|rollout| &rollout.environment);
        return pass(
            "rollback_drill",
            format!("halted and resumed around traffic in {}", list(names)),
        );
    };
    let (route, environment) = (&open.route, &open.environment);
    let (detail, command) = if open.drill.exposed_at.is_none() {
        let command = if facts.environment.is_guarded() {
            "acceptance ROUTE ENVIRONMENT --until … --percent …"
        } else {
            "setting ROUTE ENVIRONMENT on"
        };
        ("no call could take the new path yet", command)
    } else if open.drill.halted_at.is_none() {
        (
            "nobody has halted it while calls took the new path",
            "halt ROUTE ENVIRONMENT",
        )
    } else {
        (
            "it was halted, but not resumed with calls on the new path",
            "resume ROUTE ENVIRONMENT",
        )
    };
    let command = command
        .replace("ROUTE", route.as_str())
        .replace("ENVIRONMENT", environment.as_str());
    fail(
        "rollback_drill",
        format!("{environment}: {detail}"),
        format!("go on with the drill: switchover {command} --reason …"),
    )
}

/// One that is kept here can be read, so it has to say what whoever is woken needs; a link alone is
/// taken as it is.
pub(super) fn runbook(facts: &Facts) -> GateReport {
    let spec = &facts.route.spec;
    let key = &spec.key;
    let Some(kept) = &facts.proof.runbook else {
        let mut report = link(facts, "runbook", spec.links.runbook.as_ref());
        if report.state == GateState::Fail {
            report.detail = "none is kept here, and none is linked".to_owned();
            report.remedy = format!(
                "begin with `switchover runbook template {key}`, then: switchover runbook put {key} \
                 FILE --reason …; or {}",
                report.remedy
            );
        }
        return report;
    };
    let lacks = kept.lacks(&spec.flag, key);
    if lacks.is_empty() {
        return pass("runbook", format!("kept here, by {}", kept.put_by));
    }
    fail(
        "runbook",
        format!("the one that is kept here lacks {}", lacks.join("; and ")),
        format!("say it there, then: switchover runbook put {key} FILE --reason …"),
    )
}

pub(super) fn dashboard(facts: &Facts) -> GateReport {
    link(
        facts,
        "dashboard",
        facts.route.spec.links.dashboard.as_ref(),
    )
}

pub(super) fn alert(facts: &Facts) -> GateReport {
    link(facts, "alert", facts.route.spec.links.alert.as_ref())
}

pub(super) fn link(facts: &Facts, what: &'static str, link: Option<&String>) -> GateReport {
    match link {
        Some(link) => pass(what, link.clone()),
        None => fail(
            what,
            format!("no {what} is linked"),
            format!(
                "link it: switchover route update {} --{what} https://… --reason …",
                facts.route.spec.key
            ),
        ),
    }
}
