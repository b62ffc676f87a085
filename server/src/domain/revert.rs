//! What would undo a change of a rollout that is on record. Nothing is undone by itself: a person is
//! shown the command, and orders it like any other.

use serde::de::DeserializeOwned;
use serde_json::Value;
use switchover::{Setting, Stage};

use crate::domain::audit::AuditEntry;
use crate::domain::exposure::Cohort;
use crate::domain::lifecycle::Command;
use crate::domain::ramp::Ramp;
use crate::domain::rollout::{AcceptanceWindow, Halt, Mirroring, Rollout};

/// The command that would undo an entry of the record, as the rollout is now.
///
/// # Errors
/// Why none does, and what would help, as a person reads it.
pub fn undoing(entry: &AuditEntry, now: &Rollout) -> Result<Command, String> {
    let is_its = entry.route.as_deref() == Some(now.route.as_str())
        && entry.environment.as_deref() == Some(now.environment.as_str());
    if !is_its {
        return Err("it is no change of this rollout".to_owned());
    }
    match entry.action.as_str() {
        "promote" | "break_glass_promote" => promoted(entry, now),
        "demote" | "break_glass_demote" => demoted(entry, now),
        "halt" => halted(entry, now),
        "resume" => match now.halt {
            None => Ok(Command::Halt),
            Some(_) => Err("it is halted already".to_owned()),
        },
        "setting" | "ramp_start" | "ramp_advance" => set(entry, now),
        "cohorts" => cohorts(entry, now),
        "mirror" | "mirror_stop" => mirrored(entry, now),
        "acceptance_open" => opened(entry, now),
        "acceptance_close" => Err("a window that is closed stays closed: open another".to_owned()),
        "ramp_plan" => planned(entry, now),
        "ramp_pause" => paused(entry, now),
        "ramp_resume" => resumed(now),
        "ramp_finish" => Err("the end of a ramp moves no key: there is nothing to undo".to_owned()),
        "flip_hold" | "flip_abandoned" => {
            Err("it was only announced: no key has moved with it".to_owned())
        }
        _ => Err("nothing undoes this kind of change by one command".to_owned()),
    }
}

fn promoted(entry: &AuditEntry, now: &Rollout) -> Result<Command, String> {
    let (from, to): (Stage, Stage) = both(entry, "stage")?;
    if now.stage != to {
        return Err(elsewhere(now));
    }
    Ok(Command::Demote {
        to: from,
        break_glass: to == Stage::Mandatory,
        halt: false,
    })
}

fn demoted(entry: &AuditEntry, now: &Rollout) -> Result<Command, String> {
    let (from, to): (Stage, Stage) = both(entry, "stage")?;
    if now.stage != to {
        return Err(elsewhere(now));
    }
    if to.next() != Some(from) {
        return Err(format!(
            "it led back more than one stage: promote stage by stage, as far as {from}"
        ));
    }
    Ok(Command::Promote {
        to: from,
        break_glass: false,
    })
}

fn elsewhere(now: &Rollout) -> String {
    format!("the stage has changed since: it is {} now", now.stage)
}

fn set(entry: &AuditEntry, now: &Rollout) -> Result<Command, String> {
    let (from, to): (Setting, Setting) = both(entry, "setting")?;
    not_mandatory(now)?;
    if now.setting != to {
        return Err("the setting has changed since".to_owned());
    }
    differs(from != to)?;
    Ok(Command::Set(from))
}

fn cohorts(entry: &AuditEntry, now: &Rollout) -> Result<Command, String> {
    let include: (Cohort, Cohort) = both(entry, "include")?;
    let exclude: (Cohort, Cohort) = both(entry, "exclude")?;
    not_mandatory(now)?;
    let names = ["include_cohorts", "exclude_cohorts"];
    let named = names.iter().any(|name| {
        let used = entry.before.get(name).and_then(Value::as_array);
        used.is_some_and(|used| !used.is_empty())
    });
    if named {
        return Err(
            "cohorts with a name were used, and their keys may have changed since: set them by hand"
                .to_owned(),
        );
    }
    if now.include != include.1 || now.exclude != exclude.1 {
        return Err("the keys that are treated apart have changed since".to_owned());
    }
    differs(include.0 != include.1 || exclude.0 != exclude.1 || !now.uses.cohorts().is_empty())?;
    Ok(Command::SetCohorts {
        include: include.0,
        exclude: exclude.0,
    })
}

fn mirrored(entry: &AuditEntry, now: &Rollout) -> Result<Command, String> {
    let (from, to): (Mirroring, Mirroring) = both(entry, "mirror")?;
    if now.mirror.shares != to.shares {
        return Err("the mirror has changed since".to_owned());
    }
    differs(from.shares != to.shares)?;
    Ok(Command::SetMirror(from.shares))
}

fn opened(entry: &AuditEntry, now: &Rollout) -> Result<Command, String> {
    let to: Option<AcceptanceWindow> = field(&entry.after, "acceptance")?;
    let is_open = match (&now.acceptance, &to) {
        (Some(now), Some(then)) => now.opened_at == then.opened_at,
        _ => false,
    };
    if is_open {
        Ok(Command::CloseWindow)
    } else {
        Err("the window is closed, or another is open".to_owned())
    }
}

fn planned(entry: &AuditEntry, now: &Rollout) -> Result<Command, String> {
    let (from, to): (Option<Ramp>, Option<Ramp>) = both(entry, "ramp")?;
    let steps = |ramp: &Option<Ramp>| ramp.as_ref().map(|ramp| ramp.steps.clone());
    if steps(&now.ramp) != steps(&to) {
        return Err("the ramp has changed since".to_owned());
    }
    match from {
        Some(before) => Ok(Command::PlanRamp(before.steps)),
        None => Err("there was no ramp before; one that nobody starts moves no key".to_owned()),
    }
}

fn halted(entry: &AuditEntry, now: &Rollout) -> Result<Command, String> {
    let to: Option<Halt> = field(&entry.after, "halt")?;
    match (&now.halt, &to) {
        (None, _) => Err("it has been resumed since".to_owned()),
        (Some(now), Some(then)) if now.at == then.at => Ok(Command::Resume),
        (Some(now), _) => Err(format!("it was halted anew since, by {}", now.by)),
    }
}

fn paused(entry: &AuditEntry, now: &Rollout) -> Result<Command, String> {
    let to: Option<Ramp> = field(&entry.after, "ramp")?;
    match (&now.ramp, to) {
        (Some(ramp), Some(then)) if ramp.name() == "paused" && ramp.state == then.state => {
            Ok(Command::ResumeRamp)
        }
        (Some(ramp), _) if ramp.name() == "paused" => {
            Err("the ramp was paused anew since".to_owned())
        }
        _ => Err("the ramp is not paused any more".to_owned()),
    }
}

fn resumed(now: &Rollout) -> Result<Command, String> {
    match &now.ramp {
        Some(ramp) if ramp.is_running() => Ok(Command::PauseRamp),
        _ => Err("the ramp does not run any more".to_owned()),
    }
}

fn not_mandatory(now: &Rollout) -> Result<(), String> {
    match now.stage {
        Stage::Mandatory => Err("it is mandatory since, where nothing is set".to_owned()),
        Stage::ReadyForTesting | Stage::OptIn | Stage::OptOut => Ok(()),
    }
}

fn differs(it_does: bool) -> Result<(), String> {
    match it_does {
        true => Ok(()),
        false => Err("it changed nothing that could be undone".to_owned()),
    }
}

/// What the record has of a field, before and after.
fn both<T: DeserializeOwned>(entry: &AuditEntry, name: &str) -> Result<(T, T), String> {
    Ok((field(&entry.before, name)?, field(&entry.after, name)?))
}

fn field<T: DeserializeOwned>(state: &Value, name: &str) -> Result<T, String> {
    let value = state.get(name).cloned();
    value
        .and_then(|value| serde_json::from_value(value).ok())
        .ok_or_else(|| format!("the record does not say what its {name} was"))
}

#[cfg(test)]
mod tests;
