//! How a rollout, and what happened to it, is told in a few words.

use switchover::Stage;

use crate::cli::output::{Field, count, moment, one_line};
use crate::cli::ramp;
use crate::cli::wire::{Mirror, Rollout, Setting, Transition};

/// A stage, short enough for a column per environment.
pub(crate) const fn short(stage: Stage) -> &'static str {
    match stage {
        Stage::ReadyForTesting => "testing",
        Stage::OptIn => "opt-in",
        Stage::OptOut => "opt-out",
        Stage::Mandatory => "mandatory",
    }
}

/// A rollout in one field: stage, share of the new path, halt.
pub(crate) fn brief(rollout: &Rollout) -> Field {
    let stage = short(rollout.stage);
    let share = rollout.exposure_percent;
    if rollout.halt.is_some() {
        return Field::bad(format!("{stage} {share} HALTED"));
    }
    let window = if rollout.acceptance.is_some() {
        " window"
    } else {
        ""
    };
    let ramp = rollout
        .ramp
        .as_ref()
        .filter(|ramp| ramp.state != "finished");
    let ramp = ramp.map_or_else(String::new, |it| format!(" ramp {}", ramp::brief(it)));
    let text = format!("{stage} {share}{window}{ramp}");
    match (rollout.stage, share.thousandths()) {
        (Stage::Mandatory, _) => Field::good(text),
        (_, 0) => Field::faint(text),
        _ => text.into(),
    }
}

/// What a change did.
pub(crate) fn told(transition: &Transition) -> String {
    let Transition {
        route, environment, ..
    } = transition;
    let (from, to) = (transition.from, transition.to);
    let what = if !transition.changed {
        format!("nothing to change, {to}")
    } else if from == to {
        format!("{}, {to}", transition.action)
    } else {
        format!("{from} -> {to}")
    };
    let mut text = format!(
        "{route} in {environment}: {what}, {}",
        state(&transition.rollout)
    );
    if transition.changed {
        text.push_str(&format!(" (version {})", transition.version));
    }
    for other in &transition.cascaded {
        let (from, to) = (other.from, other.to);
        text.push_str(&format!(
            "\n{} in {environment}: {from} -> {to}",
            other.route
        ));
    }
    for warning in &transition.warnings {
        text.push_str(&format!("\nwarning: {}", one_line(warning)));
    }
    text
}

/// Where a rollout stands beside its stage, in words.
pub(crate) fn state(rollout: &Rollout) -> String {
    let mut text = format!(
        "{}: {} on the new path",
        setting(&rollout.setting),
        rollout.exposure_percent
    );
    let (include, exclude) = (rollout.include.len(), rollout.exclude.len());
    if include + exclude > 0 {
        text.push_str(&format!(
            ", {} included and {exclude} excluded",
            count(include, "key")
        ));
    }
    for (what, cohorts) in [
        ("including", &rollout.include_cohorts),
        ("excluding", &rollout.exclude_cohorts),
    ] {
        if !cohorts.is_empty() {
            let names: Vec<&str> = cohorts.iter().map(String::as_str).collect();
            text.push_str(&format!(", {what} {}", names.join(" ")));
        }
    }
    if let Some(window) = &rollout.acceptance {
        let until = moment(window.until);
        text.push_str(&format!(
            ", acceptance window up to {} until {until}",
            window.percent
        ));
    }
    if let Some(mirror) = &rollout.mirror {
        text.push_str(&mirrored(mirror));
    }
    if let Some(ramp) = &rollout.ramp {
        text.push_str(&format!(", {}", ramp::state(ramp)));
    }
    if let Some(halt) = &rollout.halt {
        let at = moment(halt.at);
        text.push_str(&format!(
            ", HALTED since {at} by {}: {}",
            halt.by, halt.reason
        ));
    }
    text
}

/// A mirror in words; nothing where there is none.
fn mirrored(mirror: &Mirror) -> String {
    if let Some(stopped) = &mirror.stopped {
        let (by, reason) = (&stopped.by, &stopped.reason);
        return format!(", mirror STOPPED by {by}: {reason}");
    }
    let (read, write) = (mirror.read_percent, mirror.write_percent);
    if read.thousandths() + write.thousandths() == 0 {
        return String::new();
    }
    format!(", mirror {read} of reads and {write} of writes")
}

/// A setting, in words.
pub(crate) fn setting(setting: &Setting) -> String {
    match (setting.mode.as_str(), setting.percent) {
        ("stage_default", _) => "stage default".to_owned(),
        (mode, Some(percent)) => format!("{mode} {percent}"),
        (mode, None) => mode.to_owned(),
    }
}
