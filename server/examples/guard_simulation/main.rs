//! Measures the guards' test on simulated rollouts, and prints what docs/guards.md shows:
//!
//! ```text
//! cargo run --release -p switchover-server --example guard_simulation [ROLLOUTS [FAULTS]]
//! ```
//!
//! `ROLLOUTS` (10,000) is how many are simulated exactly at each limit, `FAULTS` (200) how many with
//! each fault. Seeds are fixed: the same numbers each time.

mod model;

use std::thread;

use model::{Limit, World, detection, false_alarm};

const HOUR: u64 = 3_600;
const SHARE: Limit = Limit::Share(0.01);
const RATIO: Limit = Limit::Ratio {
    times: 2.0,
    old: 0.005,
};

fn main() {
    let mut arguments = std::env::args().skip(1).map(|text| text.parse().ok());
    let rollouts = arguments.next().flatten().unwrap_or(10_000);
    let faults = arguments.next().flatten().unwrap_or(200);

    println!("| limit | instances | rollouts at the limit | looks | breaches |");
    println!("|---|---|---|---|---|");
    for limit in [SHARE, RATIO] {
        for instances in [1, 3, 10] {
            let world = world(limit, instances);
            let alarms = all(rollouts, |seed| false_alarm(world, HOUR, seed));
            let alarms = alarms.iter().filter(|alarm| **alarm).count();
            println!(
                "| {} | {instances} | {rollouts} | every second for an hour | {alarms} |",
                named(limit)
            );
        }
    }
    println!();
    println!("| limit | instances | fault | found | median calls | median time | slowest of 100 |");
    println!("|---|---|---|---|---|---|---|");
    for limit in [SHARE, RATIO] {
        for instances in [1, 3, 10, 30] {
            for factor in [2.0, 5.0] {
                let world = world(limit, instances);
                let found = all(faults, |seed| detection(world, 2 * HOUR, factor, seed));
                let mut found: Vec<u64> = found.into_iter().flatten().collect();
                found.sort_unstable();
                let at = |percent: usize| found.get(found.len() * percent / 100).copied();
                let (median, slow) = (at(50).unwrap_or_default(), at(99).unwrap_or_default());
                println!(
                    "| {} | {instances} | {factor} × | {} of {faults} | {} | {median} s | {slow} s |",
                    named(limit),
                    found.len(),
                    median * world.calls,
                );
            }
        }
    }
}

/// A hundred calls of the new path in a second. Small fleets report every second, which is the
/// harder case for false alarms; large ones every five, as they do.
fn world(limit: Limit, instances: u64) -> World {
    World {
        instances,
        flush: if instances < 5 { 1 } else { 5 },
        calls: if instances == 3 { 99 } else { 100 },
        limit,
    }
}

fn named(limit: Limit) -> String {
    match limit {
        Limit::Share(rate) => format!("{} % of calls", rate * 100.0),
        Limit::Ratio { times, old } => {
            format!("{times} × the old path's {} %", old * 100.0)
        }
    }
}

/// Every seed's outcome, on all processors.
fn all<T: Send>(count: u64, run: impl Fn(u64) -> T + Sync) -> Vec<T> {
    let workers = thread::available_parallelism().ok();
    let workers = workers.and_then(|count| u64::try_from(count.get()).ok());
    let workers = workers.unwrap_or(1);
    let run = &run;
    thread::scope(|scope| {
        let handles: Vec<_> = (0..workers)
            .map(|worker| {
                let seeds = (0..count).filter(move |seed| seed % workers == worker);
                scope.spawn(move || seeds.map(run).collect::<Vec<T>>())
            })
            .collect();
        handles
            .into_iter()
            .flat_map(|handle| handle.join().unwrap_or_default())
            .collect()
    })
}
