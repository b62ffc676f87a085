//! A rollout as it is, and what was done to one, in words.

use chrono::{DateTime, Utc};

use crate::domain::environment::Environment;
use crate::domain::lifecycle;
use crate::domain::rollout::Rollout;
use crate::domain::words::change;
use crate::service::{Changed, RouteWithRollouts};
use crate::web::words::{exact, setting_name, span, stage_name};

/// As it is now.
pub(super) fn state(
    rollout: &Rollout,
    environment: &Environment,
    now: DateTime<Utc>,
) -> Vec<(&'static str, String)> {
    let exposure = rollout.exposure(environment.kind);
    let since = span(now - rollout.stage_since);
    let mut facts = vec![
        (
            "Stage",
            format!("{}, for {since}", stage_name(rollout.stage)),
        ),
        ("Setting", setting_name(rollout.setting)),
        (
            "Keys that may take the new path",
            exposure.share.to_string(),
        ),
    ];
    if let Some(halt) = &rollout.halt {
        let since = span(now - halt.at);
        facts.push((
            "Halted",
            format!("{since} ago by {}: {}", halt.by, halt.reason),
        ));
    }
    let (included, excluded) = (rollout.include.len(), rollout.exclude.len());
    if included + excluded > 0 {
        let named = format!("{included} included, {excluded} excluded");
        facts.push(("Keys by name", named));
    }
    if let Some(ramp) = &rollout.ramp {
        let steps: Vec<String> = ramp
            .steps
            .iter()
            .map(|step| step.percent.to_string())
            .collect();
        facts.push(("Ramp", format!("{}: {}", ramp.name(), steps.join(" → "))));
    }
    let mirror = rollout.mirror.shares;
    if mirror != switchover::Mirror::default() {
        let told = format!("{} of reads, {} of writes", mirror.read, mirror.write);
        facts.push(("Mirror", told));
    }
    if let Some(window) = &rollout.acceptance {
        let told = format!("up to {} until {}", window.percent, exact(window.until));
        facts.push(("Acceptance window", told));
    }
    if rollout.data.hold.is_some() {
        let told = "keys are about to move between the two stores".to_owned();
        facts.push(("Under way", told));
    }
    facts
}

/// Where a route stands.
pub(super) fn standing(found: &RouteWithRollouts) -> Vec<(&'static str, String)> {
    let spec = &found.route.spec;
    let mut facts = vec![
        ("Owner", spec.owner.clone()),
        ("Flag", spec.flag.to_string()),
    ];
    if let Some(preparation) = found.route.preparation.as_ref().filter(|it| !it.is_ready()) {
        facts.push(("Preparation", preparation.at().join(", ")));
        facts.push(("Next", preparation.next_step(&spec.key)));
    }
    let stages = found.rollouts.iter();
    let stages = stages.map(|(rollout, environment)| {
        format!("{} in {}", stage_name(rollout.stage), environment.key)
    });
    let stages: Vec<String> = stages.collect();
    if !stages.is_empty() {
        facts.push(("Stages", stages.join(", ")));
    }
    facts
}

/// What has happened to a rollout.
pub(super) fn done(changed: &Changed) -> String {
    let (before, after) = (&changed.before, &changed.after);
    let name = format!("{} in {}", after.route, after.environment);
    if before == after {
        return format!("{name}: nothing was to be changed.");
    }
    if before.data.hold.is_none() && after.data.hold.is_some() {
        return format!(
            "{name}: announced. Keys move between the two stores within two seconds, or it is given up."
        );
    }
    let what = change(&lifecycle::state(before), &lifecycle::state(after));
    let also = match changed.cascaded.len() {
        0 => String::new(),
        1 => " One more route moved with it.".to_owned(),
        more => format!(" {more} more routes moved with it."),
    };
    match what.is_empty() {
        true => format!("{name}: done ({}).{also}", changed.action.replace('_', " ")),
        false => format!("{name}: {what}.{also}"),
    }
}
