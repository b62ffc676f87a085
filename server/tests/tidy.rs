//! What the architecture says is absent, is absent.

use std::path::{Path, PathBuf};

/// Files of more than 500 lines, each with its reason. None as yet.
const LONG: [(&str, &str); 0] = [];

struct File {
    name: String,
    text: String,
}

impl File {
    /// The lines of the product with their numbers: no comments, and not the tests at the end.
    fn lines(&self) -> impl Iterator<Item = (usize, &str)> {
        let code = self.text.split("\n#[cfg(test)]\nmod tests").next().unwrap();
        let lines = (1..).zip(code.lines());
        lines.filter(|(_, line)| !line.trim_start().starts_with("//"))
    }
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .unwrap()
        .to_owned()
}

/// Every Rust file below a place, by its name from the root of the repository.
fn files(below: &str) -> Vec<File> {
    files_of(below, "rs")
}

fn files_of(below: &str, kind: &str) -> Vec<File> {
    let mut files = Vec::new();
    let mut open = vec![root().join(below)];
    while let Some(place) = open.pop() {
        if place.is_dir() {
            let entries = std::fs::read_dir(&place).unwrap();
            open.extend(entries.map(|entry| entry.unwrap().path()));
        } else if place.extension().is_some_and(|extension| extension == kind) {
            let name = place.strip_prefix(root()).unwrap();
            files.push(File {
                name: name.display().to_string(),
                text: std::fs::read_to_string(&place).unwrap(),
            });
        }
    }
    files.sort_by(|a, b| a.name.cmp(&b.name));
    files
}

fn refuse(below: &str, words: &[&str], except: &[&str]) -> Vec<String> {
    let mut found = Vec::new();
    let files = files(below);
    assert!(!files.is_empty(), "there is nothing at {below}");
    for file in files
        .iter()
        .filter(|file| !except.contains(&file.name.as_str()))
    {
        for (number, line) in file.lines() {
            for word in words.iter().filter(|word| has_word(line, word)) {
                found.push(format!("{}:{number}: `{word}`: {}", file.name, line.trim()));
            }
        }
    }
    found
}

/// Whether a word stands in a line, not as a part of another.
fn has_word(line: &str, word: &str) -> bool {
    let part = |c: char| c.is_alphanumeric() || c == '_';
    line.match_indices(word)
        .any(|(at, _)| !line[..at].ends_with(part) && !line[at + word.len()..].starts_with(part))
}

#[track_caller]
fn assert_none(found: Vec<String>) {
    assert!(found.is_empty(), "\n{}", found.join("\n"));
}

#[test]
fn the_domain_knows_no_server_no_database_and_no_clock() {
    let words = [
        "actix_web",
        "diesel",
        "tokio",
        "utoipa",
        "ureq",
        "Utc::now",
        "SystemTime",
        "Instant",
        "std::env",
        "std::fs",
        "uuid",
        "crate::store",
        "crate::service",
        "crate::http",
        "crate::publish",
        "crate::token",
    ];
    assert_none(refuse("server/src/domain", &words, &[]));
}

#[test]
fn services_know_no_sql_and_no_http() {
    let words = [
        "diesel",
        "actix_web",
        "utoipa",
        "ureq",
        "crate::http",
        "std::env",
        "sql_query",
    ];
    assert_none(refuse("server/src/service", &words, &[]));
    // Services get their clock; this is where the one of the machine is.
    assert_none(refuse(
        "server/src/service",
        &["Utc::now", "SystemTime"],
        &["server/src/service/mod.rs"],
    ));
}

#[test]
fn the_edge_knows_no_sql() {
    assert_none(refuse(
        "server/src/http",
        &["diesel", "sql_query", "std::env"],
        &[],
    ));
    assert_none(refuse(
        "server/src/publish",
        &["diesel", "actix_web", "Utc::now", "std::env"],
        &[],
    ));
    assert_none(refuse("server/src/cli", &["diesel", "sql_query"], &[]));
    // What is evaluated was decided by the SDK's function, where states are published.
    assert_none(refuse(
        "server/src/http/ofrep",
        &["Utc::now", "decide", "Rollout", "Stage", "Setting"],
        &[],
    ));
}

#[test]
fn the_page_knows_no_sql_and_no_clock() {
    let words = [
        "diesel",
        "sql_query",
        "std::env",
        "Utc::now",
        "SystemTime",
        "store::Tx",
        "store::Store",
    ];
    assert_none(refuse("server/src/web", &words, &[]));
    // What the page is made of stays there.
    assert_none(refuse("server/src/service", &["crate::web", "askama"], &[]));
    assert_none(refuse("server/src/domain", &["crate::web", "askama"], &[]));
}

/// Browsers run and style nothing but the two files that are part of the program, and all that
/// people write is escaped.
#[test]
fn templates_hold_no_script_no_style_and_trust_nothing() {
    let mut found = Vec::new();
    let templates = files_of("server/src/web/templates", "html");
    assert!(templates.len() > 3, "there are no templates");
    for file in templates {
        for (number, line) in (1..).zip(file.text.lines()) {
            for refused in [
                "style=", "<style", " onclick", " onload", "|safe", "| safe", "//cdn",
            ] {
                if line.contains(refused) {
                    found.push(format!("{}:{number}: {line}", file.name));
                }
            }
            let inline = line.contains("<script") && !line.contains("<script src=\"{{");
            if inline {
                found.push(format!("{}:{number}: {line}", file.name));
            }
        }
    }
    for file in files("server/src/web") {
        for (number, line) in file.lines().filter(|(_, line)| has_word(line, "Safe")) {
            found.push(format!("{}:{number}: {line}", file.name));
        }
    }
    assert_none(found);
}

#[test]
fn the_search_of_source_trees_knows_no_server() {
    let words = [
        "actix_web",
        "diesel",
        "utoipa",
        "ureq",
        "crate::cli",
        "crate::domain",
        "crate::http",
        "crate::service",
        "crate::store",
        "Utc::now",
        "SystemTime",
        "Instant",
        "std::env",
    ];
    assert_none(refuse("server/src/refs", &words, &[]));
}

#[test]
fn telemetry_knows_no_http_no_clock_and_no_promotion() {
    let words = [
        "actix_web",
        "utoipa",
        "crate::http",
        "crate::service",
        "Utc::now",
        "SystemTime",
        "std::env",
        "store::Tx",
        "store::Store",
    ];
    assert_none(refuse("server/src/telemetry", &words, &[]));
}

#[test]
fn the_conductor_knows_no_sql_no_http_and_no_clock() {
    let words = [
        "diesel",
        "actix_web",
        "utoipa",
        "crate::http",
        "Utc::now",
        "sql_query",
        "std::env",
    ];
    assert_none(refuse("server/src/conductor", &words, &[]));
}

#[test]
fn metrics_and_prometheus_know_no_sql_and_no_server() {
    let words = [
        "diesel",
        "sql_query",
        "actix_web",
        "utoipa",
        "crate::http",
        "crate::service",
        "Utc::now",
        "std::env",
    ];
    assert_none(refuse("server/src/metrics", &words, &[]));
    assert_none(refuse("server/src/prometheus", &words, &[]));
}

#[test]
fn the_courier_knows_no_sql_no_http_and_no_clock() {
    let words = [
        "diesel",
        "actix_web",
        "utoipa",
        "ureq",
        "crate::http",
        "Utc::now",
        "sql_query",
        "std::env",
    ];
    assert_none(refuse("server/src/courier", &words, &[]));
}

/// What users give as an address is reached through one door.
#[test]
fn the_way_out_knows_no_record_and_is_the_only_one() {
    let words = [
        "diesel",
        "actix_web",
        "crate::service",
        "crate::store",
        "crate::domain",
        "std::env",
    ];
    assert_none(refuse("server/src/outbound", &words, &[]));
    for place in ["server/src/service", "server/src/http", "server/src/web"] {
        assert_none(refuse(place, &["ureq", "TcpStream::connect"], &[]));
    }
}

#[test]
fn rows_stay_in_the_store() {
    let words = [
        "actix_web",
        "utoipa",
        "crate::http",
        "crate::service",
        "Utc::now",
        "std::env",
    ];
    assert_none(refuse("server/src/store", &words, &[]));
    let outside = [
        "server/src/domain",
        "server/src/service",
        "server/src/http",
        "server/src/publish",
    ];
    for place in outside {
        let words = [
            "RolloutRow",
            "RouteRow",
            "EnvironmentRow",
            "ApprovalRow",
            "ExternalRow",
            "store::schema",
            "store::rows",
        ];
        assert_none(refuse(place, &words, &[]));
    }
    for file in files("server/src/store") {
        let public = file
            .lines()
            .any(|(_, line)| line.trim_start().starts_with("pub struct") && has_row(line));
        assert!(!public, "{}: a row that others can see", file.name);
    }
}

fn has_row(line: &str) -> bool {
    line.split(|c: char| !c.is_alphanumeric())
        .any(|word| word.ends_with("Row"))
}

#[test]
fn the_decision_asks_nobody() {
    let pure = [
        "decide", "table", "snapshot", "manifest", "bucket", "rollout", "stage",
    ];
    let words = [
        "std::env",
        "std::fs",
        "std::net",
        "std::thread",
        "Instant",
        "SystemTime",
        "chrono",
        "ureq",
        "Mutex",
        "RwLock",
    ];
    for module in pure {
        assert_none(refuse(&format!("client-sdk/src/{module}.rs"), &words, &[]));
    }
    // Configuration comes as arguments. The two that may ask: the overrides, and `from_env`.
    let asking = ["client-sdk/src/overrides.rs", "client-sdk/src/builder.rs"];
    assert_none(refuse(
        "client-sdk/src",
        &["std::env", "env::var", "env::vars"],
        &asking,
    ));
}

#[test]
fn only_the_start_of_the_program_reads_the_environment() {
    let asking = ["server/src/main.rs", "server/src/config.rs"];
    assert_none(refuse(
        "server/src",
        &["env::var", "env::var_os", "env::vars"],
        &asking,
    ));
}

#[test]
fn nothing_is_left_lying_about() {
    // Spelled so that this file does not find itself.
    let words = [
        concat!("TO", "DO"),
        concat!("FIX", "ME"),
        concat!("X", "XX"),
        concat!("dbg", "!"),
    ];
    for place in ["server", "client-sdk"] {
        for file in files(place) {
            for (number, line) in (1..).zip(file.text.lines()) {
                for word in words {
                    assert!(!line.contains(word), "{}:{number}: {line}", file.name);
                }
            }
        }
    }
}

#[test]
fn files_are_short_or_say_why_not() {
    let mut long = Vec::new();
    for place in ["server", "client-sdk"] {
        for file in files(place) {
            if file.text.lines().count() > 500 {
                long.push(file.name);
            }
        }
    }
    long.sort();
    let known: Vec<&str> = LONG.iter().map(|(name, _)| *name).collect();
    let new: Vec<&String> = long
        .iter()
        .filter(|name| !known.contains(&name.as_str()))
        .collect();
    assert!(
        new.is_empty(),
        "over 500 lines: split them, or say why not in tidy.rs: {new:?}"
    );
    let gone: Vec<&&str> = known
        .iter()
        .filter(|name| !long.iter().any(|long| long == **name))
        .collect();
    assert!(
        gone.is_empty(),
        "short again, so strike them from the list: {gone:?}"
    );
}
