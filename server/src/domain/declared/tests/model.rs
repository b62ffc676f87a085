//! Servers drawn by chance, and a server that refuses nothing.

use std::collections::{BTreeMap, BTreeSet};

use proptest::collection::{btree_map, btree_set, vec};
use proptest::option;
use proptest::prelude::*;
use switchover::{EnvironmentKind, Percent, RouteKey, Setting, Stage};

use crate::domain::declared::*;
use crate::domain::exposure::{Cohort, Exposure};

/// Three environments, one cohort, and one route that has just come.
pub(super) fn on_server() -> Whole {
    let mut whole = Whole {
        environments: environments(),
        ..Whole::default()
    };
    let keys = BTreeSet::from(["1".to_owned()]);
    let cohort = DeclaredCohort {
        description: Some(String::new()),
        keys: Some(keys),
    };
    whole.cohorts.insert("beta".parse().unwrap(), cohort);
    let route = DeclaredRoute {
        endpoint: Some("x.Y/a".to_owned()),
        operation: Some(Operation::Read),
        owner: Some("o".to_owned()),
        ..DeclaredRoute::default()
    };
    whole.make(&Step::AddRoute("a".parse().unwrap(), Box::new(route)));
    whole
}

pub(super) fn rollout<'a>(
    whole: &'a mut Whole,
    route: &str,
    environment: &str,
) -> &'a mut DeclaredRollout {
    let route = whole.routes.get_mut(route).unwrap();
    let environment: EnvironmentKey = environment.parse().unwrap();
    route.rollouts.get_mut(&environment).unwrap()
}

/// Carries a plan out where nothing refuses; shows every state on the way.
pub(super) fn walk(
    whole: &mut Whole,
    declared: &Declared,
    plan: &Plan,
    allowed: Allowed,
    see: &mut impl FnMut(&Whole),
) {
    for item in &plan.items {
        let mut steps = 0;
        while let Some(step) = declared.next(whole, (item.part, &item.thing), allowed) {
            whole.make(&step);
            see(whole);
            steps += 1;
            assert!(steps < 20, "{step} leads nowhere");
        }
    }
}

/// The share that takes the new path.
pub(super) fn share(whole: &Whole, route: &RouteKey, environment: &EnvironmentKey) -> Percent {
    let found = whole.routes.get(route);
    let Some(rollout) = found.and_then(|route| route.rollouts.get(environment)) else {
        return Percent::ZERO;
    };
    let kind = whole.environments[environment].kind.unwrap();
    let (stage, setting) = (rollout.stage.unwrap(), rollout.setting.unwrap().0);
    let nobody = Cohort::new();
    Exposure::of(stage, kind, setting, false, &nobody, &nobody).share
}

/// How likely a key takes the new path.
pub(super) fn level(
    whole: &Whole,
    route: &RouteKey,
    environment: &EnvironmentKey,
    key: &str,
) -> Percent {
    let found = whole.routes.get(route);
    let Some(rollout) = found.and_then(|route| route.rollouts.get(environment)) else {
        return Percent::ZERO;
    };
    let kind = whole.environments[environment].kind.unwrap();
    let (stage, setting) = (rollout.stage.unwrap(), rollout.setting.unwrap().0);
    let treated = rollout.treated();
    let all = |own: &BTreeSet<String>, names: &BTreeSet<Name>| -> Cohort {
        let brought = names.iter().filter_map(|name| whole.cohorts.get(name));
        let brought = brought.flat_map(|cohort| cohort.keys.iter().flatten());
        own.iter()
            .chain(brought)
            .map(|key| key.as_str().into())
            .collect()
    };
    let include = all(&treated.include, &treated.include_cohorts);
    let exclude = all(&treated.exclude, &treated.exclude_cohorts);
    let exposure = Exposure::of(stage, kind, setting, false, &include, &exclude);
    if exposure.exclude.contains(key) {
        Percent::ZERO
    } else if exposure.include.contains(key) {
        Percent::HUNDRED
    } else {
        exposure.share
    }
}

fn environments() -> BTreeMap<EnvironmentKey, DeclaredEnvironment> {
    let of = |(key, kind, position): (&str, EnvironmentKind, i32)| {
        let environment = DeclaredEnvironment {
            kind: Some(kind),
            position: Some(position),
            production: Some(key == "production"),
        };
        (key.parse().unwrap(), environment)
    };
    let all = [
        ("dev", EnvironmentKind::Hosted, 1),
        ("production", EnvironmentKind::Hosted, 3),
        ("on-prem", EnvironmentKind::OnPrem, 4),
    ];
    all.into_iter().map(of).collect()
}

/// A server of a few routes, by chance.
pub(super) fn drawn() -> impl Strategy<Value = Whole> {
    let cohort =
        (text(), btree_set("c[0-9]", 0..4)).prop_map(|(description, keys)| DeclaredCohort {
            description: Some(description),
            keys: Some(keys),
        });
    let group = (text(), "[a-z]{1,9}").prop_map(|(description, keys)| DeclaredGroup {
        description: Some(description),
        keys: Some(keys),
    });
    let routes = vec((option::weighted(0.8, route()), vec(rollouts(), 3)), 4);
    (
        btree_map(
            prop_oneof![Just("beta"), Just("no"), Just("vip")],
            cohort,
            0..3,
        ),
        btree_map(prop_oneof![Just("commits"), Just("null")], group, 0..2),
        routes,
    )
        .prop_map(|(cohorts, ramp_groups, routes)| {
            let cohorts = named(cohorts);
            let environments = environments();
            let routes = ["a", "b", "off", "true"].into_iter().zip(routes);
            let routes = routes
                .filter_map(|(key, (route, rollouts))| Some((key, route?, rollouts)))
                .map(|(key, mut route, rollouts)| {
                    route.endpoint = Some(format!("x.Y/{key}"));
                    route.flag = Some(format!("X_{}", key.to_uppercase()).parse().unwrap());
                    if key == "b" {
                        route.requires = Some(BTreeSet::from(["a".parse().unwrap()]));
                    }
                    let places = environments.iter().zip(rollouts);
                    route.rollouts = places
                        .map(|((place, environment), mut rollout)| {
                            let known = |names: &mut Option<BTreeSet<_>>| {
                                names
                                    .as_mut()
                                    .unwrap()
                                    .retain(|name| cohorts.contains_key(name));
                            };
                            known(&mut rollout.include_cohorts);
                            known(&mut rollout.exclude_cohorts);
                            if environment.kind == Some(EnvironmentKind::OnPrem) {
                                rollout.ramp = None;
                            }
                            (place.clone(), rollout)
                        })
                        .collect();
                    (key.parse().unwrap(), route)
                })
                .collect();
            let mut whole = Whole {
                built_in: [("open".parse().unwrap(), serde_json::json!({ "gates": {} }))].into(),
                environments: environments.clone(),
                cohorts,
                ramp_groups: named(ramp_groups),
                routes,
                ..Whole::default()
            };
            keep_references(&mut whole);
            whole
        })
}

/// Nothing on a server speaks of what is not there.
fn keep_references(whole: &mut Whole) {
    let keys: BTreeSet<RouteKey> = whole.routes.keys().cloned().collect();
    for route in whole.routes.values_mut() {
        if let Some(requires) = &mut route.requires {
            requires.retain(|key| keys.contains(key));
        }
        for rollout in route.rollouts.values_mut() {
            let sets = [&mut rollout.include_cohorts, &mut rollout.exclude_cohorts];
            for names in sets.into_iter().flatten() {
                names.retain(|name| whole.cohorts.contains_key(name));
            }
        }
    }
}

fn named<T>(all: BTreeMap<&str, T>) -> BTreeMap<Name, T> {
    let all = all.into_iter();
    all.map(|(name, it)| (name.parse().unwrap(), it)).collect()
}

/// Words that YAML takes for something else, and some that it does not.
fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        "[a-z0-9 ]{0,8}".prop_map(|text| text.trim().to_owned()),
        prop::sample::select(vec![
            "off",
            "yes",
            "~",
            "null",
            "1e3",
            "0x1f",
            "2026-12-01",
            "- x",
            "a: b",
            "#x",
            "'",
            "\"",
            "two\nlines",
            "two\n\n  lines",
            "x\ty",
            "ä€😀",
            "<<",
            "{",
            "%a",
            "@b",
            "`c`",
            "1_000",
            ".5",
        ])
        .prop_map(str::to_owned),
        "\\PC{0,12}".prop_map(|text| text.trim().to_owned()),
    ]
}

/// A text that is not empty.
fn word() -> impl Strategy<Value = String> {
    text().prop_map(|text| {
        if text.is_empty() {
            "x".to_owned()
        } else {
            text
        }
    })
}

fn route() -> impl Strategy<Value = DeclaredRoute> {
    let labels = || btree_map("[a-z]{1,4}", word(), 0..3);
    let numbers = btree_map("[a-z.]{1,9}", 0.0..100.0_f64, 0..2);
    let operation = prop_oneof![Just(Operation::Read), Just(Operation::Call)];
    (
        operation,
        word(),
        numbers,
        labels(),
        labels(),
        text(),
        option::of(Just("commits")),
    )
        .prop_map(
            |(operation, owner, numbers, labels, contacts, description, group)| DeclaredRoute {
                operation: Some(operation),
                owner: Some(owner),
                policy: Some("open".parse().unwrap()),
                policy_numbers: Some(numbers),
                requires: Some(BTreeSet::new()),
                ramp_group: Some(group.map(|name| name.parse().unwrap())),
                labels: Some(labels),
                contacts: Some(contacts),
                description: Some(description),
                links: Some(Links::default()),
                schedule: Some(BTreeMap::new()),
                preparation: Some(None),
                retired: Some(false),
                ..DeclaredRoute::default()
            },
        )
}

fn rollouts() -> impl Strategy<Value = DeclaredRollout> {
    let setting = prop_oneof![
        Just(Setting::StageDefault),
        Just(Setting::Off),
        Just(Setting::On),
        share_of().prop_map(|percent| Setting::Ramp { percent }),
    ];
    let names = || btree_set(prop_oneof![Just("beta"), Just("vip")], 0..2);
    let keys = || btree_set("k[0-9]", 0..3);
    let stage = prop::sample::select(Stage::ALL.to_vec());
    let ramp = option::of((share_of(), 1..90_u32));
    (
        stage,
        setting,
        (share_of(), share_of()),
        keys(),
        keys(),
        names(),
        names(),
        ramp,
    )
        .prop_map(
            |(stage, setting, mirror, include, exclude, in_cohorts, ex_cohorts, ramp)| {
                let names = |names: BTreeSet<&str>| {
                    names
                        .into_iter()
                        .map(|name| name.parse().unwrap())
                        .collect()
                };
                let mut drawn = DeclaredRollout {
                    stage: Some(stage),
                    setting: Some(DeclaredSetting(setting)),
                    ramp: None,
                    mirror: Some(DeclaredMirror {
                        read_percent: mirror.0,
                        write_percent: mirror.1,
                    }),
                    include: Some(include),
                    exclude: Some(exclude),
                    include_cohorts: Some(names(in_cohorts)),
                    exclude_cohorts: Some(names(ex_cohorts)),
                };
                if stage == Stage::Mandatory {
                    drawn.setting = Some(DeclaredSetting(Setting::StageDefault));
                    drawn.treat(Treated::default());
                }
                // Where every key takes the new path, a ramp has nothing to raise.
                let is_part =
                    matches!(setting, Setting::Ramp { percent } if percent < Percent::HUNDRED);
                if let (Stage::OptIn | Stage::OptOut, true, Some((percent, days))) =
                    (stage, is_part, ramp)
                {
                    let hold = format!("{days}d").parse().unwrap();
                    drawn.ramp = Some(vec![DeclaredStep { percent, hold }]);
                }
                drawn
            },
        )
}

fn share_of() -> impl Strategy<Value = Percent> {
    prop_oneof![Just(0), Just(100_000), 0..=100_000_u32]
        .prop_map(|thousandths| Percent::from_thousandths(thousandths).unwrap())
}
