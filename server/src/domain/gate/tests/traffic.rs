//! The gates that ask what callers report. On premises the hosted environments answer.

use serde_json::{Map, Value, json};

use super::world::{Place, World};
use super::{Row, fails, lacks, passes};
use crate::domain::environment::EnvironmentKey;
use crate::domain::facts::{Deployed, Stores, Traffic};

/// An environment whose answer counts: where the promotion is, or one of the hosted ones.
pub(super) fn here(world: &World) -> EnvironmentKey {
    match world.facts.environment.key.as_str() {
        "staging" => world.facts.environment.key.clone(),
        _ => "production".parse().unwrap(),
    }
}

pub(super) fn answering(world: &World) -> Vec<String> {
    match world.facts.environment.key.as_str() {
        "on-prem" => ["dev", "staging", "production"].map(str::to_owned).to_vec(),
        own => vec![own.to_owned()],
    }
}

fn reported(change: impl Fn(&mut Traffic) + 'static) -> impl Fn(&mut World) + 'static {
    move |world| {
        world.number("error_rate", 0.01);
        let here = here(world);
        change(world.facts.proof.traffic.get_mut(&here).unwrap());
    }
}

/// The share of each measure in the environment that was changed; elsewhere it is nothing.
fn shares(of: &'static [(&'static str, f64)]) -> impl Fn(&World) -> Value + 'static {
    move |world| {
        let mut numbers = Map::new();
        for environment in answering(world) {
            for (what, share) in of {
                let share = match environment == here(world).as_str() {
                    true => *share,
                    false => 0.0,
                };
                numbers.insert(format!("{environment}.{what}"), json!(share));
            }
        }
        Value::Object(numbers)
    }
}

pub(super) fn telemetry(place: Place) -> Vec<Row> {
    let calls = |calls: u64, errors: u64| {
        reported(move |traffic| {
            traffic.calls = calls;
            traffic.errors = errors;
        })
    };
    let mut rows = vec![
        passes("errors 0 of 1000, limit 0.01", calls(1_000, 0)).numbers(shares(&[("errors", 0.0)])),
        // Three calls for each that the limit lets fail, and not one less.
        passes("errors 0 of 300", calls(300, 0)).numbers(shares(&[("errors", 0.0)])),
        lacks(
            "errors 0 of 299, limit 0.01 (too few to tell)",
            calls(299, 0),
        )
        .numbers(shares(&[("errors", 0.0)])),
        lacks("too few to tell", calls(0, 0)).numbers(shares(&[("errors", 0.0)])),
        fails(
            "errors 3 of 300, limit 0.01 (not proven to be within)",
            calls(300, 3),
        )
        .numbers(shares(&[("errors", 0.01)])),
        fails("not proven", calls(1_000, 500)).numbers(shares(&[("errors", 0.5)])),
        lacks("nothing is reported in", |world| {
            world.number("error_rate", 0.01);
            world.facts.proof.traffic.clear();
        }),
        // Nobody knows, whatever was read before.
        lacks("cannot be read now", |world| {
            world.number("error_rate", 0.01);
            world.facts.proof.unreadable = true;
        }),
        passes("sets no limit", |_| {}),
        // At most one call in a hundred may be slow.
        passes("slow 0 of 1000", |world| world.number("p99_ms", 500.0))
            .numbers(shares(&[("slow", 0.0)])),
        fails("slow 10 of 1000, limit 0.01 (not proven", |world| {
            reported(|traffic| traffic.slow = 10)(world);
            world.number("p99_ms", 500.0);
        })
        .numbers(shares(&[("errors", 0.0), ("slow", 0.01)])),
        lacks("slow 0 of 299", |world| {
            reported(|traffic| traffic.timed = 299)(world);
            world.number("p99_ms", 500.0);
        })
        .numbers(shares(&[("errors", 0.0), ("slow", 0.0)])),
        // What fails for sure is worse than what nobody knows.
        fails("mismatches 0 of 0, limit 0.01 (too few to tell)", |world| {
            reported(|traffic| {
                traffic.errors = 500;
                traffic.comparisons = 0;
            })(world);
            world.compares();
            world.number("mismatch_rate", 0.01);
        })
        .numbers(shares(&[("errors", 0.5), ("mismatches", 0.0)])),
        lacks("mismatches 0 of 0", |world| {
            reported(|traffic| traffic.comparisons = 0)(world);
            world.compares();
            world.number("mismatch_rate", 0.01);
        })
        .numbers(shares(&[("errors", 0.0), ("mismatches", 0.0)])),
        // Where no path runs beside the other, there is nothing that could differ.
        passes("errors 0 of 1000", |world| {
            for traffic in world.facts.proof.traffic.values_mut() {
                traffic.comparisons = 0;
            }
            world.number("error_rate", 0.01);
            world.number("mismatch_rate", 0.01);
        })
        .numbers(shares(&[("errors", 0.0)])),
        fails("failed mirror writes 20 of 1000", |world| {
            reported(|traffic| traffic.mirror_failures = 20)(world);
            world.number("mirror_failure_rate", 0.01);
        })
        .numbers(shares(&[("errors", 0.0), ("failed mirror writes", 0.02)])),
    ];
    if place == Place::OnPrem {
        rows.push(lacks("no hosted environment", |world| {
            world.facts.proof.hosted.clear();
        }));
    } else {
        // What others report is theirs.
        rows.push(
            passes("errors 0 of 1000", |world| {
                world.number("error_rate", 0.01);
                let here = here(world);
                world.facts.proof.traffic.retain(|key, _| *key == here);
            })
            .numbers(shares(&[("errors", 0.0)])),
        );
    }
    rows
}

pub(super) fn code_deployed(place: Place) -> Vec<Row> {
    let counts = |per_environment: u64, missing_here: u64, lacking: u64| {
        move |world: &World| {
            let environments = u64::try_from(answering(world).len()).unwrap();
            let instances = per_environment * environments - missing_here;
            json!({ "instances": instances, "lacking": lacking })
        }
    };
    let seen = |instances: u64, lacking: &'static [&'static str]| {
        move |world: &mut World| {
            let deployed = Deployed {
                instances,
                lacking: lacking.iter().map(|name| (*name).to_owned()).collect(),
                off: Vec::new(),
            };
            world.facts.proof.deployed.insert(here(world), deployed);
        }
    };
    let mut rows = vec![
        passes("has `find` in its code", |_| {}).numbers(counts(2, 0, 0)),
        passes("has `find`", seen(2, &[])).numbers(counts(2, 0, 0)),
        fails(
            "without `find` in their code: web-1 in",
            seen(2, &["web-1"]),
        )
        .numbers(counts(2, 0, 1)),
        lacks(
            "no instance was seen in the last 10 minutes in",
            seen(0, &[]),
        )
        .numbers(counts(2, 2, 0)),
        lacks("no instance was seen", |world| {
            world.facts.proof.deployed.clear();
        })
        .numbers(counts(0, 0, 0)),
        lacks("cannot be read now", |world| {
            world.facts.proof.unreadable = true;
        }),
        fails(" and 2 more", |world| {
            let deployed = Deployed {
                instances: 12,
                lacking: (0..12).map(|number| format!("web-{number}")).collect(),
                off: Vec::new(),
            };
            world.facts.proof.deployed.clear();
            world.facts.proof.deployed.insert(here(world), deployed);
        })
        .numbers(|_| json!({ "instances": 12, "lacking": 12 })),
    ];
    if place == Place::OnPrem {
        rows.push(lacks("no hosted environment", |world| {
            world.facts.proof.hosted.clear();
        }));
        rows.push(
            fails("web-1 in production", |world| {
                world.facts.proof.deployed.clear();
                let deployed = Deployed {
                    instances: 1,
                    lacking: vec!["web-1".to_owned()],
                    off: Vec::new(),
                };
                world.facts.proof.deployed.insert(here(world), deployed);
            })
            .numbers(|_| json!({ "instances": 1, "lacking": 1 })),
        );
    }
    rows
}

pub(super) fn repairs() -> Vec<Row> {
    let counts = |failed: u64, oldest: u64| move |_: &World| json!({ "failed_repairs": failed, "oldest_repair_seconds": oldest });
    // Wherever it is asked, all hosted environments may answer.
    let stores = |change: fn(&mut Stores)| {
        move |world: &mut World| world.facts.proof.stores.values_mut().for_each(change)
    };
    vec![
        lacks("nothing is reported about the two stores", |world| {
            world.facts.proof.stores.clear();
        })
        .numbers(counts(0, 0)),
        passes("both stores hold the same", |_| {}).numbers(counts(0, 0)),
        passes(
            "both stores",
            stores(|stores| stores.oldest_repair_seconds = Some(60)),
        )
        .numbers(counts(0, 60)),
        passes(
            "both stores",
            stores(|stores| {
                *stores = Stores {
                    no_return: true,
                    ..Stores::default()
                };
            }),
        )
        .numbers(counts(0, 0)),
        fails(
            "a repair is open for more than 60 seconds",
            stores(|stores| stores.oldest_repair_seconds = Some(61)),
        )
        .numbers(counts(0, 61)),
        fails(
            "not every write is copied",
            stores(|stores| stores.mirrored = false),
        )
        .numbers(counts(0, 0)),
        fails(
            "writes were left out",
            stores(|stores| stores.diverged = true),
        )
        .numbers(counts(0, 0)),
        fails(
            "the backfill is not complete",
            stores(|stores| stores.backfill_complete = false),
        )
        .numbers(counts(0, 0)),
        fails(
            "no consistency run was clean",
            stores(|stores| stores.consistent = false),
        )
        .numbers(counts(0, 0)),
        fails("repairs were given up", |world| {
            let here = here(world);
            let stores = world.facts.proof.stores.get_mut(&here);
            stores.unwrap().failed_repairs = 1;
        })
        .numbers(counts(1, 0)),
        fails("a person to decide", stores(|stores| stores.conflicts = 1)).numbers(counts(0, 0)),
        fails("unverified", stores(|stores| stores.unverified = true)).numbers(counts(0, 0)),
    ]
}
