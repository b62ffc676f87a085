//! Answers of LaunchDarkly that say only a part of what there is.

use super::*;

/// A page with these flags, of so many, of a list that was asked for so.
fn page(keys: &[&str], total: usize, this: &str, next: bool) -> String {
    let items: Vec<String> = keys
        .iter()
        .map(|key| {
            format!(r#"{{"key": "{key}", "variations": [{{"value": true}}, {{"value": false}}]}}"#)
        })
        .collect();
    let next = match next {
        true => r#", "next": {"href": "/api/v2/flags/p?offset=2", "type": "application/json"}"#,
        false => "",
    };
    format!(
        r#"{{"items": [{}], "totalCount": {total},
            "_links": {{"self": {{"href": "{this}", "type": "application/json"}}{next}}}}}"#,
        items.join(", ")
    )
}

fn read_all(pages: &[String]) -> Result<Moved, (String, Unreadable)> {
    let files: Vec<(String, String)> = pages
        .iter()
        .enumerate()
        .map(|(at, text)| (format!("{at}.json"), text.clone()))
        .collect();
    moved(System::LaunchDarkly, &files, &wish(Stage::ReadyForTesting))
}

#[test]
fn a_list_of_which_a_page_is_missing_is_refused() {
    let first = page(&["a", "b"], 5, "/flags/p?summary=0&limit=2", true);
    let second = page(&["c", "d"], 5, "/flags/p?limit=2&offset=2&summary=0", true);
    let third = page(&["e"], 5, "/flags/p?limit=2&summary=0&offset=4", false);
    let other = page(&["x"], 1, "/flags/q?summary=0", false);
    let uncounted = page(&["a"], 0, "/flags/p", true);
    let unlinked = r#"{"items": [], "totalCount": 1}"#.to_owned();
    for (pages, flags, says) in [
        (vec![&first, &second, &third], 5, ""),
        (vec![&third, &first, &second], 5, ""),
        (vec![&first, &second, &third, &other], 6, ""),
        (vec![&other], 1, ""),
        (vec![&first], 0, "2 of 5 flags are here"),
        (vec![&other, &first, &third], 0, "3 of 5 flags are here"),
        // A page twice is no second page.
        (vec![&first, &first, &first], 0, "2 of 5 flags are here"),
        (vec![&uncounted], 0, "another page follows"),
        (vec![&unlinked], 0, "0 of 1 flags"),
    ] {
        let pages: Vec<String> = pages.into_iter().cloned().collect();
        match read_all(&pages) {
            Ok(moved) => assert_eq!((moved.flags, says), (flags, ""), "{pages:?}"),
            Err((name, why)) => {
                assert!(name.ends_with(".json"));
                assert!(!says.is_empty() && why.detail.contains(says), "{why}");
                assert!(why.detail.contains("limit=100&offset="), "{why}");
            }
        }
    }
}

#[test]
fn what_another_page_names_is_known() {
    let first = page(&["a"], 2, "/flags/p", true);
    let second = r#"{"items": [{"key": "b", "variations": [{"value": true}, {"value": false}],
        "environments": {"dev": {"on": true, "fallthrough": {"variation": 0},
            "prerequisites": [{"key": "a", "variation": 0}]}}}], "totalCount": 2,
        "_links": {"self": {"href": "/flags/p?offset=1"}}}"#;
    let moved = read_all(&[first, second.to_owned()]).unwrap();
    assert_eq!(of(&moved, "b", "dev"), "ready_for_testing On + -");
    let route = &moved.declared.routes.as_ref().unwrap()["b"];
    assert_eq!(route.requires.as_ref().unwrap().len(), 1);
}

#[test]
fn a_summary_is_refused() {
    let summary = |on: bool, more: &str| {
        format!(
            r#"{{"items": [{{"key": "new", "variations": [{{"value": true}}, {{"value": false}}],
                "environments": {{"test": {{"on": {on}, "archived": false, "_environmentName": "Test",
                    "_summary": {{"variations": {{"0": {{"rules": 0, "nullRules": 0, "targets": 0,
                        "isFallthrough": true}}}}, "prerequisites": 0}}{more}}}}}}}], "totalCount": 1}}"#
        )
    };
    for text in [summary(true, ""), summary(false, "")] {
        let (name, why) = read_all(&[text]).unwrap_err();
        assert_eq!(name, "0.json");
        for part in ["`new` in `test`", "fetched without summary=0"] {
            assert!(why.detail.contains(part), "{why}");
        }
    }
    // The whole has a summary too.
    let whole = summary(true, r#", "fallthrough": {"variation": 0}"#);
    let moved = read_all(&[whole]).unwrap();
    assert_eq!(of(&moved, "new", "dev"), "ready_for_testing On + -");
}

#[test]
fn variations_of_text_are_left_out_and_why() {
    for (variations, says) in [
        (
            r#"{"value": "red"}, {"value": "blue"}"#,
            "are not true and false",
        ),
        (r#"{"value": 1}, {"value": 2}"#, "are not true and false"),
        (r#"{"value": "red"}"#, "it has 1 variation,"),
        (
            r#"{"value": 1}, {"value": 2}, {"value": 3}"#,
            "it has 3 variations",
        ),
    ] {
        let text = format!(r#"{{"key": "colour", "variations": [{variations}]}}"#);
        let moved = read_all(&[text]).unwrap();
        assert_eq!(of(&moved, "colour", "dev"), "no route");
        super::says(&moved, "colour * (all of it)", says);
    }
}
