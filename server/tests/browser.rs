//! The page as a browser shows it: Chromium, driven by the scenarios in `tests/browser/`.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

fn root() -> PathBuf {
    let parent = Path::new(env!("CARGO_MANIFEST_DIR")).parent();
    parent.unwrap().to_owned()
}

/// Plays a scenario against a server and a browser of its own; what went wrong is what it says.
fn play(scenario: &str) {
    let done = Command::new("node")
        .arg(root().join("server/tests/browser/run.mjs"))
        .args([scenario, env!("CARGO_BIN_EXE_switchover")])
        .arg(root().join("target/browser"))
        .stdin(Stdio::null())
        .output()
        .unwrap_or_else(|error| {
            panic!("node cannot be run ({error}): run .ci/browser, which says what to install")
        });
    let said = String::from_utf8_lossy(&done.stderr);
    assert!(done.status.success(), "{scenario}:\n{said}");
}

/// One test for each scenario, by its name.
macro_rules! scenarios {
    ($($scenario:ident),* $(,)?) => {
        $(
            #[test]
            fn $scenario() {
                play(stringify!($scenario));
            }
        )*

        #[test]
        fn every_scenario_is_played() {
            let played = [$(stringify!($scenario)),*];
            let scenarios = root().join("server/tests/browser/scenarios");
            for file in std::fs::read_dir(scenarios).unwrap() {
                let path = file.unwrap().path();
                let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
                assert!(played.contains(&name.as_str()), "{name}");
            }
        }
    };
}

scenarios!(
    by_keyboard,
    by_pointer,
    documentation,
    empty_house,
    every_page,
    hostile_text,
    live,
    looking_only,
    many_routes,
    shortcuts,
    signing_in,
    without_script,
);
