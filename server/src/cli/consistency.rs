//! `consistency`: the rows of two stores are compared.

use std::thread;
use std::time::{Duration, Instant};

use clap::{Args, Subcommand};
use serde_json::json;

use crate::cli::args::{ReasonArgs, TargetArgs};
use crate::cli::error::CliError;
use crate::cli::output::{Field, Screen, moment, one_line};
use crate::cli::session::Session;
use crate::cli::ttl;
use crate::cli::wire::{ConsistencyRun, ConsistencySchedule, Page};
use crate::config::{ClientArgs, FileArgs};

/// How often one that is waited for is looked at.
const EVERY: Duration = Duration::from_millis(500);

#[derive(Debug, Subcommand)]
pub(crate) enum ConsistencyCommand {
    /// Have rows compared, by a process that writes the route
    Run(RunArgs),
    /// List what was compared, the latest first
    List(ListArgs),
    /// Say when rows are compared by themselves
    Schedule(ScheduleArgs),
}

#[derive(Args, Debug)]
pub(crate) struct WhatArgs {
    /// Compare every row, by checksums, in the place of a sample
    #[arg(long, conflicts_with = "sample")]
    checksum: bool,
    /// How many keys a sample has [default: 100]
    #[arg(long, value_name = "KEYS")]
    sample: Option<u64>,
}

#[derive(Args, Debug)]
pub(crate) struct RunArgs {
    #[command(flatten)]
    target: TargetArgs,
    #[command(flatten)]
    what: WhatArgs,
    /// Wait for what is found, at most so long: 90s, 30m; exit status 1 where rows differ
    #[arg(long, value_name = "TIME", value_parser = ttl::parse)]
    wait: Option<chrono::Duration>,
    #[command(flatten)]
    reason: ReasonArgs,
    #[command(flatten)]
    client: ClientArgs,
}

#[derive(Args, Debug)]
pub(crate) struct ListArgs {
    #[command(flatten)]
    target: TargetArgs,
    /// At most so many
    #[arg(long, default_value_t = 20)]
    limit: usize,
    #[command(flatten)]
    client: ClientArgs,
}

#[derive(Args, Debug)]
pub(crate) struct ScheduleArgs {
    #[command(flatten)]
    target: TargetArgs,
    /// How often: hourly, daily, never
    #[arg(long, value_parser = ["hourly", "daily", "never"])]
    every: String,
    #[command(flatten)]
    what: WhatArgs,
    #[command(flatten)]
    reason: ReasonArgs,
    #[command(flatten)]
    client: ClientArgs,
}

impl WhatArgs {
    fn kind(&self) -> &'static str {
        if self.checksum { "checksum" } else { "sample" }
    }
}

pub(crate) fn run(file: &FileArgs, command: &ConsistencyCommand) -> Result<(), CliError> {
    match command {
        ConsistencyCommand::Run(args) => order(file, args),
        ConsistencyCommand::List(args) => list(file, args),
        ConsistencyCommand::Schedule(args) => schedule(file, args),
    }
}

fn order(file: &FileArgs, args: &RunArgs) -> Result<(), CliError> {
    let session = Session::open(file, &args.client)?;
    let path = args.target.below("consistency");
    let body = json!({
        "kind": args.what.kind(),
        "sample": args.what.sample,
        "reason": args.reason.reason,
    });
    let reply = session.post(&path, &body)?;
    let Some(wait) = args.wait.and_then(|wait| wait.to_std().ok()) else {
        return session.show(&reply, |_, run: ConsistencyRun| told(&run));
    };
    let (id, began) = (reply.read::<ConsistencyRun>()?.id, Instant::now());
    loop {
        let page: Page<ConsistencyRun> = session.get(&path, &[])?.read()?;
        let run = page.items.into_iter().find(|run| run.id == id);
        let run = run.ok_or_else(|| CliError::new("the run is not on record any more"))?;
        let is_over = ["done", "failed"].contains(&run.state.as_str());
        if !is_over && began.elapsed() < wait {
            thread::sleep(EVERY);
            continue;
        }
        let is_good = run
            .result
            .as_ref()
            .is_some_and(|found| found.differing == 0 && found.failed == 0);
        if !is_good {
            return Err(CliError::new(told(&run)));
        }
        let all = session.get(&path, &[("limit", "1".to_owned())])?;
        return session.show(&all, |_, _: serde_json::Value| told(&run));
    }
}

fn told(run: &ConsistencyRun) -> String {
    let Some(found) = &run.result else {
        let why = run.detail.as_deref().unwrap_or(
            "the next process that writes the route takes it: see `switchover consistency list`",
        );
        return format!("{} run {}: {why}", run.kind, run.state);
    };
    let mut text = format!(
        "{} run: {} of {} rows compared differ",
        run.kind, found.differing, found.compared
    );
    if found.failed > 0 {
        text.push_str(&format!(", {} could not be compared", found.failed));
    }
    text.push_str(&format!(" ({})", found.verdict));
    for key in &found.keys {
        text.push_str(&format!("\n  {}", one_line(key)));
    }
    if let Some([old, new]) = found.checksums.as_deref() {
        text.push_str(&format!(
            "\n  old: {}\n  new: {}",
            one_line(old),
            one_line(new)
        ));
    }
    text
}

fn list(file: &FileArgs, args: &ListArgs) -> Result<(), CliError> {
    let session = Session::open(file, &args.client)?;
    let reply = session.list(&args.target.below("consistency"), &[], Some(args.limit))?;
    session.show(&reply, |screen, page: Page<ConsistencyRun>| {
        if page.items.is_empty() {
            return "nothing was compared yet: switchover consistency run --help".to_owned();
        }
        table(screen, &page.items)
    })
}

fn table(screen: &Screen, runs: &[ConsistencyRun]) -> String {
    let rows = runs.iter().map(|run| {
        let found = match (&run.result, &run.detail) {
            (Some(found), _) => {
                let text = format!("{} of {} differ", found.differing, found.compared);
                match found.differing + found.failed {
                    0 => Field::good(text),
                    _ => Field::bad(text),
                }
            }
            (None, Some(why)) => Field::bad(why.clone()),
            (None, None) => "".into(),
        };
        vec![
            moment(run.asked_at).into(),
            run.kind.clone().into(),
            run.state.clone().into(),
            found,
            run.by.clone().into(),
        ]
    });
    screen.table(&["asked", "kind", "state", "found", "by"], rows.collect())
}

fn schedule(file: &FileArgs, args: &ScheduleArgs) -> Result<(), CliError> {
    let session = Session::open(file, &args.client)?;
    let body = match args.every.as_str() {
        "never" => json!({ "every": null, "reason": args.reason.reason }),
        every => json!({
            "every": every,
            "kind": args.what.kind(),
            "sample": args.what.sample,
            "reason": args.reason.reason,
        }),
    };
    let reply = session.put(&args.target.below("consistency-schedule"), &body)?;
    session.show(&reply, |_, set: ConsistencySchedule| {
        let (route, environment) = (&args.target.route, &args.target.environment);
        match (&set.every, &set.kind) {
            (Some(every), Some(kind)) if kind == "sample" => format!(
                "{route} in {environment}: {every}, a sample of {} keys",
                set.sample.unwrap_or_default()
            ),
            (Some(every), _) => format!("{route} in {environment}: {every}, every row"),
            (None, _) => format!("{route} in {environment}: not by itself"),
        }
    })
}
