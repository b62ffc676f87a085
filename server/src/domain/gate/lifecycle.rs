//! Gates about where the rollout stands and for how long: order, requires, incident, soak,
//! release.

use chrono::{DateTime, Duration, Utc};
use serde_json::json;
use switchover::Stage;

use crate::domain::environment::EnvironmentKey;
use crate::domain::facts::Facts;
use crate::domain::gate::answer::{GateReport, fail, list, pass};
use crate::domain::policy::Rule;
use crate::domain::rollout::Rollout;

pub(super) fn order(to: Stage, rollout: &Rollout, facts: &Facts) -> GateReport {
    let behind: Vec<&(EnvironmentKey, Stage)> = facts
        .proof
        .earlier
        .iter()
        .filter(|(_, stage)| *stage < to)
        .collect();
    let route = &facts.route.spec.key;
    match rollout.stage.next() {
        Some(next) if next == to && behind.is_empty() => pass(
            "order",
            format!("{to} is next, and every earlier environment has it"),
        ),
        Some(next) if next == to => {
            let names = list(behind.iter().map(|(key, stage)| format!("{key} ({stage})")));
            let first = behind.first().map_or("", |(key, _)| key.as_str());
            fail(
                "order",
                format!("{to} is next, but not reached in {names}"),
                format!("promote there first: switchover promote {route} {first} --reason …"),
            )
        }
        Some(next) => fail(
            "order",
            format!("the stage after {} is {next}, not {to}", rollout.stage),
            format!("promote to {next}: stages are not skipped"),
        ),
        None => fail(
            "order",
            "mandatory is the last stage",
            "nothing is left to promote",
        ),
    }
}

pub(super) fn requires(to: Stage, facts: &Facts) -> GateReport {
    let required = &facts.proof.required;
    let behind: Vec<String> = required
        .iter()
        .filter(|(_, stage)| *stage < to)
        .map(|(key, stage)| format!("{key} ({stage})"))
        .collect();
    if required.is_empty() {
        pass("requires", "requires no other route")
    } else if behind.is_empty() {
        pass(
            "requires",
            format!("every required route is at {to} or later here"),
        )
    } else {
        fail(
            "requires",
            format!("not at {to} here: {}", behind.join(", ")),
            "promote those first, or promote with `cascade`",
        )
    }
}

pub(super) fn incident(facts: &Facts) -> GateReport {
    match facts.freezes.first() {
        None => pass("incident", "no change freeze is open here"),
        Some(freeze) => fail(
            "incident",
            list(facts.freezes.iter().map(|freeze| freeze.described())),
            format!(
                "wait for its end, or have a maintainer close it: switchover freeze close {} \
                 --reason …",
                freeze.id
            ),
        ),
    }
}

pub(super) fn soak(rule: &Rule, rollout: &Rollout, facts: &Facts) -> GateReport {
    let (days, full_days) = soaking(rule, facts);
    let lasted = facts.now - rollout.changed_at;
    let numbers = |report: GateReport| {
        report
            .with("required_days", days.max(full_days))
            .with("elapsed_days", json!(tenths_of_days(lasted)))
    };
    if rollout.halt.is_some() {
        let (route, environment) = (&rollout.route, &rollout.environment);
        return numbers(fail(
            "soak",
            "the rollout is halted",
            format!("resume it: switchover resume {route} {environment} --reason …"),
        ));
    }
    let Some(due) = soak_ends(rule, rollout, facts) else {
        let (route, environment) = (&rollout.route, &rollout.environment);
        return numbers(fail(
            "soak",
            format!("not every key takes the new path, as it has to for {full_days} days"),
            format!(
                "raise it to the whole: switchover setting {route} {environment} on --reason …"
            ),
        ));
    };
    let detail = format!(
        "unchanged since {}, {} of {} days",
        rollout.changed_at.format("%Y-%m-%d %H:%M UTC"),
        tenths_of_days(lasted),
        days.max(full_days)
    );
    if due <= facts.now {
        return numbers(pass("soak", detail));
    }
    numbers(fail(
        "soak",
        detail,
        format!(
            "leave it as it is until {}",
            due.format("%Y-%m-%d %H:%M UTC")
        ),
    ))
}

/// When it will have been unchanged for long enough; `None` while time alone is not enough.
pub(super) fn soak_ends(rule: &Rule, rollout: &Rollout, facts: &Facts) -> Option<DateTime<Utc>> {
    let (days, full_days) = soaking(rule, facts);
    let is_total = || rollout.exposure(facts.environment.kind).is_total();
    let counts = rollout.halt.is_none() && (full_days <= 0.0 || is_total());
    counts.then(|| rollout.changed_at + span(days.max(full_days)))
}

/// For how many days it has to be unchanged, and for how many with every key on the new path.
fn soaking(rule: &Rule, facts: &Facts) -> (f64, f64) {
    let days = rule.number_in("days", facts.environment.kind);
    let full_days = rule.number("full_exposure_days");
    (days.unwrap_or_default(), full_days.unwrap_or_default())
}

/// Installations only get a stage with a release: the next step waits until one carries this one.
pub(super) fn release(rollout: &Rollout, facts: &Facts) -> GateReport {
    let (stage, environment) = (rollout.stage, &rollout.environment);
    let carrying = facts
        .proof
        .released
        .iter()
        .find(|frozen| frozen.stage == stage && frozen.frozen_at >= rollout.stage_since);
    match carrying {
        Some(frozen) => pass(
            "release",
            format!(
                "release {} carries it at {stage}, published {}",
                frozen.release,
                frozen.published_at.format("%Y-%m-%d %H:%M UTC")
            ),
        ),
        None => fail(
            "release",
            format!("no published release carries it at {stage} since it got there"),
            format!(
                "freeze and publish one: switchover release create NAME --environment \
                 {environment} --reason …, then: switchover release publish NAME --reason …"
            ),
        ),
    }
}

/// Days, to the second; a policy has at most a year of them.
fn span(days: f64) -> Duration {
    #[expect(
        clippy::as_conversions,
        reason = "at most a year in seconds; a policy was checked when it was read"
    )]
    let seconds = (days * 86_400.0).ceil() as i64;
    Duration::seconds(seconds)
}

fn tenths_of_days(lasted: Duration) -> f64 {
    let tenths = lasted.num_minutes() / 144;
    i32::try_from(tenths).map_or(f64::MAX, |tenths| f64::from(tenths) / 10.0)
}
