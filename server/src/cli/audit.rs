//! `audit`: the record of everything, and whether it is whole.

use clap::{Args, Subcommand};
use serde_json::{Value, json};
use switchover::Percent;

use crate::cli::error::CliError;
use crate::cli::output::{Field, Screen, moment};
use crate::cli::session::Session;
use crate::cli::wire::{AuditEntry, Page, Verification};
use crate::config::{ClientArgs, FileArgs};

#[derive(Args, Debug)]
#[command(args_conflicts_with_subcommands = true)]
pub(crate) struct AuditArgs {
    #[command(subcommand)]
    command: Option<AuditCommand>,
    /// Only on this route
    #[arg(long)]
    route: Option<String>,
    /// Only in this environment
    #[arg(long, value_name = "ENV")]
    environment: Option<String>,
    /// Only by this person
    #[arg(long, value_name = "SUBJECT")]
    by: Option<String>,
    /// Only of this kind, such as halt
    #[arg(long)]
    action: Option<String>,
    /// How many entries, newest first
    #[arg(long, value_name = "N", default_value = "50", value_parser = clap::value_parser!(u32).range(1..))]
    limit: u32,
    #[command(flatten)]
    client: ClientArgs,
}

#[derive(Debug, Subcommand)]
enum AuditCommand {
    /// Walk the whole record; exit status 1 when an entry does not fit
    Verify(VerifyArgs),
}

#[derive(Args, Debug)]
struct VerifyArgs {
    #[command(flatten)]
    client: ClientArgs,
}

pub(crate) fn run(file: &FileArgs, args: &AuditArgs) -> Result<(), CliError> {
    if let Some(AuditCommand::Verify(args)) = &args.command {
        return verify(file, args);
    }
    let session = Session::open(file, &args.client)?;
    let filters = [
        ("route", &args.route),
        ("environment", &args.environment),
        ("by", &args.by),
        ("action", &args.action),
    ];
    let query: Vec<_> = filters
        .into_iter()
        .filter_map(|(name, value)| Some((name, value.clone()?)))
        .collect();
    let limit = usize::try_from(args.limit).ok();
    let reply = session.list("/audit", &query, limit)?;
    session.show(&reply, entries)
}

/// Entries of the record, as they came: newest first.
pub(crate) fn entries(screen: &Screen, page: Page<AuditEntry>) -> String {
    if page.items.is_empty() {
        return "no entries".to_owned();
    }
    let rows = page.items.into_iter().map(row).collect();
    let header = [
        "seq",
        "at",
        "by",
        "action",
        "route",
        "environment",
        "what",
        "reason",
    ];
    screen.table(&header, rows)
}

fn verify(file: &FileArgs, args: &VerifyArgs) -> Result<(), CliError> {
    let session = Session::open(file, &args.client)?;
    let reply = session.post("/audit/verify", &json!({}))?;
    session.show(&reply, |_, found: Verification| told(&found))?;
    let found: Verification = reply.read()?;
    if found.intact {
        Ok(())
    } else {
        Err(CliError::No)
    }
}

fn told(found: &Verification) -> String {
    match (found.broken_at, &found.detail) {
        (Some(seq), detail) => format!(
            "BROKEN at entry {seq}: {}\n{} entries before it fit",
            detail.as_deref().unwrap_or("it does not fit"),
            found.entries
        ),
        (None, _) => format!("intact: all {} entries fit", found.entries),
    }
}

fn row(entry: AuditEntry) -> Vec<Field> {
    let action = if entry.action.contains("halt") || entry.action.contains("break_glass") {
        Field::bad(entry.action)
    } else {
        entry.action.into()
    };
    let what = what(&entry.before, &entry.after);
    vec![
        entry.seq.to_string().into(),
        moment(entry.at).into(),
        entry.by.into(),
        action,
        entry.route.unwrap_or_default().into(),
        entry.environment.unwrap_or_default().into(),
        what.into(),
        entry.reason.into(),
    ]
}

/// What changed of a rollout, in a few words; empty when it was something else.
fn what(before: &Value, after: &Value) -> String {
    let moved = |name: &str, told: fn(&Value) -> Option<String>| {
        let (from, to) = (told(before.get(name)?)?, told(after.get(name)?)?);
        (from != to).then(|| format!("{from} → {to}"))
    };
    let halt = match (before.get("halt"), after.get("halt")) {
        (Some(Value::Null), Some(Value::Object(_))) => Some("halted".to_owned()),
        (Some(Value::Object(_)), Some(Value::Null)) => Some("resumed".to_owned()),
        _ => None,
    };
    let parts = [
        moved("stage", |stage| Some(stage.as_str()?.to_owned())),
        moved("setting", setting),
        halt,
    ];
    let parts: Vec<String> = parts.into_iter().flatten().collect();
    parts.join(", ")
}

/// A setting as commands take it.
fn setting(setting: &Value) -> Option<String> {
    let mode = setting.get("mode")?.as_str()?;
    let percent = setting.get("percent").cloned();
    let percent = percent.and_then(|percent| serde_json::from_value::<Percent>(percent).ok());
    Some(match percent {
        Some(percent) => format!("{mode} {percent}"),
        None => mode.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_says_what_changed() {
        let state = |stage: &str, setting: Value, halt: Value| json!({ "stage": stage, "setting": setting, "halt": halt });
        let (default, ramp) = (
            json!({ "mode": "stage_default" }),
            json!({ "mode": "ramp", "percent": 10 }),
        );
        let start = state("opt_in", default.clone(), Value::Null);
        let ramped = state("opt_in", ramp, Value::Null);
        let halted = state("opt_in", default.clone(), json!({ "by": "ann" }));
        let back = state("ready_for_testing", default, json!({ "by": "ann" }));
        assert_eq!(what(&start, &ramped), "stage_default → ramp 10 %");
        assert_eq!(what(&start, &halted), "halted");
        assert_eq!(what(&halted, &start), "resumed");
        assert_eq!(what(&start, &back), "opt_in → ready_for_testing, halted");
        for (before, after) in [(&start, &start), (&Value::Null, &start)] {
            assert_eq!(what(before, after), "");
        }
    }
}
