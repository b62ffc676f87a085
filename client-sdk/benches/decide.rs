//! What a decision costs, beside the limits of the machine in the same run.

mod harness;

use std::hint::black_box;
use std::sync::atomic::{AtomicU64, Ordering};

use harness::{head, row};
use switchover::testing::{self, TestClient};
use switchover::{Path, Percent, Rollout, Route, Seed, Setting, Stage, bucket};

const KEY_16: &str = "project-12345678";
const KEY_36: &str = "9f6b2b1e-7a51-4c8e-9a55-0c2f5d0f3e11";

fn main() {
    let client = client();
    let [plain, ramp, group, cohort] =
        ["plain", "ramp", "group", "cohort"].map(|route| client.route(route));

    head();
    let word = AtomicU64::new(black_box(1));
    row("limit: relaxed load and branch", "", || {
        black_box(match black_box(&word).load(Ordering::Relaxed) {
            0 => Path::Old,
            _ => Path::New,
        });
    });
    let seed = Seed::of("ramp");
    for (name, key) in [("16", KEY_16), ("36", KEY_36)] {
        row(&format!("limit: seeded xxh3, {name} bytes"), "", || {
            black_box(bucket(black_box(seed), black_box(key).as_bytes()) < black_box(50_000));
        });
    }

    row("path(), no ramp, inlined", "<= 2", || {
        black_box(black_box(&plain).path(black_box(KEY_16)));
    });
    row("path(), no ramp, real call", "<= 3", || {
        black_box(real_call(black_box(&plain), black_box(KEY_16)));
    });
    row("path(), ramp, 16 bytes, real call", "<= 5", || {
        black_box(real_call(black_box(&ramp), black_box(KEY_16)));
    });
    row("path(), ramp, 36 bytes, real call", "<= 8", || {
        black_box(real_call(black_box(&ramp), black_box(KEY_36)));
    });
    row("path(), ramp, 16 bytes, inlined", "", || {
        black_box(black_box(&ramp).path(black_box(KEY_16)));
    });
    row("path(), ramp, integer", "", || {
        black_box(black_box(&ramp).path(black_box(278_964_u64)));
    });
    row("path(), ramp, no key", "", || {
        black_box(black_box(&ramp).path(()));
    });
    row("path(), ramp of a group, 16 bytes", "", || {
        black_box(black_box(&group).path(black_box(KEY_16)));
    });
    row("path(), cohort: asks the snapshot", "", || {
        black_box(black_box(&cohort).path(black_box(KEY_16)));
    });
    row("decide(), no ramp", "", || {
        black_box(black_box(&plain).decide(black_box(KEY_16)));
    });
    println!("two threads: <= 1.15 x one + 0.5 in each row of path() that asks no snapshot");
}

#[inline(never)]
fn real_call(route: &Route, key: &str) -> Path {
    route.path(key)
}

/// A hundred routes, so that nothing is small by chance.
fn client() -> TestClient {
    let client = testing::client();
    let ramp = Setting::Ramp {
        percent: Percent::from_thousandths(50_000).unwrap_or_default(),
    };
    let rollouts = (0..96).map(|n| (format!("route_{n}"), Setting::On)).chain([
        ("plain".to_owned(), Setting::On),
        ("ramp".to_owned(), ramp),
        ("group".to_owned(), ramp),
        ("cohort".to_owned(), ramp),
    ]);
    let rollouts = rollouts.filter_map(|(key, setting)| {
        let mut rollout = Rollout::at(key.to_uppercase().parse().ok()?, Stage::OptIn);
        rollout.setting = setting;
        if key == "group" {
            rollout.ramp_group = Some("projects".into());
        }
        if key == "cohort" {
            rollout.include.insert("somebody".into());
        }
        Some((key.parse().ok()?, rollout))
    });
    client.set_rollouts(rollouts.collect::<Vec<_>>());
    client
}
