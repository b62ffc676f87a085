//! `watch`: follows a rollout as it happens.

mod line;

use std::str::FromStr;
use std::thread;
use std::time::{Duration, Instant};

use clap::Args;
use switchover::Stage;

use crate::cli::api::encode;
use crate::cli::args::TargetArgs;
use crate::cli::error::CliError;
use crate::cli::output::say;
use crate::cli::session::{SESSION_AGE, Session, note};
use crate::cli::wire::{AuditEntry, Guards, Page, Rollout};
use crate::config::{ClientArgs, FileArgs};

use line::{Line, Seen};

/// How often the server is asked.
const EVERY: Duration = Duration::from_secs(1);

/// The most entries of the record that are asked for at once.
const ENTRIES: u32 = 100;

/// The exit status when what was waited for is a halt.
const HALTED: u8 = 3;

#[derive(Args, Debug)]
pub(crate) struct WatchArgs {
    #[command(flatten)]
    target: TargetArgs,
    /// End when it is halted, when its ramp is finished, or at a stage: halted, finished,
    /// stage=opt_out; the first of several that happens
    #[arg(long, value_name = "WHAT")]
    until: Vec<Until>,
    #[command(flatten)]
    client: ClientArgs,
}

/// What is waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Until {
    Halted,
    Finished,
    At(Stage),
}

impl FromStr for Until {
    type Err = String;

    fn from_str(text: &str) -> Result<Until, String> {
        let stage = text.strip_prefix("stage=").map(str::parse);
        match (text, stage) {
            ("halted", _) => Ok(Until::Halted),
            ("finished", _) => Ok(Until::Finished),
            (_, Some(Ok(stage))) => Ok(Until::At(stage)),
            _ => Err("is halted, finished, or a stage such as stage=opt_out".to_owned()),
        }
    }
}

impl Until {
    fn holds(self, rollout: &Rollout, has_finished: bool) -> bool {
        match self {
            Until::Halted => rollout.halt.is_some(),
            Until::Finished => {
                let ramp = rollout.ramp.as_ref();
                has_finished || ramp.is_some_and(|ramp| ramp.state == "finished")
            }
            Until::At(stage) => rollout.stage >= stage,
        }
    }
}

pub(crate) fn run(file: &FileArgs, args: &WatchArgs) -> Result<(), CliError> {
    let (mut session, mut opened) = (Session::open(file, &args.client)?, Instant::now());
    let mut seen: Option<Seen> = None;
    let mut lost = false;
    let mut has_finished = false;
    loop {
        match look(&session, args, seen.as_ref()) {
            Ok((now, entries)) => {
                lost = false;
                has_finished |= entries.iter().any(|entry| entry.action == "ramp_finish");
                for line in lines(seen.as_ref(), &now, &entries) {
                    tell(&session, args, &line)?;
                }
                for until in &args.until {
                    if until.holds(&now.rollout, has_finished) {
                        return match until {
                            Until::Halted => Err(CliError::Ended(HALTED)),
                            Until::Finished | Until::At(_) => Ok(()),
                        };
                    }
                }
                seen = Some(now);
            }
            // What it was before stays what is known, and is gone on from.
            Err(error) if seen.is_some() && is_passing(&error) => {
                if !lost {
                    note(&format!("switchover: {error}\n  still trying"));
                }
                lost = true;
            }
            Err(error) => return Err(error),
        }
        thread::sleep(EVERY);
        if opened.elapsed() > SESSION_AGE {
            (session, opened) = (Session::open(file, &args.client)?, Instant::now());
        }
    }
}

/// The rollout and its guards as they are, and what is new on record, oldest first.
fn look(
    session: &Session,
    args: &WatchArgs,
    before: Option<&Seen>,
) -> Result<(Seen, Vec<AuditEntry>), CliError> {
    let target = &args.target;
    let rollout: Rollout = session.ask(&target.path(), &[])?.read()?;
    let changed = before.is_none_or(|before| before.rollout.revision != rollout.revision);
    let entries = if changed {
        newest(session, target, before)?
    } else {
        Vec::new()
    };
    let guards = match session.ask(&target.below("guards"), &[]) {
        Ok(reply) => reply.read::<Guards>()?,
        // An older server keeps no guards.
        Err(CliError::Refused(problem)) if problem.status == 404 => Guards::default(),
        Err(other) => return Err(other),
    };
    let last = entries.last().map(|entry| entry.seq);
    let known = before.map_or(0, |before| before.last);
    let seen = Seen {
        rollout,
        guards: guards.guards,
        last: last.unwrap_or(known).max(known),
    };
    Ok((seen, entries))
}

fn newest(
    session: &Session,
    target: &TargetArgs,
    before: Option<&Seen>,
) -> Result<Vec<AuditEntry>, CliError> {
    let path = format!("/routes/{}/history", encode(&target.route));
    // What happened before is history.
    let limit = if before.is_some() { ENTRIES } else { 1 };
    let query = [
        ("environment", target.environment.clone()),
        ("limit", limit.to_string()),
    ];
    let reply = session.ask(&path, &query)?;
    let mut entries = reply.read::<Page<AuditEntry>>()?.items;
    entries.retain(|entry| before.is_none_or(|before| entry.seq > before.last));
    entries.reverse();
    Ok(entries)
}

fn lines(before: Option<&Seen>, now: &Seen, entries: &[AuditEntry]) -> Vec<Line> {
    match before {
        None => vec![Line::first(now)],
        Some(before) => Line::between(before, now, entries),
    }
}

fn tell(session: &Session, args: &WatchArgs, line: &Line) -> Result<(), CliError> {
    if session.is_json() {
        say(line
            .json(&args.target.route, &args.target.environment)
            .to_string())
    } else {
        say(line.text())
    }
}

/// Whether it may be over by itself.
pub(crate) fn is_passing(error: &CliError) -> bool {
    match error {
        CliError::Unreachable { .. } => true,
        CliError::Refused(problem) => problem.status >= 500 || problem.status == 429,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_waited_for_is_read() {
        for (text, until) in [
            ("halted", Until::Halted),
            ("finished", Until::Finished),
            ("stage=opt_out", Until::At(Stage::OptOut)),
        ] {
            assert_eq!(text.parse(), Ok(until));
        }
        for wrong in ["", "opt_out", "stage", "stage=", "stage=soon", "Halted"] {
            assert!(wrong.parse::<Until>().is_err(), "{wrong}");
        }
    }
}
