//! What flags of other systems become.

mod gitlab;
mod pages;

use proptest::prelude::*;
use switchover::{EnvironmentKind, Setting};

use super::*;
use gitlab::DEFINITION;

fn wish(stage: Stage) -> Wish {
    let known = [
        ("dev", EnvironmentKind::Hosted, 1, false),
        ("production", EnvironmentKind::Hosted, 3, true),
    ];
    let known = known.map(|(key, kind, position, production)| {
        let environment = DeclaredEnvironment {
            kind: Some(kind),
            position: Some(position),
            production: Some(production),
        };
        (key.parse().unwrap(), environment)
    });
    Wish {
        endpoint_prefix: Some("x.Y".to_owned()),
        owner: Some("nobody".to_owned()),
        policy: None,
        operation: Operation::Call,
        stage,
        environments: BTreeMap::from([("test".to_owned(), "dev".parse().unwrap())]),
        everywhere: Some("dev".parse().unwrap()),
        known: BTreeMap::from(known),
    }
}

fn read(system: System, text: &str, stage: Stage) -> Moved {
    moved(
        system,
        &[("file".to_owned(), text.to_owned())],
        &wish(stage),
    )
    .unwrap()
}

/// What became of a flag in an environment: its stage, its setting, its keys.
fn of(moved: &Moved, route: &str, environment: &str) -> String {
    let routes = moved.declared.routes.as_ref().unwrap();
    let Some(route) = routes.get(route) else {
        return "no route".to_owned();
    };
    let environment: EnvironmentKey = environment.parse().unwrap();
    let Some(rollout) = route.rollouts.get(&environment) else {
        return "nothing".to_owned();
    };
    let setting = match rollout.setting.map(|setting| setting.0) {
        None => "unset".to_owned(),
        Some(Setting::Ramp { percent }) => percent.to_string(),
        Some(setting) => format!("{setting:?}"),
    };
    let keys = |keys: &Option<BTreeSet<String>>| {
        let keys: Vec<String> = keys.iter().flatten().cloned().collect();
        keys.join(",")
    };
    let (include, exclude) = (keys(&rollout.include), keys(&rollout.exclude));
    format!("{} {setting} +{include} -{exclude}", rollout.stage.unwrap())
}

fn lost(moved: &Moved) -> Vec<String> {
    let lost = moved.lost.iter();
    lost.map(|it| {
        let place = it.environment.as_deref().unwrap_or("*");
        format!("{} {place} {}: {}", it.flag, it.field, it.detail)
    })
    .collect()
}

#[track_caller]
fn says(moved: &Moved, start: &str, part: &str) {
    let lost = lost(moved);
    let found = lost
        .iter()
        .any(|line| line.starts_with(start) && line.contains(part));
    assert!(found, "{start} … {part}: {lost:#?}");
}

/// A flag of LaunchDarkly with this in its environments.
fn launched(dev: &str, production: &str) -> String {
    format!(
        r#"{{"items": [{{
            "key": "new.page", "name": "New page", "kind": "boolean", "tags": ["ui", "web"],
            "variations": [{{"value": true, "_id": "1"}}, {{"value": false, "_id": "2"}}],
            "_maintainer": {{"email": "ann@example.com", "_id": "x"}}, "archived": false,
            "environments": {{
                "test": {{"on": true, "offVariation": 1, {dev}, "salt": "s"}},
                "production": {{"on": true, "offVariation": 1, {production}}}
            }}
        }}], "totalCount": 1}}"#
    )
}

#[test]
fn a_flag_of_launchdarkly_is_carried_as_far_as_a_key_decides() {
    let all = r#""fallthrough": {"variation": 0}"#;
    let none = r#""fallthrough": {"variation": 1}"#;
    let share = r#""fallthrough": {"rollout": {"variations": [
        {"variation": 0, "weight": 12500}, {"variation": 1, "weight": 87500}]}}"#;
    let by = r#""fallthrough": {"rollout": {"bucketBy": "email", "variations": [
        {"variation": 0, "weight": 50000}]}}"#;
    let targets = r#""fallthrough": {"variation": 1}, "targets": [
        {"values": ["7", "8"], "variation": 0}, {"values": ["9"], "variation": 1, "contextKind": "user"}],
        "contextTargets": [{"values": ["o"], "variation": 0, "contextKind": "org"},
                           {"values": [], "variation": 0, "contextKind": "user"}]"#;
    let rules =
        r#""fallthrough": {"variation": 0}, "rules": [{"clauses": [{"attribute": "country"}]}]"#;
    for (said, becomes, loses) in [
        (all, "ready_for_testing On + -", ""),
        (none, "ready_for_testing StageDefault + -", ""),
        (share, "ready_for_testing 12.5 % + -", "bucketing"),
        (
            by,
            "ready_for_testing 50 % + -",
            "bucketBy: callers are told apart by `email`",
        ),
        (
            targets,
            "ready_for_testing 0 % +7,8 -9",
            "targets: 1 of the kind org",
        ),
        (
            rules,
            "ready_for_testing StageDefault + -",
            "rules: 1 on attributes",
        ),
    ] {
        let moved = read(
            System::LaunchDarkly,
            &launched(said, none),
            Stage::ReadyForTesting,
        );
        assert_eq!(of(&moved, "new_page", "dev"), becomes, "{said}");
        if !loses.is_empty() {
            says(&moved, "new.page test", loses);
        }
    }
    let moved = read(
        System::LaunchDarkly,
        &launched(none, share),
        Stage::ReadyForTesting,
    );
    assert_eq!(
        of(&moved, "new_page", "production"),
        "ready_for_testing unset + -"
    );
    says(
        &moved,
        "new.page production exposure",
        "it is on for 12.5 %",
    );
    says(&moved, "new.page * key", "becomes new_page");
    let route = &moved.declared.routes.as_ref().unwrap()["new_page"];
    assert_eq!(route.endpoint.as_deref(), Some("x.Y/NewPage"));
    assert_eq!(route.owner.as_deref(), Some("ann@example.com"));
    assert_eq!(route.labels.as_ref().unwrap()["tags"], "ui, web");
    // Somebody who says so brings it to where it is on; environments before come along, off.
    let moved = read(System::LaunchDarkly, &launched(none, share), Stage::OptIn);
    assert_eq!(of(&moved, "new_page", "production"), "opt_in 12.5 % + -");
    assert_eq!(of(&moved, "new_page", "dev"), "opt_in Off + -");
}

#[test]
fn prerequisites_become_requirements_or_nobody_is_let_through() {
    let file = |needs: &str| {
        format!(
            r#"{{"items": [
                {{"key": "a", "variations": [{{"value": false}}, {{"value": true}}]}},
                {{"key": "b", "variations": [{{"value": true}}, {{"value": false}}], "environments": {{
                    "dev": {{"on": true, "fallthrough": {{"variation": 0}}, "prerequisites": [{needs}]}}}}}},
                {{"key": "c", "variations": [{{"value": "x"}}, {{"value": "y"}}, {{"value": "z"}}]}}
            ]}}"#
        )
    };
    let read = |needs: &str| read(System::LaunchDarkly, &file(needs), Stage::ReadyForTesting);
    let required = read(r#"{"key": "a", "variation": 1}"#);
    assert_eq!(of(&required, "b", "dev"), "ready_for_testing On + -");
    let route = &required.declared.routes.as_ref().unwrap()["b"];
    assert_eq!(route.requires.as_ref().unwrap().len(), 1);
    assert_eq!(of(&required, "c", "dev"), "no route");
    says(&required, "c *", "left out: it has 3 variations");
    for other in [
        r#"{"key": "a", "variation": 0}"#,
        r#"{"key": "gone", "variation": 0}"#,
    ] {
        let moved = read(other);
        assert_eq!(
            of(&moved, "b", "dev"),
            "ready_for_testing StageDefault + -",
            "{other}"
        );
        says(&moved, "b dev prerequisites", "only be required to be new");
        says(&moved, "b * exposure", "nobody takes the new path");
        says(&moved, "a * state", "env=ENVIRONMENT");
    }
}

#[test]
fn a_migration_flag_is_where_the_new_side_decides() {
    let flag = |fallthrough: &str| {
        format!(
            r#"{{"key": "move_db", "kind": "multivariate",
                "migrationSettings": {{"stageCount": 6, "contextKind": "user"}},
                "variations": [{{"value": "off"}}, {{"value": "dualwrite"}}, {{"value": "shadow"}},
                    {{"value": "live"}}, {{"value": "rampdown"}}, {{"value": "complete"}}],
                "environments": {{"dev": {{"on": true, "offVariation": 0, "fallthrough": {fallthrough}}}}}}}"#
        )
    };
    for (fallthrough, becomes, mirrors) in [
        (r#"{"variation": 0}"#, "StageDefault", false),
        (r#"{"variation": 1}"#, "StageDefault", true),
        (r#"{"variation": 3}"#, "On", true),
        (r#"{"variation": 5}"#, "On", false),
        (
            r#"{"rollout": {"variations": [{"variation": 2, "weight": 90000}, {"variation": 3, "weight": 10000}]}}"#,
            "10 %",
            true,
        ),
    ] {
        let moved = read(
            System::LaunchDarkly,
            &flag(fallthrough),
            Stage::ReadyForTesting,
        );
        let is = of(&moved, "move_db", "dev");
        assert_eq!(
            is,
            format!("ready_for_testing {becomes} + -"),
            "{fallthrough}"
        );
        let told = lost(&moved)
            .iter()
            .any(|line| line.contains("set the mirror"));
        assert_eq!(told, mirrors, "{fallthrough}");
        let route = &moved.declared.routes.as_ref().unwrap()["move_db"];
        assert_eq!(route.operation, Some(Operation::Write));
    }
}

/// An export of Unleash with these strategies of one flag.
fn unleashed(enabled: bool, strategies: &str) -> String {
    format!(
        r#"{{"features": [{{"name": "my-feature", "description": "d", "type": "release",
              "project": "default", "stale": false, "archived": false}}],
            "featureStrategies": [{strategies}],
            "featureEnvironments": [{{"featureName": "my-feature", "environment": "test",
              "enabled": {enabled}, "variants": []}}],
            "featureTags": [{{"featureName": "my-feature", "tagType": "simple", "tagValue": "ui"}}],
            "contextFields": [], "segments": [{{"id": 1, "name": "s"}}], "tagTypes": []}}"#
    )
}

#[test]
fn a_flag_of_unleash_is_carried_as_far_as_a_key_decides() {
    let strategy = |name: &str, parameters: &str, more: &str| {
        format!(
            r#"{{"name": "{name}", "id": "1", "featureName": "my-feature", "parameters": {{{parameters}}},
                "constraints": [], "segments": []{more}}}"#
        )
    };
    let flexible = |share: &str, sticky: &str| {
        let parameters =
            format!(r#""groupId": "g", "rollout": "{share}", "stickiness": "{sticky}""#);
        strategy("flexibleRollout", &parameters, "")
    };
    let two = format!("{}, {}", flexible("5", "default"), flexible("30", "userId"));
    let ids = strategy("userWithId", r#""userIds": "7, 8,,9 ""#, "");
    let bound = strategy("default", "", r#", "constraints": [{"contextName": "x"}]"#).replace(
        r#""constraints": [], "segments": [], "#,
        r#""segments": [], "#,
    );
    let segment = strategy("default", "", "").replace(r#""segments": []"#, r#""segments": [1]"#);
    let disabled = strategy("default", "", r#", "disabled": true"#);
    for (strategies, becomes, loses) in [
        (String::new(), "On + -", ""),
        (strategy("default", "", ""), "On + -", ""),
        (flexible("25", "default"), "25 % + -", "bucketing"),
        (flexible("25", "random"), "StageDefault + -", "at random"),
        (flexible("25", "country"), "25 % + -", "`country`"),
        (
            flexible("250", "default"),
            "StageDefault + -",
            "`250` is no share",
        ),
        (two, "30 % + -", "the largest is carried"),
        (ids, "0 % +7,8,9 -", ""),
        (bound, "StageDefault + -", "1 constraints"),
        (segment, "StageDefault + -", "1 segments"),
        (disabled, "StageDefault + -", ""),
        (
            strategy("remoteAddress", r#""IPs": "10.0.0.1""#, ""),
            "StageDefault + -",
            "not known here",
        ),
        (
            strategy("gradualRolloutSessionId", r#""percentage": 10"#, ""),
            "10 % + -",
            "sessionId",
        ),
    ] {
        let moved = read(
            System::Unleash,
            &unleashed(true, &strategies),
            Stage::ReadyForTesting,
        );
        let is = of(&moved, "my_feature", "dev");
        assert_eq!(is, format!("ready_for_testing {becomes}"), "{strategies}");
        if !loses.is_empty() {
            says(&moved, "my-feature test", loses);
        }
    }
    let off = read(System::Unleash, &unleashed(false, ""), Stage::OptIn);
    assert_eq!(
        of(&off, "my_feature", "dev"),
        "ready_for_testing StageDefault + -"
    );
    let labels = off.declared.routes.unwrap()["my_feature"]
        .labels
        .clone()
        .unwrap();
    assert_eq!(labels["simple"], "ui");
}

#[test]
fn the_older_exports_of_unleash_are_read_too() {
    let state = r#"{"version": 4, "features": [{"name": "f", "variants": [{"name": "v"}]}],
        "featureStrategies": [{"id": "s1", "featureName": "f", "strategyName": "default",
            "environment": "dev", "parameters": {}, "constraints": []}],
        "featureEnvironments": [{"featureName": "f", "environment": "dev", "enabled": true},
            {"featureName": "f", "environment": "elsewhere", "enabled": true}],
        "featureStrategySegments": [{"featureStrategyId": "s1", "segmentId": 1}]}"#;
    let moved = read(System::Unleash, state, Stage::ReadyForTesting);
    assert_eq!(of(&moved, "f", "dev"), "ready_for_testing StageDefault + -");
    says(&moved, "f dev strategy default", "1 segments");
    says(
        &moved,
        "f elsewhere environment",
        "--environment elsewhere=ENV",
    );
    says(&moved, "f * variants", "two paths");
    let first = r#"{"version": 1, "features": [{"name": "f", "enabled": true,
        "strategies": [{"name": "default"}]}], "strategies": []}"#;
    let moved = read(System::Unleash, first, Stage::ReadyForTesting);
    assert_eq!(of(&moved, "f", "dev"), "ready_for_testing On + -");
}

#[test]
fn what_is_missing_or_taken_is_said() {
    let names = r#"[{"name": "a-b", "state": "off"}, {"name": "a_b", "state": "off"},
        {"name": "数", "state": "off"}]"#;
    let bare = Wish {
        endpoint_prefix: None,
        owner: None,
        ..wish(Stage::ReadyForTesting)
    };
    let moved = moved(System::GitLab, &[("f".to_owned(), names.to_owned())], &bare).unwrap();
    says(&moved, "a-b * endpoint", "--endpoint-prefix");
    says(&moved, "a-b * owner", "--owner");
    says(&moved, "a_b * (all of it)", "which is that of `a-b`");
    says(&moved, "数 * (all of it)", "no route key");
}

#[test]
fn what_is_no_export_is_refused_and_says_where() {
    for system in [System::LaunchDarkly, System::Unleash, System::GitLab] {
        for (text, place) in [
            ("{", true),
            ("[1, 2", true),
            ("{\"items\": 3}", false),
            ("name: [", true),
        ] {
            let files = [("f".to_owned(), text.to_owned())];
            let (name, why) = moved(system, &files, &wish(Stage::OptIn)).unwrap_err();
            assert_eq!(name, "f");
            assert!(why.place.is_some() || !place, "{system:?} {text}: {why}");
            assert!(why.detail.len() > 10, "{why}");
        }
    }
}

proptest! {
    #[test]
    fn rubbish_is_refused_and_never_panics(
        text in "\\PC{0,80}",
        at in 0..400_usize,
        with in "[\\PC\n]{0,4}",
    ) {
        let whole = launched(r#""fallthrough": {"variation": 0}"#, r#""rules": []"#);
        let strategies = r#"{"name": "flexibleRollout", "featureName": "my-feature"}"#;
        let forms = [
            (System::LaunchDarkly, whole),
            (System::Unleash, unleashed(true, strategies)),
            (System::GitLab, DEFINITION.to_owned()),
        ];
        for (system, form) in forms {
            let letters: Vec<char> = form.chars().collect();
            let at = at.min(letters.len());
            let broken: String = letters[..at].iter().copied()
                .chain(with.chars())
                .chain(letters[at..].iter().copied().skip(3))
                .collect();
            for text in [text.clone(), broken] {
                let _ = moved(system, &[("f".to_owned(), text)], &wish(Stage::OptIn));
            }
        }
    }
}
