//! Gates that ask other people: approval, plan, external,
//! census.

use chrono::Duration;
use switchover::{EnvironmentKind, Stage};

use crate::domain::external::External;
use crate::domain::facts::{Deployed, Facts};
use crate::domain::gate::answer::{GateReport, fail, insufficient, list, pass, some, unreadable};
use crate::domain::policy::Rule;
use crate::domain::rollout::Rollout;

pub(super) fn approval(rule: &Rule, to: Stage, rollout: &Rollout, facts: &Facts) -> GateReport {
    let wanted = rule.number("count").unwrap_or(1.0);
    let counting = facts.counting_approvals(rollout, to);
    let given = u32::try_from(counting.len()).unwrap_or(u32::MAX);
    let detail = format!(
        "{given} of {wanted} approvals by maintainers other than {}",
        facts.actor.subject
    );
    let numbers = |report: GateReport| report.with("given", given).with("required", wanted);
    if f64::from(given) >= wanted {
        let names = list(counting.iter().map(|approval| &approval.approver));
        return numbers(pass("approval", format!("{detail}: {names}")));
    }
    let void: Vec<&str> = facts
        .proof
        .approvals
        .iter()
        .filter(|approval| approval.approver != facts.actor.subject)
        .filter(|approval| !counting.iter().any(|other| other.id == approval.id))
        .map(|approval| approval.approver.as_str())
        .collect();
    let detail = if void.is_empty() {
        detail
    } else {
        format!(
            "{detail}; void because something changed since: {}",
            list(void)
        )
    };
    let (route, environment) = (&facts.route.spec.key, &facts.environment.key);
    numbers(fail(
        "approval",
        detail,
        format!("ask a maintainer: switchover approve {route} {environment} --to {to}"),
    ))
}

pub(super) fn plan(to: Stage, facts: &Facts) -> GateReport {
    let route = &facts.route.spec.key;
    let Some(plan) = &facts.proof.plan else {
        return fail(
            "plan",
            "no plan is attached",
            format!("attach one: switchover plan put {route} plan.md --reason …"),
        );
    };
    let standing = plan.standing(to);
    if !standing.bound {
        // Nothing to do and nothing said are not the same.
        return insufficient(
            "plan",
            format!("no section of the plan is bound to {to}"),
            format!("bind one: switchover plan bind {route} SECTION {to} --reason …"),
        );
    }
    let (open, total) = (standing.open.len(), standing.total);
    let report = match standing.open.first() {
        None => pass("plan", format!("all {total} steps for {to} are done")),
        Some(first) => {
            let whose = first.owner.as_ref();
            let whose = whose.map_or(String::new(), |owner| format!(" ({owner})"));
            fail(
                "plan",
                format!(
                    "{open} of {total} steps for {to} are open, the first: {}{whose}",
                    shortened(&first.text)
                ),
                format!(
                    "do it, then: switchover plan check {route} {} --reason …",
                    first.id
                ),
            )
        }
    };
    report.with("open", open).with("steps", total)
}

pub(super) fn external(to: Stage, facts: &Facts) -> GateReport {
    let route = &facts.route.spec.key;
    let needed: Vec<_> = facts
        .proof
        .externals
        .iter()
        .filter(|external| external.is_needed_for(to))
        .collect();
    let open: Vec<_> = needed
        .iter()
        .filter(|external| external.confirmed.is_none())
        .collect();
    let names = |all: &[&External]| list(all.iter().map(|external| external.name.as_str()));
    let report = match open.first() {
        None if needed.is_empty() => pass(
            "external",
            format!("no outside dependency is named for {to}"),
        ),
        None => pass("external", format!("confirmed: {}", names(&needed))),
        Some(first) => fail(
            "external",
            format!("{} waits for {}", first.name.as_str(), first.owner),
            format!(
                "ask {}: switchover external confirm {route} {}",
                first.owner,
                first.name.as_str()
            ),
        ),
    };
    report
        .with("open", open.len())
        .with("dependencies", needed.len())
}

/// On hosted environments nobody may depend on an override that is about to die, be it in what was
/// imported or in an instance that runs; elsewhere the list is for who has to warn them.
pub(super) fn census(rule: &Rule, facts: &Facts) -> GateReport {
    let days = rule.number("days").unwrap_or(30.0);
    let (flag, environment) = (&facts.route.spec.flag, &facts.environment.key);
    let proof = &facts.proof;
    let on_prem = facts.environment.kind == EnvironmentKind::OnPrem;
    let fresh = proof
        .censuses
        .iter()
        .filter(|census| facts.now - census.taken_at <= Duration::hours(hours(days)));
    let sites = fresh.count();
    let none = Deployed::default();
    let running = proof.deployed.get(environment).unwrap_or(&none);
    // An old report of an override stands until the site says otherwise.
    let mut off: Vec<String> = proof
        .censuses
        .iter()
        .filter(|census| census.overrides.get(flag) == Some(&false))
        .map(|census| census.site.to_string())
        .collect();
    off.extend(running.off.iter().cloned());
    let holding = off.len();
    let report = if !on_prem && proof.unreadable {
        unreadable("census")
    } else if sites == 0 && running.instances == 0 {
        insufficient(
            "census",
            format!("no census of {environment} was taken in the last {days} days"),
            format!(
                "take one there (switchover census --help), then: switchover census import FILE \
                 --environment {environment} --reason …"
            ),
        )
    } else if on_prem && holding > 0 {
        pass(
            "census",
            format!(
                "{holding} of {sites} sites have {flag}=0 and will lose it: {}",
                list(&off)
            ),
        )
    } else if holding > 0 {
        fail(
            "census",
            format!("{flag}=0 is set in {}", some(&off)),
            format!("take {flag} away there, and take a census again"),
        )
    } else {
        let instances = match running.instances {
            0 => String::new(),
            running => format!(" and {running} running instances"),
        };
        pass(
            "census",
            format!("none of {sites} sites{instances} has {flag}=0"),
        )
    };
    let report = report.with("sites", sites).with("overrides", holding);
    if on_prem {
        report
    } else {
        report.with("instances", running.instances)
    }
}

fn hours(days: f64) -> i64 {
    #[expect(
        clippy::as_conversions,
        reason = "at most a year in hours, checked when read"
    )]
    let hours = (days * 24.0) as i64;
    hours
}

fn shortened(text: &str) -> String {
    const LONGEST: usize = 80;
    if text.chars().count() <= LONGEST {
        return text.to_owned();
    }
    let beginning: String = text.chars().take(LONGEST - 1).collect();
    format!("{beginning}…")
}
