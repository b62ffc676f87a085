//! The example of the documentation, walked with this build.

use std::fs;
use std::process::{Command, Stdio};

const EXAMPLE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/examples/gitaly");

#[test]
fn a_route_is_walked_from_its_import_until_it_is_retired() {
    let done = Command::new("bash")
        .arg(format!("{EXAMPLE}/walk.sh"))
        .arg(env!("CARGO_BIN_EXE_switchover"))
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let out = String::from_utf8(done.stdout).unwrap();
    let err = String::from_utf8(done.stderr).unwrap();
    assert!(done.status.success(), "{out}{err}");
    let last = out.lines().last().unwrap_or_default();
    assert!(
        last.starts_with("DONE: find_commit went from its import to retired"),
        "{last}"
    );
    for line in [
        "imported 115 routes",
        "find_commit in production: ready_for_testing -> opt_in",
        "find_commit in on-prem: opt_out -> mandatory",
        "exit status 1: an override stops working",
        "find_commit is retired: mandatory for ever",
        "## Planned and actual days",
    ] {
        assert!(out.contains(line), "{line}\n{out}");
    }
    // What its page says is what it does, step by step.
    let page = fs::read_to_string(format!("{EXAMPLE}/README.md")).unwrap();
    let steps = |text: &str, mark: &str| -> Vec<String> {
        let lines = text.lines().filter_map(|line| line.strip_prefix(mark));
        let numbered = lines.filter(|line| line.starts_with(|c: char| c.is_ascii_digit()));
        numbered.map(str::to_owned).collect()
    };
    assert_eq!(steps(&page, "### "), steps(&out, "== "));
}

#[test]
fn a_walk_that_cannot_begin_says_where_it_stopped() {
    let done = Command::new("bash")
        .args([&format!("{EXAMPLE}/walk.sh"), "/no/such/program"])
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let err = String::from_utf8(done.stderr).unwrap();
    assert_eq!(done.status.code(), Some(1), "{err}");
    assert!(
        err.contains("there is no program /no/such/program"),
        "{err}"
    );
    assert!(err.contains("FAILED at step 1,"), "{err}");
}
