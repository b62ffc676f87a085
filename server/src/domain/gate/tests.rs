//! Every gate, in each of its answers, for every stage, in every kind of environment.

mod proof;
mod queried;
mod traffic;
mod world;

use serde_json::{Value, json};
use switchover::Setting;

use super::*;
use world::{Place, World};

/// A way to stand, and what the gate answers then.
struct Row {
    /// What its detail says.
    says: &'static str,
    state: GateState,
    make: Box<dyn Fn(&mut World)>,
    numbers: Box<dyn Fn(&World) -> Value>,
}

impl Row {
    fn numbers(mut self, numbers: impl Fn(&World) -> Value + 'static) -> Row {
        self.numbers = Box::new(numbers);
        self
    }
}

fn row(state: GateState, says: &'static str, make: impl Fn(&mut World) + 'static) -> Row {
    Row {
        says,
        state,
        make: Box::new(make),
        numbers: Box::new(|_| json!({})),
    }
}

fn passes(says: &'static str, make: impl Fn(&mut World) + 'static) -> Row {
    row(GateState::Pass, says, make)
}

fn fails(says: &'static str, make: impl Fn(&mut World) + 'static) -> Row {
    row(GateState::Fail, says, make)
}

fn lacks(says: &'static str, make: impl Fn(&mut World) + 'static) -> Row {
    row(GateState::Insufficient, says, make)
}

/// A new gate does not compile before it has its rows here.
fn rows(gate: GateKind, place: Place) -> Vec<Row> {
    match gate {
        GateKind::Order => order(place),
        GateKind::Requires => requires(),
        GateKind::Incident => incident(),
        GateKind::Acceptance => proof::acceptance(),
        GateKind::RollbackDrill => proof::rollback_drill(place),
        GateKind::CodeDeployed => traffic::code_deployed(place),
        GateKind::Telemetry => traffic::telemetry(place),
        GateKind::Runbook => proof::runbook(),
        GateKind::Dashboard => proof::links("dashboard", |world| {
            world.facts.route.spec.links.dashboard = None;
        }),
        GateKind::Alert => proof::links("alert", |world| {
            world.facts.route.spec.links.alert = None;
        }),
        GateKind::Approval => approval(),
        GateKind::Plan => plan(),
        GateKind::External => external(),
        GateKind::Soak => soak(place),
        GateKind::Release => release(),
        GateKind::Repairs => traffic::repairs(),
        GateKind::Census => census(place),
        GateKind::Prometheus => queried::prometheus(),
    }
}

/// What a gate can answer there.
fn answers(gate: GateKind, place: Place) -> &'static [GateState] {
    use GateState::{Fail, Insufficient, Pass};
    match gate {
        GateKind::CodeDeployed
        | GateKind::Telemetry
        | GateKind::Prometheus
        | GateKind::Repairs
        | GateKind::Plan
        | GateKind::Acceptance => &[Pass, Fail, Insufficient],
        GateKind::RollbackDrill if place == Place::OnPrem => &[Pass, Fail, Insufficient],
        // Installations are told about, not waited for.
        GateKind::Census if place == Place::OnPrem => &[Pass, Insufficient],
        GateKind::Census => &[Pass, Fail, Insufficient],
        // It is for installations alone.
        GateKind::Release if place != Place::OnPrem => &[],
        _ => &[Pass, Fail],
    }
}

#[test]
fn every_gate_answers_as_it_stands() {
    let mut cases = 0;
    for gate in GateKind::ALL {
        for place in Place::ALL {
            let mut seen = Vec::new();
            for to in [Stage::OptIn, Stage::OptOut, Stage::Mandatory] {
                for (number, row) in rows(gate, place).iter().enumerate() {
                    let mut world = World::met(gate, place, to);
                    (row.make)(&mut world);
                    let case = format!("{} {place:?} {to} {number}", gate.name());
                    let Some(report) = world.answer(gate) else {
                        assert!(answers(gate, place).is_empty(), "{case}: not asked");
                        continue;
                    };
                    assert_eq!(report.gate, gate.name(), "{case}");
                    assert_eq!(report.state, row.state, "{case}: {report:?}");
                    assert!(report.detail.contains(row.says), "{case}: {report:?}");
                    assert!(!report.detail.trim().is_empty(), "{case}");
                    let passes = report.state == GateState::Pass;
                    assert_eq!(report.remedy.is_empty(), passes, "{case}: {report:?}");
                    let numbers = Value::Object(report.numbers);
                    assert_eq!(numbers, (row.numbers)(&world), "{case}");
                    seen.push(report.state);
                    cases += 1;
                }
            }
            let expected = answers(gate, place);
            let all = expected.iter().all(|state| seen.contains(state));
            let only = seen.iter().all(|state| expected.contains(state));
            assert!(all && only, "{} {place:?}: {seen:?}", gate.name());
        }
    }
    assert!(cases > 700, "{cases}");
}

fn order(place: Place) -> Vec<Row> {
    let mut rows = vec![
        passes("is next, and every earlier environment has it", |_| {}),
        passes("is next", |world| world.facts.proof.earlier.clear()),
        passes("is next", |world| {
            for (_, stage) in &mut world.facts.proof.earlier {
                *stage = Stage::Mandatory;
            }
        }),
        fails("not reached in dev", |world| {
            world.facts.proof.earlier[0].1 = world.rollout.stage;
        }),
        // The stage is there already, or it would be skipped.
        fails("", |world| world.rollout.stage = world.to),
        fails("", |world| {
            world.rollout.stage = match world.to {
                Stage::OptIn => Stage::OptOut,
                _ => Stage::ReadyForTesting,
            };
        }),
        fails("mandatory is the last stage", |world| {
            world.rollout.stage = Stage::Mandatory;
        }),
    ];
    if place != Place::Plain {
        // One that is behind is enough, whichever.
        rows.push(fails("not reached in staging", |world| {
            world.facts.proof.earlier[1].1 = world.rollout.stage;
        }));
    }
    rows
}

fn requires() -> Vec<Row> {
    let required = |stages: &'static [(&'static str, i8)]| {
        move |world: &mut World| {
            let by = |ahead: i8| world.stage_by(ahead);
            let required = stages.iter();
            world.facts.proof.required = required
                .map(|(key, ahead)| (key.parse().unwrap(), by(*ahead)))
                .collect();
        }
    };
    vec![
        passes("requires no other route", |_| {}),
        passes("every required route is at", required(&[("a", 0)])),
        passes("every required route", required(&[("a", 1), ("b", 0)])),
        fails("not at", required(&[("a", -1)])),
        fails("b (", required(&[("a", 1), ("b", -1)])),
    ]
}

fn incident() -> Vec<Row> {
    vec![
        passes("no change freeze is open here", |_| {}),
        fails("change freeze 7 by ann", |world| world.freeze("7")),
        fails("change freeze 8", |world| {
            world.freeze("7");
            world.freeze("8");
        }),
    ]
}

fn approval() -> Vec<Row> {
    let counts = |given: u32, required: f64| move |_: &World| json!({ "given": given, "required": required });
    vec![
        passes("1 of 1 approvals", |world| world.approve("max")).numbers(counts(1, 1.0)),
        fails("0 of 1 approvals by maintainers other than mia", |_| {}).numbers(counts(0, 1.0)),
        fails("0 of 1", |world| world.approve("mia")).numbers(counts(0, 1.0)),
        fails("void because something changed since: max, eve", |world| {
            world.approve("max");
            world.approve("eve");
            world.approve("mia");
            world.rollout.include.insert("k".into());
        })
        .numbers(counts(0, 1.0)),
        fails("1 of 2", |world| {
            world.number("count", 2.0);
            world.approve("max");
            world.approve("max");
            world.approve("mia");
        })
        .numbers(counts(1, 2.0)),
        passes(
            "2 of 2 approvals by maintainers other than mia: max, eve",
            |world| {
                world.number("count", 2.0);
                world.approve("max");
                world.approve("eve");
            },
        )
        .numbers(counts(2, 2.0)),
        // Of another stage, it says nothing about this one.
        fails("0 of 1", |world| {
            world.approve("max");
            world.facts.proof.approvals[0].to = world.rollout.stage;
        })
        .numbers(counts(0, 1.0)),
    ]
}

fn plan() -> Vec<Row> {
    let steps = |open: u64, steps: u64| move |_: &World| json!({ "open": open, "steps": steps });
    vec![
        fails("no plan is attached", |world| world.facts.proof.plan = None),
        lacks("no section of the plan is bound to", |world| {
            world.plan("# All\n\n- [ ] Look\n");
        }),
        fails("1 of 2 steps", |world| {
            let to = world.to;
            world.plan(&format!(
                "# All\n<!-- gate: {to} -->\n\n- [x] Look\n- [ ] [Ops] Do it\n"
            ));
        })
        .numbers(steps(1, 2)),
        passes("all 2 steps", |world| {
            let to = world.to;
            world.plan(&format!(
                "# All\n<!-- gate: {to} -->\n\n- [x] Look\n- ~~Do it~~\n"
            ));
        })
        .numbers(steps(0, 2)),
        // Steps of other stages are not asked for.
        passes("all 1 steps", |world| {
            let to = world.to;
            let other = match to {
                Stage::Mandatory => Stage::OptIn,
                _ => Stage::Mandatory,
            };
            world.plan(&format!(
                "# A\n<!-- gate: {to} -->\n\n- [x] Do\n\n# B\n<!-- gate: {other} -->\n\n- [ ] No\n"
            ));
        })
        .numbers(steps(0, 1)),
    ]
}

fn external() -> Vec<Row> {
    let counts =
        |open: u64, all: u64| move |_: &World| json!({ "open": open, "dependencies": all });
    vec![
        passes("no outside dependency is named", |_| {}).numbers(counts(0, 0)),
        fails("legal waits for lea", |world| {
            world.external("legal", None, false)
        })
        .numbers(counts(1, 1)),
        fails("dns waits for lea", |world| {
            world.external("legal", None, true);
            world.external("dns", Some(world.to), false);
        })
        .numbers(counts(1, 2)),
        passes("confirmed: legal, dns", |world| {
            world.external("legal", None, true);
            world.external("dns", Some(world.to), true);
        })
        .numbers(counts(0, 2)),
        passes("no outside dependency is named", |world| {
            world.external("legal", Some(world.rollout.stage), false);
        })
        .numbers(counts(0, 0)),
    ]
}

const DAY: i64 = 86_400;

fn soak(place: Place) -> Vec<Row> {
    // Seven days here, thirty for installations.
    let days = if place == Place::OnPrem { 30 } else { 7 };
    let asks = |world: &mut World| {
        world.number("days", 7.0);
        world.number("on_prem_days", 30.0);
    };
    let lasting = move |seconds: i64| {
        move |world: &mut World| {
            asks(world);
            world.unchanged_for(seconds);
        }
    };
    let tenths = |required: f64, elapsed: f64| move |_: &World| json!({ "required_days": required, "elapsed_days": elapsed });
    let (required, almost) = (f64::from(days), f64::from(days) - 0.1);
    let whole = i64::from(days) * DAY;
    let full = |setting, seconds| {
        move |world: &mut World| {
            world.number("full_exposure_days", 3.0);
            world.rollout.setting = setting;
            world.unchanged_for(seconds);
        }
    };
    vec![
        passes("unchanged since", lasting(whole)).numbers(tenths(required, required)),
        fails("unchanged since", lasting(whole - 1)).numbers(tenths(required, almost)),
        fails("unchanged since", lasting(0)).numbers(tenths(required, 0.0)),
        fails("the rollout is halted", move |world| {
            lasting(whole)(world);
            world.halt();
        })
        .numbers(tenths(required, required)),
        passes("unchanged since", |world| world.unchanged_for(0)).numbers(tenths(0.0, 0.0)),
        // Where only one number is given it is for all.
        passes("unchanged since", |world| {
            world.number("days", 2.0);
            world.unchanged_for(2 * DAY);
        })
        .numbers(tenths(2.0, 2.0)),
        fails("unchanged since", |world| {
            world.number("days", 0.5);
            world.unchanged_for(DAY / 2 - 1);
        })
        .numbers(tenths(0.5, 0.4)),
        passes("unchanged since", full(Setting::On, 3 * DAY)).numbers(tenths(3.0, 3.0)),
        fails("unchanged since", full(Setting::On, 3 * DAY - 1)).numbers(tenths(3.0, 2.9)),
        fails(
            "not every key takes the new path",
            full(Setting::Off, 9 * DAY),
        )
        .numbers(tenths(3.0, 9.0)),
        fails("not every key", move |world| {
            full(Setting::On, 9 * DAY)(world);
            world.rollout.exclude.insert("k".into());
        })
        .numbers(tenths(3.0, 9.0)),
    ]
}

fn release() -> Vec<Row> {
    vec![
        passes("release 17.5.0 carries it at", |_| {}),
        // Frozen the moment it got there, and a second before.
        passes("carries it", |world| world.released_at(0)),
        fails("no published release carries it", |world| {
            world.released_at(-1)
        }),
        fails("no published release", |world| {
            world.facts.proof.released.clear()
        }),
        fails("no published release", |world| {
            world.facts.proof.released[0].stage = world.to;
        }),
    ]
}

fn census(place: Place) -> Vec<Row> {
    let counts = move |sites: u64, overrides: u64, instances: u64| {
        move |_: &World| match place {
            Place::OnPrem => json!({ "sites": sites, "overrides": overrides }),
            _ => json!({ "sites": sites, "overrides": overrides, "instances": instances }),
        }
    };
    let silent = |world: &mut World| world.facts.proof.deployed.clear();
    let taken = move |sites: &'static [(&'static str, Option<bool>, i64)]| {
        move |world: &mut World| {
            silent(world);
            for (site, flag, age) in sites {
                world.census(site, *flag, *age);
            }
        }
    };
    let off = taken(&[("acme", Some(false), 0), ("bold", None, 0)]);
    let held = match place {
        Place::OnPrem => passes(
            "1 of 2 sites have GITALY_FIND=0 and will lose it: acme",
            off,
        ),
        _ => fails("GITALY_FIND=0 is set in acme", off),
    };
    let mut rows = vec![
        lacks("no census of", silent).numbers(counts(0, 0, 0)),
        passes(
            "none of 2 sites has GITALY_FIND=0",
            taken(&[("acme", Some(true), 0), ("bold", None, 0)]),
        )
        .numbers(counts(2, 0, 0)),
        held.numbers(counts(2, 1, 0)),
        // Thirty days are fresh, and not a second more.
        passes("none of 1 sites", taken(&[("acme", None, 30 * DAY)])).numbers(counts(1, 0, 0)),
        lacks(
            "in the last 30 days",
            taken(&[("acme", None, 30 * DAY + 1)]),
        )
        .numbers(counts(0, 0, 0)),
        lacks("in the last 2 days", move |world| {
            world.number("days", 2.0);
            taken(&[("acme", None, 3 * DAY)])(world);
        })
        .numbers(counts(0, 0, 0)),
    ];
    if place == Place::OnPrem {
        // What hosted callers report says nothing of installations.
        rows.push(lacks("no census of", |_| {}).numbers(counts(0, 0, 0)));
        return rows;
    }
    let running = |off: &'static [&'static str]| {
        move |world: &mut World| {
            let key = world.facts.environment.key.clone();
            let deployed = world.facts.proof.deployed.get_mut(&key).unwrap();
            deployed.off = off.iter().map(|name| (*name).to_owned()).collect();
        }
    };
    rows.extend([
        passes(
            "none of 0 sites and 2 running instances has GITALY_FIND=0",
            running(&[]),
        )
        .numbers(counts(0, 0, 2)),
        fails("GITALY_FIND=0 is set in web-1", running(&["web-1"])).numbers(counts(0, 1, 2)),
        fails("is set in acme, web-1", move |world| {
            running(&["web-1"])(world);
            world.census("acme", Some(false), 0);
        })
        .numbers(counts(1, 2, 2)),
        lacks("cannot be read now", |world| {
            world.facts.proof.unreadable = true;
            world.census("acme", None, 0);
        })
        .numbers(counts(1, 0, 2)),
    ]);
    rows
}
