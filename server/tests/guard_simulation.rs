//! The guards' test before chance: the simulation that docs/guards.md is made by, in small.

#[path = "../examples/guard_simulation/model.rs"]
mod model;

use model::{Limit, Rollout, World, detection, false_alarm};

const LIMITS: [Limit; 2] = [
    Limit::Share(0.01),
    Limit::Ratio {
        times: 2.0,
        old: 0.005,
    },
];

fn world(limit: Limit, instances: u64) -> World {
    World {
        instances,
        flush: if instances < 5 { 1 } else { 5 },
        calls: 100,
        limit,
    }
}

#[test]
fn a_look_every_second_costs_nothing() {
    for limit in LIMITS {
        for instances in [1, 4, 10] {
            let world = world(limit, instances);
            let alarms = (0..50).filter(|seed| false_alarm(world, 600, *seed));
            assert!(alarms.count() <= 1, "{world:?}");
        }
    }
}

#[test]
fn faults_are_found() {
    for limit in LIMITS {
        for instances in [1, 4, 10] {
            let world = world(limit, instances);
            let found =
                |factor| (0..10).filter_map(move |seed| detection(world, 300, factor, seed));
            assert!(found(2.0).count() >= 9, "{world:?}");
            let slowest = found(5.0).max();
            assert!(found(5.0).count() == 10 && slowest < Some(120), "{world:?}");
        }
    }
}

#[test]
fn seeds_are_kept() {
    let mut one = Rollout::new(world(LIMITS[0], 4), 7);
    let mut other = Rollout::new(world(LIMITS[0], 4), 7);
    assert!((0..100).all(|_| one.look(0.02) == other.look(0.02)));
}
