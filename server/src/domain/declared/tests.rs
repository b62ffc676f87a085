//! Reading, comparing and planning, by tables and by chance.

mod lower;
mod model;

use proptest::prelude::*;
use switchover::{Percent, Setting, Stage};

use self::model::{drawn, on_server, share, walk};
use super::*;

const EMPTY: &str = "version: 1\n";

fn read(text: &str) -> Declared {
    Declared::read(text).unwrap()
}

fn complaint(text: &str) -> String {
    Declared::read(text).unwrap_err().to_string()
}

fn plan(whole: &Whole, text: &str, allowed: Allowed) -> Plan {
    Plan::make(whole, &read(text), allowed).unwrap()
}

fn told(plan: &Plan) -> Vec<String> {
    let notes = plan.notes.iter();
    notes
        .map(|note| format!("{}: {}", note.thing, note.text))
        .collect()
}

fn steps(plan: &Plan) -> Vec<String> {
    let items = plan.items.iter();
    items.flat_map(|item| item.steps.clone()).collect()
}

fn percent(thousandths: u32) -> Percent {
    Percent::from_thousandths(thousandths).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn what_is_written_is_read_again(whole in drawn()) {
        let declared = whole.to_declared(&BTreeSet::new(), &BTreeSet::new());
        prop_assert_eq!(&read(&declared.to_yaml().unwrap()), &declared);
        prop_assert_eq!(&read(&declared.to_json().unwrap()), &declared);
    }

    #[test]
    fn nothing_differs_from_itself(whole in drawn()) {
        let declared = whole.to_declared(&BTreeSet::new(), &BTreeSet::new());
        let plan = Plan::make(&whole, &declared, Allowed { demotion: true, prune: true }).unwrap();
        prop_assert_eq!(plan.items, vec![]);
    }

    #[test]
    fn a_plan_that_is_carried_out_leads_to_what_is_declared(from in drawn(), to in drawn()) {
        let declared = to.to_declared(&BTreeSet::new(), &BTreeSet::new());
        let allowed = Allowed { demotion: true, prune: true };
        let mut whole = from.clone();
        let plan = Plan::make(&whole, &declared, allowed).unwrap();
        walk(&mut whole, &declared, &plan, allowed, &mut |_| ());
        let mut reached = whole.to_declared(&BTreeSet::new(), &BTreeSet::new());
        // Routes are not taken away by a file, and neither are ramps.
        for (key, route) in reached.routes.as_mut().unwrap() {
            for (environment, rollout) in &mut route.rollouts {
                let wanted = to.routes.get(key).and_then(|to| to.rollouts.get(environment));
                if wanted.is_some_and(|wanted| wanted.ramp.is_none()) {
                    rollout.ramp = None;
                }
            }
        }
        reached.routes.as_mut().unwrap().retain(|key, _| to.routes.contains_key(key));
        prop_assert_eq!(&reached, &declared);
        let again = Plan::make(&whole, &declared, allowed).unwrap();
        prop_assert_eq!(again.items, vec![]);
    }

    #[test]
    fn on_the_way_no_more_is_exposed_than_before_or_after(from in drawn(), to in drawn()) {
        let declared = to.to_declared(&BTreeSet::new(), &BTreeSet::new());
        let allowed = Allowed { demotion: true, prune: false };
        let mut whole = from.clone();
        let plan = Plan::make(&whole, &declared, allowed).unwrap();
        let mut most = Vec::new();
        walk(&mut whole, &declared, &plan, allowed, &mut |state| {
            for (key, route) in &state.routes {
                for environment in route.rollouts.keys() {
                    most.push((key.clone(), environment.clone(), share(state, key, environment)));
                }
            }
        });
        for (key, environment, seen) in most {
            let had = share(&from, &key, &environment);
            let gets = share(&whole, &key, &environment);
            prop_assert!(seen <= had.max(gets), "{} in {}: {} on the way", key, environment, seen);
        }
    }

    #[test]
    fn rubbish_is_refused_and_never_panics(text in "\\PC{0,200}") {
        let _ = Declared::read(&text);
    }

    #[test]
    fn a_file_that_broke_is_refused_or_read(whole in drawn(), at in 0..4_000_usize, with in "\\PC{0,3}") {
        let declared = whole.to_declared(&BTreeSet::new(), &BTreeSet::new());
        let text: Vec<char> = declared.to_yaml().unwrap().chars().collect();
        let at = at.min(text.len());
        let broken: String = text[..at].iter().chain(&with.chars().collect::<Vec<_>>()).chain(text[at..].iter().skip(2)).collect();
        if let Ok(read) = Declared::read(&broken) {
            let _ = Plan::make(&whole, &read, Allowed::default());
        }
    }
}

#[test]
fn complaints_say_where_and_what() {
    for (text, parts) in [
        ("", &["line 1", "end of input"][..]),
        ("version: 2\n", &["version", "not 2"]),
        (
            "version: 1\nroute: {}\n",
            &["line 2", "column 1", "route", "routes"],
        ),
        (
            "version: 1\nroutes:\n  a:\n    rollouts:\n      dev:\n        stge: opt_in\n",
            &["line 6", "column 9", "stge", "stage"],
        ),
        (
            "version: 1\nroutes:\n  a:\n    rollouts:\n      dev:\n        stage: opt-in\n",
            &["line 6", "opt-in", "opt_in"],
        ),
        (
            "version: 1\nroutes:\n  a:\n    rollouts:\n      dev: {setting: {mode: ramp}}\n",
            &["line 5", "percent"],
        ),
        ("version: 1\nroutes: {A: {}}\n", &["line 2", "key"]),
        (
            "version: 1\ncohorts: {a: {keys: [1]}, a: {keys: [2]}}\n",
            &["line 2", "uplicate"],
        ),
        (
            "version: 1\npolicies: {p: {gates: {opt_in: [{gate: none}]}}}\n",
            &["policies.p", "none"],
        ),
        ("version: 1\nversion: 1\n", &["uplicate"]),
        ("version: 1\n---\nversion: 1\n", &["document"]),
        ("a: [", &["line"]),
        ("\u{0}", &[""]),
    ] {
        let said = complaint(text);
        for part in parts {
            assert!(said.contains(part), "{text:?}: {said}");
        }
        assert_eq!(said.lines().count(), 1, "{said}");
    }
}

#[test]
fn what_would_fill_the_memory_is_refused_at_once() {
    let mut bomb = String::from("version: 1\na0: &a0 [x, x, x, x, x, x, x, x, x]\n");
    for level in 1..12 {
        let alias = format!("*a{}", level - 1);
        let row = vec![alias; 9].join(", ");
        bomb.push_str(&format!("a{level}: &a{level} [{row}]\n"));
    }
    bomb.push_str("policies: {p: {description: *a11}}\n");
    for text in [
        bomb,
        format!(
            "version: 1\npolicies: {{p: {}{}}}\n",
            "[".repeat(5_000),
            "]".repeat(5_000)
        ),
        format!("version: 1\n#{}", "x".repeat(LARGEST_FILE)),
    ] {
        complaint(&text);
    }
}

#[test]
fn words_are_what_people_mean_by_them() {
    let file = read(
        "version: 1\ncohorts:\n  beta: {keys: [7, 42, 0x1f, 'no', 1_0]}\nroutes:\n  no:\n    \
         description: |\n      two\n      lines\n    rollouts:\n      dev: {setting: {mode: off}}\n      \
         production: {setting: {mode: ramp, percent: 12.5}, ramp: [{percent: 1, hold: 24h}]}\n",
    );
    let keys = file
        .cohorts
        .as_ref()
        .unwrap()
        .values()
        .next()
        .unwrap()
        .keys
        .clone();
    let keys: Vec<String> = keys.unwrap().into_iter().collect();
    assert_eq!(keys, ["0x1f", "1_0", "42", "7", "no"]);
    let route = file.routes.as_ref().unwrap().values().next().unwrap();
    assert_eq!(route.description.as_deref(), Some("two\nlines"));
    let settings: Vec<_> = route
        .rollouts
        .values()
        .map(|it| it.setting.unwrap().0)
        .collect();
    let ramp = Setting::Ramp {
        percent: percent(12_500),
    };
    assert_eq!(settings, [Setting::Off, ramp]);
    let written = file.to_yaml().unwrap();
    insta::assert_snapshot!(written);
    assert_eq!(read(&written), file);
}

#[test]
fn what_a_file_does_not_say_is_left_alone() {
    let whole = on_server();
    for text in [
        EMPTY,
        "version: 1\nroutes: {}\ncohorts: {}\n",
        "version: 1\nroutes: {a: {}}\ncohorts: {beta: {}}\n",
        "version: 1\nroutes: {a: {rollouts: {production: {}}}}\n",
    ] {
        assert_eq!(
            plan(&whole, text, Allowed::default()),
            Plan::default(),
            "{text}"
        );
    }
}

#[test]
fn only_what_a_section_leaves_out_is_pruned() {
    let whole = on_server();
    let prune = Allowed {
        prune: true,
        demotion: false,
    };
    assert_eq!(steps(&plan(&whole, EMPTY, prune)), Vec::<String>::new());
    let removed = steps(&plan(
        &whole,
        "version: 1\ncohorts: {}\nroutes: {}\n",
        prune,
    ));
    assert_eq!(removed, ["delete the cohort beta"]);
}

#[test]
fn a_lower_stage_is_a_demotion_that_somebody_allows() {
    let mut whole = on_server();
    model::rollout(&mut whole, "a", "dev").stage = Some(Stage::OptOut);
    let file = "version: 1\nroutes: {a: {rollouts: {dev: {stage: opt_in, setting: {mode: on}}}}}\n";
    let held = plan(&whole, file, Allowed::default());
    assert!(
        held.items[0]
            .held_back
            .as_ref()
            .unwrap()
            .contains("--allow-demotion")
    );
    assert_eq!(steps(&held), Vec::<String>::new());
    let allowed = Allowed {
        demotion: true,
        prune: false,
    };
    let done = steps(&plan(&whole, file, allowed));
    assert_eq!(done, ["demote to opt_in: a in dev", "set on: a in dev"]);
}

#[test]
fn stages_are_walked_one_by_one_and_never_from_none_to_all() {
    let whole = on_server();
    let file = "version: 1\nroutes: {a: {rollouts: {dev: {stage: opt_out, setting: {mode: ramp, \
                percent: 20}, exclude: [x], include: [y]}}}}\n";
    assert_eq!(
        steps(&plan(&whole, file, Allowed::default())),
        [
            "name the keys treated apart: a in dev",
            "set 0 %: a in dev",
            "promote to opt_in: a in dev",
            "promote to opt_out: a in dev",
            "name the keys treated apart: a in dev",
            "set 20 %: a in dev",
        ]
    );
}

#[test]
fn routes_come_after_those_that_they_require_and_environments_in_order() {
    let whole = on_server();
    let add = |key: &str, more: &str| {
        format!(
            "  {key}: {{endpoint: x.Y/{key}, operation: read, owner: o{more}, rollouts: {{production: \
             {{stage: opt_in}}, dev: {{stage: opt_in}}}}}}\n"
        )
    };
    let file = format!(
        "version: 1\nroutes:\n{}{}",
        add("b", ", requires: [c]"),
        add("c", "")
    );
    let planned = plan(&whole, &file, Allowed::default());
    let things: Vec<String> = planned
        .items
        .iter()
        .map(|item| item.thing.to_string())
        .collect();
    assert_eq!(
        things,
        [
            "route c",
            "c in dev",
            "c in production",
            "route b",
            "b in dev",
            "b in production"
        ]
    );
    let needs: Vec<String> = planned.items[5]
        .needs
        .iter()
        .map(ToString::to_string)
        .collect();
    assert_eq!(needs, ["route b", "b in dev", "c in production"]);
}

#[test]
fn what_runs_by_itself_or_was_an_emergency_is_left_alone() {
    let mut whole = on_server();
    model::rollout(&mut whole, "a", "dev").stage = Some(Stage::OptIn);
    let file = "version: 1\nroutes: {a: {rollouts: {dev: {setting: {mode: ramp, percent: 50}, mirror: \
                {read_percent: 1, write_percent: 0}, include: [x]}}}}\n";
    let mut with = |facts: Facts, setting: Setting| {
        model::rollout(&mut whole, "a", "dev").setting = Some(DeclaredSetting(setting));
        let of = ("a".parse().unwrap(), "dev".parse().unwrap());
        whole.facts.insert(of, facts);
        let plan = plan(&whole, file, Allowed::default());
        (steps(&plan).join(", "), told(&plan).join(", "))
    };
    let ramp = |ramp| Facts {
        ramp: Some(ramp),
        ..Facts::default()
    };
    let low = Setting::Ramp {
        percent: percent(10_000),
    };
    let high = Setting::Ramp {
        percent: percent(90_000),
    };
    for (facts, setting, sets, says) in [
        (Facts::default(), low, true, ""),
        (ramp(RampFact::Moving), low, false, "ramp is running"),
        (ramp(RampFact::Moving), high, false, "ramp is running"),
        (ramp(RampFact::Waiting), low, false, "goes up by its steps"),
        (ramp(RampFact::Waiting), high, true, ""),
        (ramp(RampFact::Finished), low, true, ""),
        (
            Facts {
                window: true,
                ..Facts::default()
            },
            low,
            false,
            "acceptance window",
        ),
        (
            Facts {
                mirror_stopped: true,
                ..Facts::default()
            },
            low,
            true,
            "mirror was stopped",
        ),
        (
            Facts {
                halted: true,
                ..Facts::default()
            },
            low,
            false,
            "until somebody resumes it",
        ),
        (
            Facts {
                halted: true,
                ..Facts::default()
            },
            high,
            true,
            "halted",
        ),
    ] {
        let (steps, told) = with(facts.clone(), setting);
        assert_eq!(steps.contains("set 50 %"), sets, "{facts:?}: {steps}");
        assert_eq!(
            steps.contains("mirror"),
            !facts.mirror_stopped,
            "{facts:?}: {steps}"
        );
        assert_eq!(
            steps.contains("treated apart"),
            !facts.window,
            "{facts:?}: {steps}"
        );
        assert!(told.contains(says), "{facts:?}: {told}");
        assert_eq!(told.is_empty(), says.is_empty(), "{facts:?}: {told}");
    }
}

#[test]
fn what_cannot_be_is_said_before_anything_is_done() {
    let whole = on_server();
    let file =
        "cohorts: {new: {keys: []}}\nroutes: {a: {rollouts: {dev: {include_cohorts: [new]}}}}";
    let file = read(&format!("version: 1\n{file}\n"));
    assert!(Plan::make(&whole, &file, Allowed::default()).is_ok());
    for (file, says) in [
        ("environments: {new: {kind: hosted}}", "environments.new"),
        ("environments: {dev: {kind: on_prem}}", "never changes"),
        ("ramp_groups: {g: {description: x}}", "ramp_groups.g"),
        ("routes: {new: {owner: x}}", "`endpoint`, `operation`"),
        (
            "routes: {new: {endpoint: x, operation: read, owner: x}}",
            "routes.new.endpoint",
        ),
        ("routes: {a: {flag: B}}", "routes.a.flag"),
        (
            "routes: {a: {rollouts: {nowhere: {}}}}",
            "there is no environment `nowhere`",
        ),
        (
            "routes: {a: {schedule: {nowhere: {opt_in: 2026-12-01}}}}",
            "`nowhere`",
        ),
        (
            "routes: {a: {policy: nope}}",
            "routes.a.policy: there is no policy `nope`",
        ),
        ("routes: {a: {requires: [nope]}}", "no route `nope`"),
        (
            "routes: {a: {rollouts: {dev: {include_cohorts: [nope]}}}}",
            "routes.a.rollouts.dev: there is no cohort `nope`",
        ),
    ] {
        let file = read(&format!("version: 1\n{file}\n"));
        let complaints = Plan::make(&whole, &file, Allowed::default()).unwrap_err();
        assert!(complaints.join("\n").contains(says), "{complaints:?}");
    }
}

#[test]
fn a_part_of_a_server_brings_what_it_uses() {
    let mut whole = on_server();
    whole
        .cohorts
        .insert("unused".parse().unwrap(), DeclaredCohort::default());
    let production = "production".parse().unwrap();
    let used = BTreeSet::from(["beta".parse().unwrap()]);
    model::rollout(&mut whole, "a", "production").exclude_cohorts = Some(used);
    let part = whole.to_declared(
        &BTreeSet::from(["a".parse().unwrap()]),
        &BTreeSet::from([production]),
    );
    assert_eq!(part.environments.unwrap().len(), 1);
    assert_eq!(part.cohorts.unwrap().len(), 1);
    assert_eq!(
        part.routes.unwrap().values().next().unwrap().rollouts.len(),
        1
    );
}
