//! What was not searched proves nothing: no scan hides a use, or is posted without having looked.

use std::fs;

use chrono::{DateTime, Utc};
use serde_json::Value;
use tempfile::TempDir;

use crate::refs::{FLAG, ROUTES, write};
use crate::support::Place;

#[test]
fn ignore_files_above_the_tree_and_those_of_one_clone_hide_nothing() {
    let above = TempDir::new().unwrap();
    let root = above.path();
    for name in [".gitignore", ".ignore", ".switchoverignore"] {
        write(root, name, "*\n");
        write(root, &format!("proj/sub/{name}"), "*.tmp\n");
    }
    // Both trees could be git's.
    for tree in ["", "proj/"] {
        write(root, &format!("{tree}.git/HEAD"), "ref: refs/heads/main\n");
        write(root, &format!("{tree}.git/info/exclude"), "*\n");
    }
    write(root, "proj/a.rb", FLAG);
    write(root, "proj/sub/b.rb", FLAG);
    write(root, "proj/sub/c.tmp", FLAG);
    let place = Place::new();
    fs::write(place.file("routes.json"), ROUTES).unwrap();
    let tree = root.join("proj").display().to_string();
    let routes = place.file("routes.json");
    let told = place.well(&["refs", &tree, "--routes", &routes]);
    assert!(
        told.ends_with("2 uses of 1 of 5 routes in 2 of 5 files\n"),
        "{told}"
    );
    // The same from within.
    let within = root.join("proj/sub").display().to_string();
    let told = place.well(&["refs", &within, "--routes", &routes]);
    assert!(
        told.ends_with("1 use of 1 of 5 routes in 1 of 4 files\n"),
        "{told}"
    );
}

#[test]
fn what_was_not_searched_is_not_posted() {
    let place = Place::serving();
    place.well(&[
        "route",
        "add",
        "gitaly.CommitService/CountCommits",
        "--operation=read",
        "--owner=o",
        "--policy=open",
    ]);
    let tree = TempDir::new().unwrap();
    let root = tree.path().display().to_string();
    let posting = |tree: &str| {
        place.run(&[
            "refs",
            tree,
            "--fail-on=none",
            "--post",
            "--repository=group/project",
            "--revision=4f1c2d9",
            "--json",
        ])
    };
    let refused = |tree: &str, why: &str| {
        let done = posting(tree);
        assert_eq!(done.status, 2, "{}{}", done.out, done.err);
        let whole = format!("{why}: nothing was posted");
        assert!(done.err.contains(&whole), "{}", done.err);
        let told: Value = serde_json::from_str(&done.out).unwrap();
        assert_eq!(told["posted"], Value::Null);
    };
    refused(&root, "no file was searched");
    write(tree.path(), "a.rb", FLAG);
    write(tree.path(), ".switchoverignore", "*\n");
    refused(&root, "no file was searched");
    let file = tree.path().join("a.rb").display().to_string();
    refused(&file, "one file says nothing of a repository");
    fs::remove_file(tree.path().join(".switchoverignore")).unwrap();
    let large = vec![b'x'; 64 * 1024 * 1024 + 1];
    write(tree.path(), "large.txt", &large);
    refused(
        &root,
        "(leave it out by a .switchoverignore if there can be none)",
    );

    // What is no text has no uses, however large it is; and what is left out is meant to be.
    write(tree.path(), ".switchoverignore", "large.txt\n");
    write(tree.path(), "film.bin", [&b"\0"[..], &large[..]].concat());
    let done = posting(&root);
    assert_eq!(done.status, 0, "{}", done.err);
    let told: Value = serde_json::from_str(&done.out).unwrap();
    assert_eq!(told["posted"]["repository"], "group/project");

    // It is as old as its beginning.
    let audit: Value = serde_json::from_str(&place.well(&["audit", "--json"])).unwrap();
    let entries = audit["items"].as_array().unwrap();
    let posts: Vec<&Value> = entries
        .iter()
        .filter(|entry| entry["action"] == "scan_post")
        .collect();
    assert_eq!(posts.len(), 1, "{audit}");
    let moment = |value: &Value| -> DateTime<Utc> { value.as_str().unwrap().parse().unwrap() };
    assert!(
        moment(&told["posted"]["scanned_at"]) < moment(&posts[0]["at"]),
        "{audit}"
    );
}
