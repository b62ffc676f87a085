//! Flags of GitLab.

use super::*;

pub(super) const DEFINITION: &str = "---\nname: count_commits\nfeature_issue_url: https://example.com/1\n\
    introduced_by_url: https://example.com/2\nrollout_issue_url: https://example.com/3\n\
    milestone: '17.4'\ngroup: group::gitaly\ntype: gitlab_com_derisk\ndefault_enabled: true\n";

#[test]
fn flags_of_gitlab_are_carried_by_definition_and_state() {
    let gates = |gates: &str| {
        format!(
            r#"[{{"name": "count_commits", "state": "conditional", "gates": [{gates}], "definition": null}}]"#
        )
    };
    for (said, becomes, loses) in [
        (r#"{"key": "boolean", "value": true}"#, "On + -", ""),
        (
            r#"{"key": "boolean", "value": false}"#,
            "StageDefault + -",
            "",
        ),
        (
            r#"{"key": "percentage_of_actors", "value": 34}"#,
            "34 % + -",
            "bucketing",
        ),
        (
            r#"{"key": "percentage_of_time", "value": 34}"#,
            "StageDefault + -",
            "at random",
        ),
        (
            r#"{"key": "boolean", "value": false}, {"key": "actors", "value": ["Project:1", "User:2"]}"#,
            "0 % +Project:1,User:2 -",
            "such as Project:1",
        ),
        (
            r#"{"key": "groups", "value": ["staff"]}"#,
            "StageDefault + -",
            "make cohorts",
        ),
    ] {
        let files = [
            ("a.yml".to_owned(), DEFINITION.to_owned()),
            ("features.json".to_owned(), gates(said)),
        ];
        for files in [files.clone(), [files[1].clone(), files[0].clone()]] {
            let moved = moved(System::GitLab, &files, &wish(Stage::ReadyForTesting)).unwrap();
            assert_eq!(moved.flags, 1);
            let is = of(&moved, "count_commits", "dev");
            assert_eq!(is, format!("ready_for_testing {becomes}"), "{said}");
            if !loses.is_empty() {
                says(&moved, "count_commits *", loses);
            }
            let route = &moved.declared.routes.as_ref().unwrap()["count_commits"];
            assert_eq!(route.owner.as_deref(), Some("gitaly"));
            let issue = route.links.as_ref().unwrap().issue.as_deref();
            assert_eq!(issue, Some("https://example.com/3"));
            assert_eq!(route.labels.as_ref().unwrap()["milestone"], "17.4");
        }
    }
    let alone = read(System::GitLab, DEFINITION, Stage::ReadyForTesting);
    assert_eq!(
        of(&alone, "count_commits", "dev"),
        "ready_for_testing On + -"
    );
    let nowhere = Wish {
        everywhere: None,
        ..wish(Stage::ReadyForTesting)
    };
    let files = [("a.yml".to_owned(), DEFINITION.to_owned())];
    let moved = moved(System::GitLab, &files, &nowhere).unwrap();
    says(&moved, "count_commits * state", "--environment ENV");
}
