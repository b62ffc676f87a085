//! Building what is published, without any network.

use std::time::Instant;

use switchover::{EnvironmentKind, Rollout, Stage};
use switchover_server::publish::Published;
use switchover_server::store::PublishedChanges;

use crate::{headline, millis, quantile, row};

const ROUTES: u64 = 10_000;

pub(crate) fn run() {
    headline("publishing: 10,000 routes, in one process");
    let environment = "production".parse().unwrap();
    let next = |before: Option<&Published>, changes: PublishedChanges| {
        let kind = EnvironmentKind::Hosted;
        Published::next(before, &environment, kind, "0123456789abcdef", changes).unwrap()
    };
    let full = next(None, all());
    let rebuilt = timed(|| drop(next(None, all())), all);
    row(
        "snapshot of 10,000 routes rebuilt, p50 / p99",
        &format!(
            "{:.1} / {:.1} ms",
            quantile(&rebuilt, 0.5),
            quantile(&rebuilt, 0.99)
        ),
        "20 ms",
    );
    let one = || PublishedChanges {
        revision: 2,
        changes: vec![(key(5_000), 2, rollout(5_000, Stage::OptIn))],
    };
    let changed = timed(|| drop(next(Some(&full), one())), || ());
    let delta = next(Some(&full), one())
        .event_from(Some(full.version()))
        .unwrap();
    row(
        "one change published, p50 / p99",
        &format!(
            "{:.1} / {:.1} ms",
            quantile(&changed, 0.5),
            quantile(&changed, 0.99)
        ),
        "20 ms",
    );
    row(
        "its delta, beside the full snapshot",
        &format!("{} / {} bytes", delta.len(), full.snapshot().len()),
        "proportional to the change",
    );
}

/// Milliseconds of 50 runs, sorted, less what making the input costs.
fn timed<T>(mut work: impl FnMut(), mut input: impl FnMut() -> T) -> Vec<f64> {
    let mut times: Vec<f64> = (0..50)
        .map(|_| {
            let started = Instant::now();
            drop(input());
            let making = started.elapsed();
            let started = Instant::now();
            work();
            millis(started.elapsed().saturating_sub(making))
        })
        .collect();
    times.sort_by(f64::total_cmp);
    times
}

fn all() -> PublishedChanges {
    PublishedChanges {
        revision: 1,
        changes: (0..ROUTES)
            .map(|n| (key(n), 1, rollout(n, Stage::ReadyForTesting)))
            .collect(),
    }
}

fn key(n: u64) -> switchover::RouteKey {
    format!("route_{n}").parse().unwrap()
}

fn rollout(n: u64, stage: Stage) -> Rollout {
    Rollout::at(format!("BENCH_ROUTE_{n}").parse().unwrap(), stage)
}
