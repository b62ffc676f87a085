//! `backfill`: how far it is; paused, resumed, reset.

use std::io::{self, IsTerminal as _};
use std::thread;
use std::time::{Duration, Instant};

use clap::{Args, Subcommand};
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::json;

use crate::cli::args::{ReasonArgs, TargetArgs};
use crate::cli::error::CliError;
use crate::cli::output::{count, moment, one_line, say};
use crate::cli::session::{SESSION_AGE, Session};
use crate::cli::wire::{Backfill, OfStores, Page, Stores};
use crate::config::{ClientArgs, FileArgs};

/// How often one that is followed is looked at.
const EVERY: Duration = Duration::from_secs(1);

#[derive(Debug, Subcommand)]
pub(crate) enum BackfillCommand {
    /// How far the backfill of a route is, and how its two stores stand
    Status(StatusArgs),
    /// Let it wait after the batch that is under way
    Pause(OrderArgs),
    /// Let it go on
    Resume(OrderArgs),
    /// Make it void: it has to be run again from the first key
    Reset(OrderArgs),
}

#[derive(Args, Debug)]
pub(crate) struct StatusArgs {
    #[command(flatten)]
    target: TargetArgs,
    /// Look again every second until it is complete
    #[arg(long)]
    follow: bool,
    #[command(flatten)]
    client: ClientArgs,
}

#[derive(Args, Debug)]
pub(crate) struct OrderArgs {
    #[command(flatten)]
    target: TargetArgs,
    #[command(flatten)]
    reason: ReasonArgs,
    #[command(flatten)]
    client: ClientArgs,
}

pub(crate) fn run(file: &FileArgs, command: &BackfillCommand) -> Result<(), CliError> {
    match command {
        BackfillCommand::Status(args) => status(file, args),
        BackfillCommand::Pause(args) => order(file, args, "pause"),
        BackfillCommand::Resume(args) => order(file, args, "resume"),
        BackfillCommand::Reset(args) => order(file, args, "reset"),
    }
}

fn status(file: &FileArgs, args: &StatusArgs) -> Result<(), CliError> {
    let (mut session, mut opened) = (Session::open(file, &args.client)?, Instant::now());
    let bar = bar(args.follow && !session.is_json());
    loop {
        let reply = session.get(&args.target.path(), &[])?;
        let stores = reply.read::<OfStores>()?.stores;
        let backfill = stores.as_ref().and_then(|stores| stores.backfill.as_ref());
        let is_over = backfill.is_none_or(|it| it.state == "complete" || it.state == "reset");
        if !args.follow || is_over {
            bar.finish_and_clear();
            return session.show(&reply, |_, found: OfStores| {
                told(&args.target, found.stores.as_ref())
            });
        }
        if let Some(backfill) = backfill {
            show(&session, &bar, backfill)?;
        }
        thread::sleep(EVERY);
        if opened.elapsed() > SESSION_AGE {
            (session, opened) = (Session::open(file, &args.client)?, Instant::now());
        }
    }
}

/// A bar on a terminal; else a line each second.
fn show(session: &Session, bar: &ProgressBar, backfill: &Backfill) -> Result<(), CliError> {
    if session.is_json() {
        return Ok(());
    }
    if bar.is_hidden() {
        return say(line(backfill));
    }
    if let Some(total) = backfill.total {
        bar.set_length(total.max(backfill.keys));
    }
    bar.set_position(backfill.keys);
    bar.set_message(line(backfill));
    Ok(())
}

fn bar(is_wanted: bool) -> ProgressBar {
    if !is_wanted || !io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let bar = ProgressBar::new(0);
    if let Ok(style) = ProgressStyle::with_template("{wide_bar} {percent} %\n{msg}") {
        bar.set_style(style);
    }
    bar
}

/// How far a backfill is, as one line.
fn line(backfill: &Backfill) -> String {
    let mut text = backfill.state.clone();
    match backfill.total {
        Some(total) => text.push_str(&format!(", {} of about {total} keys", backfill.keys)),
        None => text.push_str(&format!(", {} keys", backfill.keys)),
    }
    text.push_str(&format!(", {} copied", backfill.copied));
    if backfill.failed > 0 {
        text.push_str(&format!(", {} failed", backfill.failed));
    }
    if let Some(rate) = backfill.keys_per_second {
        text.push_str(&format!(", {rate:.0}/s"));
    }
    if let Some(left) = backfill.seconds_left {
        text.push_str(&format!(", {} left", time(left)));
    }
    text
}

fn time(seconds: f64) -> String {
    if seconds < 90.0 {
        format!("{seconds:.0} s")
    } else if seconds < 5_400.0 {
        format!("{:.0} min", seconds / 60.0)
    } else {
        format!("{:.1} h", seconds / 3_600.0)
    }
}

fn told(target: &TargetArgs, stores: Option<&Stores>) -> String {
    let (route, environment) = (&target.route, &target.environment);
    let Some(stores) = stores else {
        return format!(
            "{route} in {environment}: only routes whose operation is write have two stores"
        );
    };
    let mut text = format!("{route} in {environment}");
    let mut add = |line: String| text.push_str(&format!("\n  {}", one_line(&line)));
    match &stores.backfill {
        None => add("backfill: none was begun; the application runs it".to_owned()),
        Some(backfill) => {
            add(format!(
                "backfill: {}, run by {}",
                line(backfill),
                backfill.runner
            ));
            if let Some(said) = &backfill.said {
                add(format!("  {}: {}", said.by, said.reason));
            }
            if backfill.state == "complete" && !stores.backfill_complete {
                add("  it does not count: writes were not all copied since it began".to_owned());
            }
        }
    }
    if !stores.mirrored {
        add("mirror: NOT EVERY WRITE IS COPIED".to_owned());
    }
    if stores.diverged {
        add("mirror: WRITES WERE LEFT OUT while it was off: run the backfill again".to_owned());
    }
    match &stores.consistency {
        None => add("rows compared: never".to_owned()),
        Some(seen) => {
            let failed = match seen.failed {
                0 => String::new(),
                failed => format!(", {failed} could not be compared"),
            };
            let old = match stores.consistent || seen.differing > 0 || seen.failed > 0 {
                true => "",
                false => "; since then the mirror was changed",
            };
            add(format!(
                "rows compared: {} of {} differ{failed} ({} run of {}{old})",
                seen.differing,
                seen.compared,
                seen.kind,
                moment(seen.at)
            ));
        }
    }
    let mut repairs = format!(
        "repairs: {} open, {} given up, {} for a person to decide",
        stores.open_repairs, stores.failed_repairs, stores.conflicts
    );
    if let Some(seconds) = stores.oldest_repair_seconds {
        repairs.push_str(&format!("; the oldest is {seconds} s old"));
    }
    add(repairs);
    for doubt in &stores.unverified {
        let since = moment(doubt.since);
        add(format!(
            "UNVERIFIED since {since}: {}, says {}",
            doubt.why, doubt.by
        ));
    }
    text
}

fn order(file: &FileArgs, args: &OrderArgs, what: &str) -> Result<(), CliError> {
    let session = Session::open(file, &args.client)?;
    let list = args.target.below("backfills");
    let latest: Page<Backfill> = session.list(&list, &[], Some(1))?.read()?;
    let (route, environment) = (&args.target.route, &args.target.environment);
    let Some(backfill) = latest.items.first() else {
        return Err(CliError::new(format!(
            "{route} in {environment} has no backfill: the application begins it"
        )));
    };
    let body = json!({ "reason": args.reason.reason });
    let reply = session.post(&format!("{list}/{}/{what}", backfill.id), &body)?;
    session.show(&reply, |_, after: Backfill| {
        let keys = usize::try_from(after.keys).unwrap_or(usize::MAX);
        let state = &after.state;
        format!(
            "{route} in {environment}: the backfill is {state}, after {}",
            count(keys, "key")
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::wire::{Doubt, Said};

    fn backfill() -> Backfill {
        Backfill {
            id: "1".to_owned(),
            state: "running".to_owned(),
            runner: "7f3c".to_owned(),
            keys: 4_000,
            copied: 3_990,
            failed: 2,
            total: Some(10_000),
            keys_per_second: Some(812.4),
            seconds_left: Some(7.4),
            said: Some(Said {
                by: "otto".to_owned(),
                reason: "night\nis over".to_owned(),
            }),
        }
    }

    #[test]
    fn stores_are_told() {
        let target = TargetArgs {
            route: "save_item".to_owned(),
            environment: "dev".to_owned(),
        };
        let stores = Stores {
            mirrored: true,
            backfill_complete: false,
            consistent: false,
            backfill: Some(backfill()),
            consistency: None,
            open_repairs: 2,
            failed_repairs: 0,
            conflicts: 0,
            oldest_repair_seconds: Some(12),
            unverified: vec![Doubt {
                why: "spool_full".to_owned(),
                since: chrono::DateTime::from_timestamp(1_800_000_000, 0).unwrap(),
                by: "web-1".to_owned(),
            }],
            diverged: false,
        };
        insta::assert_snapshot!(told(&target, Some(&stores)), @r"
        save_item in dev
          backfill: running, 4000 of about 10000 keys, 3990 copied, 2 failed, 812/s, 7 s left, run by 7f3c
            otto: night is over
          rows compared: never
          repairs: 2 open, 0 given up, 0 for a person to decide; the oldest is 12 s old
          UNVERIFIED since 2027-01-15 08:00:00Z: spool_full, says web-1
        ");
        assert_eq!(time(89.0), "89 s");
        assert_eq!(time(600.0), "10 min");
        assert_eq!(time(7_200.0), "2.0 h");
    }
}
