//! Finding uses of routes in a source tree.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use switchover_server::refs::{Matcher, Standing, Tracked, scan};
use tempfile::TempDir;

use crate::{headline, quantile, row};

const ROUTES: usize = 500;
const LINES: usize = 1_000_000;
/// Files of a grown code base: many short ones, few long ones.
const FILES: usize = 5_000;
const ROUNDS: usize = 7;

pub(crate) fn run() {
    headline("Code references (a tree of 1,000,000 lines in 5,000 files, 500 routes)");
    let tree = TempDir::new().unwrap();
    let expected = grow(tree.path());
    let routes: Vec<Tracked> = (0..ROUTES)
        .map(|number| Tracked {
            key: key(number),
            flag: flag(number),
            standing: Standing::Moving,
        })
        .collect();
    let search = || {
        let began = Instant::now();
        let matcher = Matcher::new(&routes).unwrap();
        let scanned = scan(tree.path(), &matcher, false).unwrap();
        let took = began.elapsed();
        assert_eq!(scanned.uses.len(), expected);

        took
    };
    // The first round reads the files into the system's memory.
    let cold = search();
    let mut rounds: Vec<f64> = (0..ROUNDS).map(|_| search().as_secs_f64()).collect();
    rounds.sort_by(f64::total_cmp);
    let median = Duration::from_secs_f64(quantile(&rounds, 0.5));
    row("every use found, warm", &format!("{median:.2?}"), "2 s");
    row("the first time", &format!("{cold:.2?}"), "");
}

fn key(number: usize) -> String {
    const VERBS: [&str; 5] = ["count", "find", "list", "write", "delete"];
    const THINGS: [&str; 10] = [
        "commits", "refs", "tags", "branches", "blobs", "trees", "wikis", "hooks", "notes",
        "remotes",
    ];
    let (verb, thing) = (VERBS[number % 5], THINGS[number / 5 % 10]);
    format!("{verb}_{thing}_{}", number / 50)
}

fn flag(number: usize) -> String {
    format!("GITALY_{}", key(number).to_uppercase())
}

/// Writes the tree; gives how many uses are in it.
fn grow(root: &Path) -> usize {
    const CODE: [&str; 6] = [
        "    let count = self.repository.count_commits(revision, options)?;\n",
        "    if request.find(\"count\") && !self.is_empty() { return; }\n",
        "\n",
        "    // The list of tags is what the client has asked for.\n",
        "}\n",
        "    let response = client.write_reference(&name, target).await?;\n",
    ];
    let (mut uses, mut written) = (0, 0);
    for file in 0..FILES {
        // Half of the files have a tenth of the lines.
        let lines = match file % 10 {
            0..=4 => LINES / FILES / 5,
            5..=8 => LINES / FILES,
            _ => LINES / FILES * 5,
        };
        let lines = if file == FILES - 1 {
            LINES - written
        } else {
            lines
        };
        let mut text = String::new();
        for line in 0..lines {
            match line {
                // Three names in each file, in quotes, as a flag, and as a part of another word.
                7 => {
                    writeln!(
                        text,
                        "    let route = client.route(\"{}\");",
                        key(file % ROUTES)
                    )
                    .unwrap();
                    uses += 1;
                }
                8 => {
                    writeln!(text, "    env::var(\"{}\")", flag(file % ROUTES)).unwrap();
                    uses += 1;
                }
                9 => writeln!(text, "    self.{}_again();", key(file % ROUTES)).unwrap(),
                other => text.push_str(CODE[(file + other) % CODE.len()]),
            }
        }
        written += lines;
        let folder = root.join(format!("crate_{}/src/{}", file / 200, file / 20 % 10));
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join(format!("file_{file}.rs")), text).unwrap();
    }
    fs::write(root.join(".gitignore"), "target/\n*.log\n").unwrap();
    assert_eq!(written, LINES);
    uses
}
