use super::*;
use crate::refs::findings::Standing;

fn matcher() -> Matcher {
    let route = |key: &str, flag: &str| Tracked {
        key: key.to_owned(),
        flag: flag.to_owned(),
        standing: Standing::Moving,
    };
    Matcher::new(&[
        route("count_commits", "GITALY_COUNT_COMMITS"),
        route("count", "GITALY_COUNT"),
        route("commits", "VEGA_COMMITS"),
        route("find", "FIND"),
    ])
    .unwrap()
}

/// What is found, as `line:column name`, with a `?` behind what no route has.
fn found(text: &[u8], syntax: Syntax) -> Vec<String> {
    let told = |found: Found| {
        let mark = match found.subject {
            Subject::Route(_) => "",
            Subject::Unknown => "?",
        };
        format!("{}:{} {}{mark}", found.line, found.column, found.name)
    };
    matcher().find(text, syntax).into_iter().map(told).collect()
}

#[track_caller]
fn check(syntax: Syntax, cases: &[(&str, &[&str])]) {
    for (text, expected) in cases {
        assert_eq!(found(text.as_bytes(), syntax), *expected, "{text}");
    }
}

#[test]
fn a_key_counts_as_openfeature_asks_for_its_path() {
    let plain: [(&str, &[&str]); 5] = [
        (
            "client.getStringValue('count_commits.path', 'old')",
            &["1:24 count_commits"],
        ),
        ("\"count_commits.path\"", &["1:2 count_commits"]),
        ("\"count_commits.paths\"", &[]),
        ("\"count_commits.path.x\"", &[]),
        ("count_commits.path", &[]),
    ];
    check(Syntax::Plain, &plain);
    let yaml: [(&str, &[&str]); 1] = [("count_commits.path: old", &["1:1 count_commits"])];
    check(Syntax::Yaml, &yaml);
}

#[test]
fn a_flag_counts_as_a_whole_word_wherever_it_stands() {
    check(
        Syntax::Plain,
        &[
            ("GITALY_COUNT_COMMITS", &["1:1 GITALY_COUNT_COMMITS"]),
            ("if $GITALY_COUNT_COMMITS;", &["1:5 GITALY_COUNT_COMMITS"]),
            ("# GITALY_COUNT, once", &["1:3 GITALY_COUNT"]),
            ("a\n\n  %FIND%\n", &["3:4 FIND"]),
            ("X-FIND: FIND.FIND", &["1:3 FIND", "1:9 FIND", "1:14 FIND"]),
            ("MY_GITALY_COUNT_COMMITS", &[]),
            (
                "GITALY_COUNT_COMMITS2 GITALY_COUNT_ GITALY_ gitaly_count",
                &[],
            ),
            ("GITALY_GITALY_COUNT", &[]),
            ("éFIND FINDé FINDß ñFIND", &[]),
            ("“FIND” …FIND…", &["1:2 FIND", "1:9 FIND"]),
            ("\"GITALY_\" + \"COUNT\"", &[]),
        ],
    );
    // Latin-1: letters make a longer word, signs do not.
    assert!(found(b"\xe9FIND FIND\xfc", Syntax::Plain).is_empty());
    assert_eq!(found(b"\xe4 \xabFIND\xbb", Syntax::Plain), ["1:4 FIND"]);
}

#[test]
fn a_key_counts_where_it_is_all_of_a_string() {
    check(
        Syntax::Plain,
        &[
            ("route(\"count_commits\")", &["1:8 count_commits"]),
            ("x = 'count_commits'", &["1:6 count_commits"]),
            ("r#\"count_commits\"#", &["1:4 count_commits"]),
            (
                r#""{\"route\":\"count_commits\"}""#,
                &["1:15 count_commits"],
            ),
            ("count_commits(repo)", &[]),
            ("\"count_commits_total\" \"my_count_commits\"", &[]),
            ("\"count_commits failed\" \"see count_commits\"", &[]),
            ("'count_commits\"", &[]),
            ("`count_commits`", &[]),
            (":count_commits", &[]),
        ],
    );
    check(
        Syntax::Backticks,
        &[("flag(`count_commits`)", &["1:7 count_commits"])],
    );
    check(
        Syntax::Symbols,
        &[
            ("enabled?(:count_commits)", &["1:11 count_commits"]),
            ("enabled? :count_commits, x", &["1:11 count_commits"]),
            ("a::count_commits b:count_commits", &[]),
            ("%{a}:count_commits", &[]),
        ],
    );
}

#[test]
fn a_key_of_one_word_needs_company() {
    check(
        Syntax::Rust,
        &[
            ("row.get(\"count\")", &[]),
            ("client.route(\"count\")", &["1:15 count"]),
            ("client.route( \"count\" )", &["1:16 count"]),
            ("RouteSpec::new(\"count\").flag(\"X\")", &["1:17 count"]),
            ("use switchover; flags(\"count\")", &["1:24 count"]),
            ("// OpenFeature\nget(\"count\")", &["2:6 count"]),
        ],
    );
}

#[test]
fn configuration_needs_no_quotes() {
    check(
        Syntax::Yaml,
        &[
            ("route: count_commits", &["1:8 count_commits"]),
            ("- count_commits # why", &["1:3 count_commits"]),
            ("  count_commits:\n    on: true", &["1:3 count_commits"]),
            ("routes: [find_x, count_commits]", &["1:18 count_commits"]),
            ("count: 3\ncommits: 4", &[]),
            ("about: see count_commits, or ask", &[]),
            ("about: first, count_commits, last", &[]),
            ("url: http://x/count_commits", &[]),
            ("a:count_commits", &[]),
        ],
    );
    check(
        Syntax::Toml,
        &[
            ("count_commits = true", &["1:1 count_commits"]),
            ("[routes.count_commits]", &["1:9 count_commits"]),
            ("x = \"count_commits\"", &["1:6 count_commits"]),
            ("x = count_commits", &[]),
        ],
    );
    check(Syntax::Plain, &[("- count_commits", &[])]);
}

#[test]
fn what_is_set_like_a_flag_and_is_none_is_unknown() {
    check(
        Syntax::Plain,
        &[
            ("GITALY_COUNT_COMITS=1", &["1:1 GITALY_COUNT_COMITS?"]),
            ("export VEGA_FIND_TAG=0;", &["1:8 VEGA_FIND_TAG?"]),
            ("{\"GITALY_FIND_TAG\": \"1\"}", &["1:3 GITALY_FIND_TAG?"]),
            (
                "set_var(\"GITALY_FIND_TAG\", \"0\")",
                &["1:10 GITALY_FIND_TAG?"],
            ),
            ("GITALY_COUNT_COMMITS=1", &["1:1 GITALY_COUNT_COMMITS"]),
            // Set to something else, compared, or too short for a method's name.
            (
                "GITALY_FIND_TAG=10 GITALY_FIND_TAG=1.5 GITALY_FIND_TAG=yes",
                &[],
            ),
            ("GITALY_FIND_TAG == 1, GITALY_FIND_TAG = 1", &[]),
            ("GITALY_DEBUG=1 GITALY__X=1 OTHER_FIND_TAG=1", &[]),
            ("GITALY_FEATURE_DEFAULT_ON=1", &[]),
        ],
    );
    check(
        Syntax::Yaml,
        &[
            ("GITALY_FIND_TAG: 1", &["1:1 GITALY_FIND_TAG?"]),
            ("GITALY_FIND_TAG: '0'", &["1:1 GITALY_FIND_TAG?"]),
            ("GITALY_FIND_TAG:1", &[]),
        ],
    );
    check(Syntax::Plain, &[("GITALY_FIND_TAG: 1", &[])]);
}

#[test]
fn a_key_that_the_sdk_is_asked_for_and_no_route_has_is_unknown() {
    let cases: &[(&str, &[&str])] = &[
        ("client.route(\"count_comits\")", &["1:15 count_comits?"]),
        (
            "client.route(\n    \"count_comits\",\n)",
            &["2:6 count_comits?"],
        ),
        ("RouteSpec::new(\"find_tag\")", &["1:17 find_tag?"]),
        ("app.route(\"/path\", get(x)).route(\"name\", get(y))", &[]),
        ("client.route(&name).route(\"Name\").route(\"\")", &[]),
        ("client.route(\"count_commits\")", &["1:15 count_commits"]),
    ];
    check(Syntax::Rust, cases);
    check(Syntax::Plain, &[("app.route(\"find_tag\")", &[])]);
}

#[test]
fn a_comment_leaves_a_line_or_a_file_out() {
    check(
        Syntax::Plain,
        &[
            ("FIND // switchover-refs: ignore\nFIND", &["2:1 FIND"]),
            ("FIND FIND # switchover-refs: ignore", &[]),
            ("# switchover-refs: ignore-file\n\nFIND\n", &[]),
        ],
    );
}

#[test]
fn places_are_exact_in_long_lines_and_in_what_is_not_ascii() {
    let text = format!(
        "{} FIND;{}FIND\r\n\tFIND",
        "ä".repeat(70_000),
        "x;".repeat(50_000)
    );
    assert_eq!(
        found(text.as_bytes(), Syntax::Plain),
        ["1:70002 FIND", "1:170007 FIND", "2:2 FIND"].map(String::from)
    );
}
