//! The decision's contract: vectors, and properties that hold for every rollout.
#![expect(
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a failed expectation is how a test speaks"
)]

mod vectors;

use std::collections::BTreeMap;
use std::sync::Arc;

use proptest::prelude::*;
use switchover::{
    Entry, EnvironmentKind, Overrides, Path, Percent, Plan, Reason, Rollout, RouteKey, Rule,
    Setting, Source, Stage, Table, bucket, decide, explain, plan,
};

#[test]
fn vectors_pass() {
    for vector in vectors::all() {
        let known = |rollout| Entry::Known(Arc::new(rollout));
        let routes = vector.routes.into_iter();
        let entries = routes.map(|(route, rollout)| (route, known(rollout)));
        let table = Table::new(Source::Live, vector.environment_kind, entries.collect()).unwrap();
        let overrides = Overrides::from_iter(vector.env.clone());
        let key = vector.key.as_deref();
        let decision = decide(&table, &vector.route, &overrides, key);
        assert_eq!(
            (decision.path, decision.reason),
            (vector.expect.path, vector.expect.reason),
            "{}",
            vector.name
        );
    }
}

fn setting() -> impl Strategy<Value = Setting> {
    prop_oneof![
        Just(Setting::StageDefault),
        Just(Setting::Off),
        Just(Setting::On),
        percent().prop_map(|percent| Setting::Ramp { percent }),
    ]
}

fn percent() -> impl Strategy<Value = Percent> {
    prop_oneof![Just(0), Just(100_000), 0..=100_000_u32]
        .prop_map(|thousandths| Percent::from_thousandths(thousandths).unwrap())
}

fn key() -> impl Strategy<Value = String> {
    prop_oneof!["[a-d]", ".{0,40}"]
}

/// Routes `r0` to `r4`; each may require those with a higher number, so there is no cycle.
fn table() -> impl Strategy<Value = Table> {
    let rollout = (
        prop::sample::select(Stage::ALL.to_vec()),
        setting(),
        prop::bool::weighted(0.2),
        prop::collection::btree_set("[a-d]", 0..2),
        prop::collection::btree_set("[a-d]", 0..2),
        prop::collection::vec(any::<bool>(), 4),
        prop::option::of(Just("group")),
    );
    let kind = prop_oneof![Just(EnvironmentKind::Hosted), Just(EnvironmentKind::OnPrem)];
    (kind, prop::collection::vec(rollout, 5)).prop_map(|(kind, rollouts)| {
        let entries = rollouts
            .into_iter()
            .enumerate()
            .map(
                |(n, (stage, setting, halted, include, exclude, requires, group))| {
                    let mut rollout = Rollout::at(format!("GITALY_R{n}").parse().unwrap(), stage);
                    rollout.setting = setting;
                    rollout.halted = halted;
                    rollout.include = include.into_iter().map(Box::from).collect();
                    rollout.exclude = exclude.into_iter().map(Box::from).collect();
                    rollout.requires = (n + 1..5)
                        .filter(|other| requires[other - 1])
                        .map(|other| format!("r{other}").parse().unwrap())
                        .collect();
                    rollout.ramp_group = group.map(Box::from);
                    let route: RouteKey = format!("r{n}").parse().unwrap();
                    (route, Entry::Known(Arc::new(rollout)))
                },
            )
            .collect();
        Table::new(Source::Live, kind, entries).unwrap()
    })
}

fn overrides() -> impl Strategy<Value = Overrides> {
    let value = prop::sample::select(vec!["0", "1", "true", ""]);
    let name = prop::sample::select(vec!["GITALY_R0", "GITALY_R1", "GITALY_FEATURE_DEFAULT_ON"]);
    prop::collection::vec((name, value), 0..3).prop_map(Overrides::from_iter)
}

/// Section 2's table, written a second time and as differently as can be: by recursion over
/// `requires`, without the resolved closure that the implementation walks.
fn by_the_book(table: &Table, route: &str, overrides: &Overrides, key: Option<&str>) -> Path {
    let Some(rollout) = table.rollout(route) else {
        return Path::Old;
    };
    let hosted = table.kind() == EnvironmentKind::Hosted;
    let to_path = |new: bool| if new { Path::New } else { Path::Old };
    let required_old =
        |required: &RouteKey| by_the_book(table, required.as_str(), overrides, key) == Path::Old;
    if rollout.stage == Stage::Mandatory {
        return Path::New;
    }
    if rollout.halted || rollout.requires.iter().any(required_old) {
        return Path::Old;
    }
    match overrides.flag(&rollout.flag) {
        switchover::FlagOverride::On => return Path::New,
        switchover::FlagOverride::Off => return Path::Old,
        _ => {}
    }
    let in_cohort =
        |cohort: &std::collections::BTreeSet<Box<str>>| key.is_some_and(|key| cohort.contains(key));
    match rollout.setting {
        Setting::Off => Path::Old,
        _ if in_cohort(&rollout.exclude) => Path::Old,
        _ if in_cohort(&rollout.include) => Path::New,
        Setting::On => Path::New,
        Setting::Ramp { percent } => {
            let name = rollout.ramp_group.as_deref().unwrap_or(route);
            let below = |key: &str| {
                bucket(switchover::Seed::of(name), key.as_bytes()) < percent.thousandths()
            };
            to_path(percent == Percent::HUNDRED || key.is_some_and(below))
        }
        Setting::StageDefault => to_path(match rollout.stage {
            Stage::OptIn => hosted || overrides.default_on(&rollout.flag),
            Stage::OptOut => true,
            _ => false,
        }),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn decides_by_the_book(table in table(), overrides in overrides(), key in prop::option::of(key())) {
        for route in ["r0", "r1", "r2", "r3", "r4", "r5"] {
            let decision = decide(&table, route, &overrides, key.as_deref());
            let expected = by_the_book(&table, route, &overrides, key.as_deref());
            prop_assert_eq!(decision.path, expected);
        }
    }

    #[test]
    fn explain_ends_in_what_decide_says(table in table(), overrides in overrides(), key in prop::option::of(key())) {
        for route in ["r0", "r1", "r4", "r5"] {
            let explanation = explain(&table, route, &overrides, key.as_deref());
            prop_assert_eq!(explanation.decision, decide(&table, route, &overrides, key.as_deref()));
            prop_assert_eq!(explanation.chain.len(), Rule::ALL.len());
            let first = explanation.chain.iter().find(|layer| layer.verdict.is_some()).unwrap();
            let verdict = first.verdict.unwrap();
            prop_assert_eq!(verdict.path, explanation.decision.path);
            prop_assert_eq!(verdict.reason, explanation.decision.reason);
            for layer in &explanation.chain {
                prop_assert!(layer.hides.iter().all(|hidden| hidden.number() > layer.rule.number()));
                prop_assert!(!layer.says.is_empty());
            }
        }
    }

    #[test]
    fn the_plan_is_the_decision_of_every_key(table in table(), overrides in overrides(), keys in prop::collection::vec(key(), 1..8)) {
        for route in ["r0", "r1", "r2", "r3", "r4", "r5"] {
            let plan = plan(&table, route, &overrides);
            for key in keys.iter().map(|key| Some(key.as_str())).chain([None]) {
                let decision = decide(&table, route, &overrides, key);
                let planned = match plan {
                    Plan::PerKey => continue,
                    Plan::Always(verdict) => (verdict.path, verdict.reason),
                    Plan::Ramp { percent, seed } => match key {
                        None => (Path::Old, Reason::NoKey),
                        Some(key) if bucket(seed, key.as_bytes()) < percent.thousandths() => (Path::New, Reason::RampIn),
                        Some(_) => (Path::Old, Reason::RampOut),
                    },
                };
                prop_assert_eq!(planned, (decision.path, decision.reason));
            }
        }
    }

    #[test]
    fn raising_a_ramp_never_moves_a_key_back(low in percent(), high in percent(), key in key()) {
        let (low, high) = (low.min(high), low.max(high));
        let path = |percent| {
            let mut rollout = Rollout::at("GITALY_BLAME".parse().unwrap(), Stage::OptIn);
            rollout.setting = Setting::Ramp { percent };
            let entries = BTreeMap::from([("blame".parse().unwrap(), Entry::Known(Arc::new(rollout)))]);
            let table = Table::new(Source::Live, EnvironmentKind::Hosted, entries).unwrap();
            decide(&table, "blame", &Overrides::none(), Some(&key)).path
        };
        prop_assert!(path(low) == Path::Old || path(high) == Path::New);
    }
}

#[test]
fn two_routes_at_a_quarter_select_independently_unless_they_share_a_group() {
    let both = |group: Option<&str>| {
        let seeds =
            ["find_commit", "list_refs"].map(|route| switchover::Seed::of(group.unwrap_or(route)));
        (0..40_000)
            .filter(|n: &u32| {
                seeds
                    .iter()
                    .all(|seed| bucket(*seed, n.to_string().as_bytes()) < 25_000)
            })
            .count()
    };
    let alone = both(None);
    assert!(
        (2_200..2_800).contains(&alone),
        "a sixteenth of 40,000 is 2,500, not {alone}"
    );
    let grouped = both(Some("projects"));
    assert!(
        (9_500..10_500).contains(&grouped),
        "a quarter of 40,000 is 10,000, not {grouped}"
    );
}
