//! What was reported in a span of time, as a sentence for the record.

use chrono::{DateTime, SecondsFormat, Utc};

use crate::domain::telemetry::{Tallies, Tally, Used};

/// Both paths side by side, and what the instances used before and during.
#[must_use]
pub fn described(
    (from, until): (DateTime<Utc>, DateTime<Utc>),
    tallies: &Tallies,
    (before, during): (&Used, &Used),
) -> String {
    let at = |at: DateTime<Utc>| at.to_rfc3339_opts(SecondsFormat::Secs, true);
    let mut parts = vec![
        path("old path", &tallies.old),
        path("new path", &tallies.new),
    ];
    for (name, tally) in [
        ("old path as mirror", &tallies.old_mirror),
        ("new path as mirror", &tallies.new_mirror),
    ] {
        if *tally != Tally::default() {
            parts.push(path(name, tally));
        }
    }
    parts.push(format!(
        "CPU of an instance in a minute {} before, {} during",
        cpu(before),
        cpu(during)
    ));
    parts.push(format!(
        "memory of an instance {} before, {} during",
        memory(before),
        memory(during)
    ));
    format!(
        "reported from {} to {}: {}",
        at(from),
        at(until),
        parts.join("; ")
    )
}

fn path(name: &str, tally: &Tally) -> String {
    let Some(failed) = tally.error_rate() else {
        return format!("{name}: no calls");
    };
    let mut text = format!(
        "{name}: {} calls, {:.2} % failed",
        tally.calls,
        failed * 100.0
    );
    for (share, name) in [(0.5, "p50"), (0.99, "p99")] {
        if let Some(milliseconds) = tally.quantile_ms(share) {
            text.push_str(&format!(", {name} {milliseconds} ms"));
        }
    }
    if tally.comparisons > 0 {
        let (compared, differed) = (tally.comparisons, tally.mismatches);
        text.push_str(&format!(", {differed} of {compared} results differed"));
    }
    text
}

fn cpu(used: &Used) -> String {
    match used.cpu_ms_per_minute() {
        Some(milliseconds) => format!("{milliseconds} ms"),
        None => "unknown".to_owned(),
    }
}

fn memory(used: &Used) -> String {
    const MIB: u64 = 1024 * 1024;
    match used.memory_mean() {
        Some(mean) => format!("{} MiB (at most {} MiB)", mean / MIB, used.memory_max / MIB),
        None => "unknown".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use chrono::TimeZone as _;

    use super::*;

    #[test]
    fn both_paths_stand_side_by_side() {
        let from = Utc.with_ymd_and_hms(2026, 1, 5, 10, 0, 0).unwrap();
        let until = Utc.with_ymd_and_hms(2026, 1, 5, 11, 0, 0).unwrap();
        let mut tallies = Tallies::default();
        tallies.old.calls = 1_000;
        tallies.old.errors = 1;
        tallies.old.latency.add(620, 1_000);
        tallies.new.calls = 10;
        tallies.new.panics = 1;
        tallies.new.comparisons = 9;
        tallies.new.mismatches = 2;
        let before = Used {
            minutes: 60,
            instances: 120,
            cpu_ms: 36_000,
            memory_max: 3 << 20,
            memory_sum: 4 << 20,
            memory_samples: 2,
        };
        insta::assert_snapshot!(
            described((from, until), &tallies, (&before, &Used::default())),
            @"reported from 2026-01-05T10:00:00Z to 2026-01-05T11:00:00Z: old path: 1000 calls, 0.10 % failed, p50 11.665 ms, p99 11.665 ms; new path: 10 calls, 10.00 % failed, 2 of 9 results differed; CPU of an instance in a minute 300 ms before, unknown during; memory of an instance 2 MiB (at most 3 MiB) before, unknown during"
        );
    }
}
