//! `telemetry`: what callers report of a route, both paths side by side.

use std::thread;
use std::time::{Duration, Instant};

use clap::Args;

use crate::cli::api::Reply;
use crate::cli::args::TargetArgs;
use crate::cli::error::CliError;
use crate::cli::output::{Field, Screen, moment, say};
use crate::cli::session::{SESSION_AGE, Session, note};
use crate::cli::ttl;
use crate::cli::watch::is_passing;
use crate::cli::wire::{Counts, Paths, Telemetry};
use crate::config::{ClientArgs, FileArgs};

/// How often a live view is drawn.
const EVERY: Duration = Duration::from_secs(1);

#[derive(Args, Debug)]
pub(crate) struct TelemetryArgs {
    #[command(flatten)]
    target: TargetArgs,
    /// How far back: 90s, 30m, 8h, 7d
    #[arg(long, value_name = "TIME", value_parser = ttl::parse, default_value = "1h")]
    since: chrono::Duration,
    /// Look again every second, until interrupted; a line a second where this is no terminal
    #[arg(long)]
    live: bool,
    #[command(flatten)]
    client: ClientArgs,
}

pub(crate) fn run(file: &FileArgs, args: &TelemetryArgs) -> Result<(), CliError> {
    let mut session = Session::open(file, &args.client)?;
    if !args.live {
        let reply = session.get(&args.target.below("telemetry"), &args.query())?;
        return session.show(&reply, |screen, found: Telemetry| table(screen, &found));
    }
    let (mut opened, mut live) = (Instant::now(), Live::default());
    loop {
        match session.ask(&args.target.below("telemetry"), &args.query()) {
            Ok(reply) => live.show(&session, &reply)?,
            Err(error) if live.has_begun && is_passing(&error) => live.lose(&error),
            Err(error) => return Err(error),
        }
        thread::sleep(EVERY);
        if opened.elapsed() > SESSION_AGE {
            (session, opened) = (Session::open(file, &args.client)?, Instant::now());
        }
    }
}

impl TelemetryArgs {
    /// The server's clock says what now is.
    fn query(&self) -> [(&'static str, String); 1] {
        [("last", self.since.num_seconds().to_string())]
    }
}

/// What was shown before.
#[derive(Default)]
struct Live {
    has_begun: bool,
    is_lost: bool,
    /// Lines in a terminal that the next look stands in the place of.
    drawn: usize,
}

impl Live {
    fn show(&mut self, session: &Session, reply: &Reply) -> Result<(), CliError> {
        (self.has_begun, self.is_lost) = (true, false);
        if session.is_json() {
            return say(reply.text());
        }
        let found: Telemetry = reply.read()?;
        if !session.screen().is_terminal() {
            return say(line(&found));
        }
        let text = table(session.screen(), &found);
        // Up to where the one before began, and everything from there on is forgotten.
        let up = match self.drawn {
            0 => String::new(),
            lines => format!("\x1b[{lines}A\x1b[J"),
        };
        self.drawn = text.lines().count();
        say(format!("{up}{text}"))
    }

    /// The server is not there, and may come back.
    fn lose(&mut self, error: &CliError) {
        if !self.is_lost {
            note(&format!("switchover: {error}\n  still trying"));
            // What was said there is not drawn over.
            self.drawn = 0;
        }
        self.is_lost = true;
    }
}

fn table(screen: &Screen, found: &Telemetry) -> String {
    let columns = columns(&found.totals);
    let head = format!(
        "{} in {}, {} to {}",
        found.route,
        found.environment,
        moment(found.from),
        moment(found.to)
    );
    if columns.is_empty() {
        return format!("{head}\nnothing was reported");
    }
    let mut header = vec![""];
    header.extend(columns.iter().map(|(name, _)| *name));
    let row = |name: &str, value: &dyn Fn(&Counts) -> Field| {
        let mut row = vec![Field::from(name)];
        row.extend(columns.iter().map(|(_, counts)| value(counts)));
        row
    };
    let mut rows = vec![
        row("calls", &|counts| counts.calls.to_string().into()),
        row("failed", &failed),
        row("of these panics", &|counts| {
            counts.panics.to_string().into()
        }),
        row("cancelled", &|counts| counts.cancelled.to_string().into()),
        row("p50", &|counts| time(counts.p50_ms).into()),
        row("p95", &|counts| time(counts.p95_ms).into()),
        row("p99", &|counts| time(counts.p99_ms).into()),
    ];
    let mut limits: Vec<u32> = columns
        .iter()
        .flat_map(|(_, counts)| counts.slow.iter().map(|slow| slow.limit_ms))
        .collect();
    limits.sort_unstable();
    limits.dedup();
    for limit in limits {
        rows.push(row(&format!("over {limit} ms"), &|counts| {
            let mut slow = counts.slow.iter();
            let slow = slow.find(|slow| slow.limit_ms == limit);
            slow.map_or(String::new(), |slow| slow.slow.to_string())
                .into()
        }));
    }
    if columns.iter().any(|(_, counts)| counts.comparisons > 0) {
        rows.push(row("compared", &|counts| {
            counts.comparisons.to_string().into()
        }));
        rows.push(row("differed", &|counts| {
            counts.mismatches.to_string().into()
        }));
    }
    format!("{head}\n{}", screen.table(&header, rows))
}

/// What was counted. Both paths stand beside each other as soon as one of them has calls.
fn columns(paths: &Paths) -> Vec<(&'static str, &Counts)> {
    [
        ("old", &paths.old),
        ("new", &paths.new),
        ("old, mirror", &paths.old_mirror),
        ("new, mirror", &paths.new_mirror),
    ]
    .into_iter()
    .filter_map(|(name, counts)| Some((name, counts.as_ref()?)))
    .collect()
}

fn failed(counts: &Counts) -> Field {
    let failed = counts.errors.saturating_add(counts.panics);
    let text = match counts.error_rate {
        Some(rate) => format!("{failed} ({:.2} %)", rate * 100.0),
        None => failed.to_string(),
    };
    if failed > 0 {
        Field::bad(text)
    } else {
        text.into()
    }
}

fn time(milliseconds: Option<f64>) -> String {
    milliseconds.map_or(String::new(), |milliseconds| format!("{milliseconds} ms"))
}

/// One look, for who reads line by line.
fn line(found: &Telemetry) -> String {
    let mut parts = vec![moment(found.to)];
    for (name, counts) in columns(&found.totals) {
        let failed = counts.errors.saturating_add(counts.panics);
        let mut part = format!("{name}: {} calls, {failed} failed", counts.calls);
        if counts.p99_ms.is_some() {
            part.push_str(&format!(", p99 {}", time(counts.p99_ms)));
        }
        parts.push(part);
    }
    if parts.len() == 1 {
        parts.push("nothing was reported".to_owned());
    }
    parts.join("  ")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::cli::output::tests::pipe;

    fn found(totals: serde_json::Value) -> Telemetry {
        serde_json::from_value(json!({
            "route": "count_commits",
            "environment": "production",
            "from": "2026-01-05T09:00:00Z",
            "to": "2026-01-05T10:00:00Z",
            "totals": totals,
        }))
        .unwrap()
    }

    #[test]
    fn both_paths_stand_side_by_side() {
        let counts = |calls: u64, rate: f64, limits: serde_json::Value| {
            json!({
                "calls": calls, "errors": 10, "panics": 0, "cancelled": 0, "error_rate": rate,
                "p50_ms": 4.1, "p95_ms": 9.0, "p99_ms": 25.0, "slow": limits, "comparisons": 0,
                "mismatches": 0,
            })
        };
        let limits = json!([{ "limit_ms": 500, "calls": 10, "slow": 2 }]);
        let both = found(json!({
            "old": counts(1_000, 0.01, json!([])),
            "new": counts(10, 1.0, limits),
            "old_mirror": null,
            "new_mirror": null,
        }));
        insta::assert_snapshot!(table(&pipe(), &both), @r"
        count_commits in production, 2026-01-05 09:00:00Z to 2026-01-05 10:00:00Z
        |                 | old         | new           |
        |-----------------|-------------|---------------|
        | calls           | 1000        | 10            |
        | failed          | 10 (1.00 %) | 10 (100.00 %) |
        | of these panics | 0           | 0             |
        | cancelled       | 0           | 0             |
        | p50             | 4.1 ms      | 4.1 ms        |
        | p95             | 9 ms        | 9 ms          |
        | p99             | 25 ms       | 25 ms         |
        | over 500 ms     |             | 2             |
        ");
        insta::assert_snapshot!(
            line(&both),
            @"2026-01-05 10:00:00Z  old: 1000 calls, 10 failed, p99 25 ms  new: 10 calls, 10 failed, p99 25 ms"
        );
        let nothing = json!({ "old": null, "new": null, "old_mirror": null, "new_mirror": null });
        let nothing = found(nothing);
        assert!(table(&pipe(), &nothing).ends_with("\nnothing was reported"));
        assert!(line(&nothing).ends_with("  nothing was reported"));
    }
}
