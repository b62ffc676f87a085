//! That nothing is let through on the way, key by key.

use proptest::prelude::*;
use switchover::{Percent, Setting, Stage};

use super::model::{self, drawn, level, on_server, walk};
use super::{plan, steps};
use crate::domain::declared::*;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn on_the_way_no_key_is_more_exposed_than_before_or_after(from in drawn(), to in drawn()) {
        let (from, to) = (one_sided(from), one_sided(to));
        let declared = to.to_declared(&BTreeSet::new(), &BTreeSet::new());
        let allowed = Allowed { demotion: true, prune: false };
        let mut whole = from.clone();
        let plan = Plan::make(&whole, &declared, allowed).unwrap();
        let mut keys: Vec<String> = (0..10).flat_map(|n| [format!("k{n}"), format!("c{n}")]).collect();
        keys.push("other".to_owned());
        let mut states = Vec::new();
        walk(&mut whole, &declared, &plan, allowed, &mut |state| states.push(state.clone()));
        for (step, state) in states.iter().enumerate() {
            for (route, environment) in state.routes.iter().flat_map(|(key, route)| {
                route.rollouts.keys().map(move |environment| (key, environment))
            }) {
                for key in &keys {
                    let of = |whole| level(whole, route, environment, key);
                    let most = of(&from).max(of(&whole));
                    prop_assert!(
                        of(state) <= most,
                        "{} in {} at step {}: {} for {}", route, environment, step, of(state), key
                    );
                }
            }
        }
    }
}

/// A cohort that some include and others exclude changes in one step, which may be too much for one of
/// them on the way: here each is on one side.
fn one_sided(mut whole: Whole) -> Whole {
    let routes = whole.routes.values_mut();
    for rollout in routes.flat_map(|route| route.rollouts.values_mut()) {
        let includes = rollout.include_cohorts.as_mut().unwrap();
        includes.retain(|name| name.as_str() == "beta");
        let excludes = rollout.exclude_cohorts.as_mut().unwrap();
        excludes.retain(|name| name.as_str() == "vip");
    }
    whole
}

#[test]
fn a_setting_goes_down_before_keys_are_treated_apart_no_more_and_up_after() {
    let mut whole = on_server();
    let dev = model::rollout(&mut whole, "a", "dev");
    dev.stage = Some(Stage::OptIn);
    dev.setting = Some(DeclaredSetting(Setting::On));
    dev.exclude = Some(BTreeSet::from(["victim".to_owned()]));
    let file = |setting: &str, exclude: &str| {
        format!(
            "version: 1\nroutes: {{a: {{rollouts: {{dev: {{setting: {setting}, exclude: [{exclude}]}}}}}}}}\n"
        )
    };
    let (none, on) = (
        file("{mode: ramp, percent: 0}", ""),
        file("{mode: on}", "x"),
    );
    assert_eq!(
        steps(&plan(&whole, &none, Allowed::default())),
        ["set 0 %: a in dev", "name the keys treated apart: a in dev"]
    );
    model::rollout(&mut whole, "a", "dev").setting = Some(DeclaredSetting(Setting::Off));
    assert_eq!(
        steps(&plan(&whole, &on, Allowed::default())),
        ["name the keys treated apart: a in dev", "set on: a in dev"]
    );
}

#[test]
fn a_cohort_lets_more_keys_through_only_after_the_rollouts_that_drop_it() {
    let mut whole = on_server();
    let beta = || Some(BTreeSet::from(["beta".parse().unwrap()]));
    for environment in ["dev", "production"] {
        let rollout = model::rollout(&mut whole, "a", environment);
        rollout.stage = Some(Stage::OptIn);
        rollout.setting = Some(DeclaredSetting(Setting::Ramp {
            percent: Percent::ZERO,
        }));
        rollout.include_cohorts = beta();
    }
    let file = "version: 1\ncohorts: {beta: {keys: [2, 3]}}\nroutes: {a: {rollouts: {dev: \
                {include_cohorts: []}, production: {stage: ready_for_testing}}}}\n";
    let allowed = Allowed {
        demotion: true,
        prune: false,
    };
    let planned = plan(&whole, file, allowed);
    assert_eq!(
        steps(&planned),
        [
            "change the cohort beta",
            "demote to ready_for_testing: a in production",
            "name the keys treated apart: a in dev",
            "change the cohort beta",
        ]
    );
    let last = planned.items.last().unwrap();
    let needs: Vec<String> = last.needs.iter().map(ToString::to_string).collect();
    assert_eq!(needs, ["a in dev", "a in production"]);
    assert_eq!(planned.items[0].fields[0].to, serde_json::json!([]));
}
