//! Code references: a tree of tricky files searched by the program, and what is posted of it.

mod proofs;
mod scans;

use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::Place;

/// `count` is a part of `count_commits`, and a word like others.
const ROUTES: &str = r#"{"items":[
    {"key":"count_commits","flag":"GITALY_COUNT_COMMITS","rollouts":[{"stage":"opt_in"}]},
    {"key":"count","flag":"GITALY_COUNT","rollouts":[{"stage":"mandatory"},{"stage":"mandatory"}]},
    {"key":"find_tag","flag":"GITALY_FIND_TAG","retired_at":"2026-01-05T00:00:00Z","rollouts":[{"stage":"mandatory"}]},
    {"key":"wiki_page","flag":"WIKI_PAGE","rollouts":[{"stage":"opt_out"}]},
    {"key":"to_come","flag":"TO_COME","rollouts":[]}]}"#;

const FLAG: &str = "GITALY_COUNT_COMMITS";

fn write(root: &Path, name: &str, bytes: impl AsRef<[u8]>) {
    let path = root.join(name);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, bytes).unwrap();
}

/// A tree in which a searcher could go wrong.
fn tricky() -> TempDir {
    let tree = TempDir::new().unwrap();
    let root = tree.path();
    let utf16 = |text: &str, mark: &[u8], order: fn(u16) -> [u8; 2]| -> Vec<u8> {
        let units = text.encode_utf16().flat_map(order);
        mark.iter().copied().chain(units).collect()
    };
    write(
        root,
        "src/main.rs",
        "use switchover::Client;\n\
         // GITALY_COUNT_COMMITS in a comment is one too.\n\
         let a = client.route(\"count_commits\").path(id);\n\
         let b = client.route(\"count\");\n\
         let c = count_commits(repo) + MY_GITALY_COUNT_COMMITS2;\n\
         let d = client.route(\"count_comits\");\n\
         let e = \"count_commits_total\"; // switchover-refs: ignore GITALY_COUNT\n",
    );
    // Many of these files name the flag once, on their second line.
    let second = format!("\u{e4}\n  {FLAG}");
    write(
        root,
        "utf16le.txt",
        utf16(&second, &[0xff, 0xfe], u16::to_le_bytes),
    );
    write(
        root,
        "utf16be.txt",
        utf16(&second, &[0xfe, 0xff], u16::to_be_bytes),
    );
    write(root, "bom.txt", format!("\u{feff}{FLAG}"));
    write(
        root,
        "latin1.txt",
        b"caf\xe9\n\xab GITALY_COUNT_COMMITS \xbb \xe9GITALY_COUNT",
    );
    write(
        root,
        "crlf.env",
        format!("A=1\r\n{FLAG}=1\r\nGITALY_COUNT_COMITS=1\r\n"),
    );
    write(
        root,
        "dist.min.js",
        format!(
            "{}f(`count_commits`);{}f('{FLAG}')",
            "x;".repeat(300_000),
            "y;".repeat(300_000)
        ),
    );
    write(
        root,
        "lib/count.rb",
        "on?(:count_commits) # :count\nx = { count: \"count\" }\n",
    );
    write(
        root,
        ".github/workflows/ci.yml",
        format!("env:\n  {FLAG}: '0'\n  WIKI_X_Y: 1\n"),
    );
    write(
        root,
        "deploy.yaml",
        "routes:\n  - count_commits\n  - count\nfind_tag: true",
    );
    write(
        root,
        "split.py",
        "flag = \"GITALY_\" + \"COUNT_COMMITS\"\nkey = 'count_' 'commits'\n",
    );
    write(
        root,
        "unicode.txt",
        format!("\u{e9}{FLAG} {FLAG}\u{df} \u{201c}{FLAG}\u{201d}"),
    );
    write(root, "empty.rs", "");
    write(root, "no-newline.c", "getenv(\"GITALY_FIND_TAG\")");
    write(root, "image.png", format!("\u{89}PNG\0{FLAG}"));
    write(root, "README.md", FLAG);
    write(
        root,
        "switchover.manifest.json",
        format!("{{\"count_commits\": \"{FLAG}\"}}"),
    );
    write(
        root,
        "generated.go",
        format!("// switchover-refs: ignore-file\n\n{FLAG}\n"),
    );
    // What git does not look at, and what it does all the same.
    write(root, ".gitignore", "build/\n*.log\n");
    write(root, "build/out.rs", FLAG);
    write(root, "a.log", FLAG);
    write(root, "nested/.gitignore", "!keep.log\n/local/\n");
    write(root, "nested/keep.log", FLAG);
    write(root, "nested/b.log", FLAG);
    write(root, "nested/local/c.rs", FLAG);
    write(root, "deeper/local/d.rs", FLAG);
    write(root, ".ignore", "ignored.rs\n");
    write(root, "ignored.rs", FLAG);
    write(root, ".switchoverignore", "fixtures/\n");
    write(root, "fixtures/e.rs", FLAG);
    write(root, ".git/HEAD", FLAG);
    write(root, "node_modules/x/index.js", FLAG);
    write(root, "vendor/x/lib.rs", FLAG);
    // Links are not followed: what they lead to is found where it is.
    std::os::unix::fs::symlink(root.join("lib"), root.join("lib/loop")).unwrap();
    std::os::unix::fs::symlink("../src/main.rs", root.join("lib/link.rs")).unwrap();
    std::os::unix::fs::symlink("gone", root.join("dangling.rs")).unwrap();
    // A name that is no UTF-8, and one that would move a terminal's cursor.
    let name = std::ffi::OsStr::from_bytes(b"caf\xe9.txt");
    fs::write(root.join(name), FLAG).unwrap();
    write(root, "odd\x1b[31m.txt", FLAG);
    write(root, "deleted.rs", FLAG);
    fs::remove_file(root.join("deleted.rs")).unwrap();
    tree
}

#[test]
fn every_use_in_a_tricky_tree_is_found_and_nothing_else() {
    let tree = tricky();
    let place = Place::new();
    fs::write(place.file("routes.json"), ROUTES).unwrap();
    let root = tree.path().display().to_string();
    let routes = place.file("routes.json");
    let search = ["refs", &root, "--routes", &routes];
    let done = place.run(&[&search[..], &["--json"]].concat());
    assert_eq!(done.status, 1, "{}", done.err);
    let answer: Value = serde_json::from_str(&done.out).unwrap();
    let listed = |uses: &Value| -> Vec<String> {
        let uses = uses.as_array().unwrap().iter();
        uses.map(|found| {
            let text = |name: &str| found[name].as_str().unwrap().to_owned();
            format!(
                "{}:{}:{} {}",
                text("file"),
                found["line"],
                found["column"],
                text("name")
            )
        })
        .collect()
    };
    let of = |key: &str| {
        let routes = answer["routes"].as_array().unwrap();
        listed(&routes.iter().find(|route| route["route"] == key).unwrap()["uses"])
    };
    assert_eq!(
        of("count_commits"),
        [
            ".github/workflows/ci.yml:2:3 GITALY_COUNT_COMMITS",
            "bom.txt:1:1 GITALY_COUNT_COMMITS",
            "caf\u{fffd}.txt:1:1 GITALY_COUNT_COMMITS",
            "crlf.env:2:1 GITALY_COUNT_COMMITS",
            "deeper/local/d.rs:1:1 GITALY_COUNT_COMMITS",
            "deploy.yaml:2:5 count_commits",
            "dist.min.js:1:600004 count_commits",
            "dist.min.js:1:1200023 GITALY_COUNT_COMMITS",
            "latin1.txt:2:3 GITALY_COUNT_COMMITS",
            "lib/count.rb:1:6 count_commits",
            "nested/keep.log:1:1 GITALY_COUNT_COMMITS",
            "odd\x1b[31m.txt:1:1 GITALY_COUNT_COMMITS",
            "src/main.rs:2:4 GITALY_COUNT_COMMITS",
            "src/main.rs:3:23 count_commits",
            "unicode.txt:1:46 GITALY_COUNT_COMMITS",
            "utf16be.txt:2:3 GITALY_COUNT_COMMITS",
            "utf16le.txt:2:3 GITALY_COUNT_COMMITS",
        ]
    );
    assert_eq!(of("count"), ["src/main.rs:4:23 count"]);
    assert_eq!(
        of("find_tag"),
        [
            "deploy.yaml:4:1 find_tag",
            "no-newline.c:1:9 GITALY_FIND_TAG"
        ]
    );
    assert_eq!(of("wiki_page"), [] as [&str; 0]);
    assert_eq!(
        listed(&answer["unknown"]),
        [
            ".github/workflows/ci.yml:3:3 WIKI_X_Y",
            "crlf.env:3:1 GITALY_COUNT_COMITS",
            "src/main.rs:6:23 count_comits",
        ]
    );
    assert_eq!(answer["mandatory"], json!(["count"]));
    assert_eq!(answer["retired"], json!(["find_tag"]));
    assert_eq!(
        answer["unreferenced"],
        json!(["wiki_page"]),
        "what is not ready needs no use"
    );
    assert_eq!(answer["binary"], 1);
    assert_eq!(answer["unread"], json!([]));

    // Which findings count is for the caller to say; prose is searched when it is asked for.
    for (more, status) in [
        (&["--fail-on", "none"][..], 0),
        (&["--fail-on", "mandatory"], 1),
        (&["--fail-on", "retired,unreferenced"], 1),
        (&["--routes", "/nowhere"], 2),
    ] {
        let arguments = [&search[..2], &["--routes", &routes], more].concat();
        let arguments = if more[0] == "--routes" {
            [&search[..2], more].concat()
        } else {
            arguments
        };
        let done = place.run(&arguments);
        assert_eq!(done.status, status, "{more:?}: {}{}", done.out, done.err);
    }
    assert_eq!(
        place.run(&["refs", "/nowhere", "--routes", &routes]).status,
        2
    );
    assert_eq!(place.run(&["refs", &root]).status, 2, "there is no server");
    let prose = place.run(&[&search[..], &["--prose", "--all"]].concat());
    assert!(
        prose.out.contains("README.md:1:1: GITALY_COUNT_COMMITS"),
        "{}",
        prose.out
    );
    assert!(!prose.out.contains('\x1b'), "{}", prose.out);

    // One file, by its own name.
    let main = tree.path().join("src/main.rs").display().to_string();
    let one = place.run(&["refs", &main, "--routes", &routes, "--all"]);
    assert!(
        one.out.contains("main.rs:2:4: GITALY_COUNT_COMMITS"),
        "{}",
        one.out
    );
}

#[test]
fn what_is_found_is_told_in_the_terminal() {
    let tree = TempDir::new().unwrap();
    write(
        tree.path(),
        "a.rb",
        "ENV['GITALY_FIND_TAG'] || GITALY_COUNT\n",
    );
    write(tree.path(), "b.env", "GITALY_FIND_TAGS=1\n");
    let place = Place::new();
    fs::write(place.file("routes.json"), ROUTES).unwrap();
    let root = tree.path().display().to_string();
    let done = place.run(&["refs", &root, "--routes", &place.file("routes.json")]);
    assert_eq!(done.status, 1);
    insta::assert_snapshot!(done.out, @r"
    retired, and still asked for: take it out
      find_tag (GITALY_FIND_TAG)
        a.rb:1:6: GITALY_FIND_TAG
    mandatory everywhere, and still asked for: take it out, then retire the route
      count (GITALY_COUNT)
        a.rb:1:27: GITALY_COUNT
    no route has this flag or key
      b.env:1:1: GITALY_FIND_TAGS
    nothing here asks for
      count_commits
      wiki_page
    2 uses of 2 of 5 routes in 2 of 2 files
    ");
}

#[test]
fn what_is_found_is_posted_and_judged_by() {
    let place = Place::serving();
    let add = |endpoint: &str| {
        place.well(&[
            "route",
            "add",
            endpoint,
            "--operation=read",
            "--owner=o",
            "--policy=open",
        ])
    };
    add("gitaly.CommitService/CountCommits");
    add("gitaly.RefService/FindTag");
    for environment in ["dev", "staging", "production", "on-prem"] {
        for stage in ["opt_in", "opt_out", "mandatory"] {
            let to = format!("--to={stage}");
            place.well(&[
                "promote",
                "count_commits",
                environment,
                &to,
                "--reason=test",
            ]);
        }
    }
    let tree = TempDir::new().unwrap();
    write(tree.path(), "lib/a.rb", "ENV['GITALY_COUNT_COMMITS']\n");
    write(tree.path(), "odd\u{202e}\n.rb", "GITALY_FIND_TAG");
    let root = tree.path().display().to_string();
    let post = [
        "refs",
        &root,
        "--post",
        "--repository=group/project",
        "--revision=4f1c2d9",
    ];
    let retire = ["route", "retire", "count_commits", "--reason=it is gone"];
    let refused = place.run(&retire);
    assert_eq!(refused.status, 1);
    assert!(
        refused.err.contains("no repository has been scanned"),
        "{}",
        refused.err
    );

    let due = place.run(&[&post[..], &["--fail-on=mandatory"]].concat());
    assert_eq!(due.status, 1, "{}", due.err);
    assert!(
        due.out
            .ends_with("2 uses of 2 of 2 routes in 2 of 2 files; posted\n"),
        "{}",
        due.out
    );
    let refused = place.run(&retire);
    assert!(
        refused
            .err
            .contains("group/project uses it once (lib/a.rb:1)"),
        "{}",
        refused.err
    );

    write(tree.path(), "lib/a.rb", "");
    place.well(&[&post[..], &["--fail-on=mandatory,retired,unknown"]].concat());
    place.well(&retire);
    assert_eq!(
        place.run(&["refs", &root, "--post"]).status,
        2,
        "which repository?"
    );
}
