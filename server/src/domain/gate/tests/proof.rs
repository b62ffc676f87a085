//! The gates that ask for proof that somebody has given.

use serde_json::json;

use super::world::{Place, World};
use super::{DAY, Row, fails, lacks, passes};

pub(super) fn acceptance() -> Vec<Row> {
    let environments = |count: u64| move |_: &World| json!({ "environments": count });
    vec![
        passes("passed in dev, staging, production", |_| {}).numbers(environments(3)),
        // In the order of environments: at the same moment is early enough, a second before is not.
        passes("in this order", |world| {
            world.evidence_at("staging", -10 * DAY)
        })
        .numbers(environments(3)),
        fails("taken before dev was done", |world| {
            world.evidence_at("staging", -10 * DAY - 1);
        })
        .numbers(environments(1)),
        fails("taken before staging was done", |world| {
            world.evidence_at("production", -9 * DAY - 1);
        })
        .numbers(environments(2)),
        // Newer than the last demotion.
        passes("passed in", |world| world.demoted_at(-10 * DAY - 1)).numbers(environments(3)),
        fails(
            "in dev: what there is was taken before the last demotion",
            |world| {
                world.demoted_at(-10 * DAY + 1);
            },
        )
        .numbers(environments(0)),
        fails("in dev", |world| world.demoted_at(-DAY)).numbers(environments(0)),
        // Only the three questions, each of them, everywhere.
        fails(
            "no passing evidence of resources in production: there is none",
            |world| {
                world.evidence_retain(|found| {
                    found.kind.name() != "resources" || found.environment.as_str() != "production"
                });
            },
        )
        .numbers(environments(2)),
        fails("of performance in dev: there is none", |world| {
            world.evidence_retain(|_| false);
        })
        .numbers(environments(0)),
        // A later fail beats an earlier pass, and a still later pass that.
        fails(
            "of error_rate in production: the newest says fail",
            |world| {
                world.evidence("production", "error_rate", "fail", -DAY);
            },
        )
        .numbers(environments(2)),
        fails("the newest says fail", |world| {
            world.evidence("production", "error_rate", "fail", -8 * DAY);
        })
        .numbers(environments(2)),
        passes("passed in", |world| {
            world.evidence("production", "error_rate", "fail", -DAY);
            world.evidence("production", "error_rate", "pass", -DAY + 1);
        })
        .numbers(environments(3)),
        passes("passed in", |world| {
            world.evidence("production", "error_rate", "fail", -20 * DAY);
            world.evidence("production", "consistency", "fail", -DAY);
            world.evidence("production", "other", "fail", -DAY);
        })
        .numbers(environments(3)),
        // A new test in dev after a failed one makes what came later come too early.
        fails(
            "in staging: what there is was taken before dev was done",
            |world| {
                world.evidence("dev", "performance", "fail", -8 * DAY);
                world.evidence("dev", "performance", "pass", -7 * DAY);
            },
        )
        .numbers(environments(1)),
        lacks("no hosted environment", |world| {
            world.facts.proof.hosted.clear()
        }),
    ]
}

pub(super) fn rollback_drill(place: Place) -> Vec<Row> {
    // Of the drill's three steps so many are done, in this environment or in a hosted one.
    let done = |steps: u8| move |world: &mut World| world.drill("production", steps);
    let mut rows = vec![
        passes("halted and resumed around traffic in", |_| {}),
        fails("no call could take the new path yet", done(0)),
        fails(
            "nobody has halted it while calls took the new path",
            done(1),
        ),
        fails("it was halted, but not resumed", done(2)),
        passes("halted and resumed", done(3)),
    ];
    if place == Place::OnPrem {
        rows.push(passes("in dev, staging, production", |world| {
            world.rollout.drill = Default::default();
        }));
        rows.push(fails("dev: no call", |world| world.drill("dev", 0)));
        rows.push(lacks("no hosted environment", |world| {
            world.facts.proof.hosted.clear();
        }));
    } else {
        // Elsewhere is another matter.
        rows.push(passes("halted and resumed", |world| world.drill("dev", 0)));
    }
    rows
}

pub(super) fn runbook() -> Vec<Row> {
    let linked = |world: &mut World, link: Option<&str>| {
        world.facts.route.spec.links.runbook = link.map(str::to_owned);
    };
    let kept = move |text: &'static str| {
        move |world: &mut World| {
            linked(world, None);
            world.runbook(text);
        }
    };
    vec![
        passes("https://example.com/runbook", |_| {}),
        fails("none is kept here, and none is linked", move |world| {
            linked(world, None)
        }),
        passes("kept here, by ann", kept("set GITALY_FIND=0")),
        passes(
            "kept here",
            kept("GITALY_FIND: switchover halt find production"),
        ),
        fails(
            "the name of the flag, GITALY_FIND",
            kept("switchover halt find dev"),
        ),
        fails("how to turn it off", kept("about GITALY_FIND")),
        // What is kept here is what people will open, whatever is linked besides.
        fails("how to turn it off", |world| {
            world.runbook("about GITALY_FIND")
        }),
    ]
}

pub(super) fn links(what: &'static str, remove: impl Fn(&mut World) + 'static) -> Vec<Row> {
    vec![passes("https://example.com/", |_| {}), fails(what, remove)]
}
