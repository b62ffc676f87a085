//! Documents from strangers. No test here asks how long something took: what bounds the time is in
//! the reader (size, list items, headings, markers on a line), and a document that took long would
//! make this the slowest test by far.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use proptest::test_runner::{Config, TestRunner};

use super::*;

/// What makes readers of Markdown work.
const PIECES: [&str; 64] = [
    "[",
    "]",
    "(",
    ")",
    "[x] ",
    "[ ] ",
    "[DevOps] ",
    "![",
    "](",
    "<",
    ">",
    "> ",
    "- ",
    "* ",
    "+ ",
    "1. ",
    "99999999999. ",
    "a) ",
    "*",
    "**",
    "_",
    "~",
    "~~",
    "`",
    "``",
    "```",
    "```sh\n",
    "~~~\n",
    "    ",
    "\t",
    "  ",
    "\n",
    "\n\n",
    "\r\n",
    "# ",
    "###### ",
    "#",
    "===\n",
    "---\n",
    "***\n",
    "|",
    "|---|\n",
    "<!--",
    "-->",
    "<!-- gate: opt_in -->",
    "<!-- ordered -->",
    "<!-- id: a -->",
    "<!-- after: a -->",
    "<div>",
    "</div>",
    "<script>",
    "<?",
    "<![CDATA[",
    "&amp;",
    "&#0;",
    "\\",
    "[a]: b\n",
    "[^1]",
    "http://a.b",
    "é",
    "步骤",
    "\u{FEFF}",
    "word ",
    "x",
];

fn soup() -> impl Strategy<Value = String> {
    vec(select(PIECES.as_slice()), 0..120).prop_map(|pieces| pieces.concat())
}

/// The same over and over: what is nested, opened and never closed.
fn repeated() -> impl Strategy<Value = String> {
    let unit = vec(select(PIECES.as_slice()), 1..4).prop_map(|pieces| pieces.concat());
    (unit, 1..400_usize, soup()).prop_map(|(unit, times, end)| unit.repeat(times) + &end)
}

/// Deeper and deeper, line by line.
fn deep() -> impl Strategy<Value = String> {
    let markers = select(&["- a\n", "1. a\n", "> - a\n", "* [x] ~~a~~\n", "```\n"][..]);
    (markers, 1..40_usize, 1..5_usize).prop_map(|(marker, depth, by)| {
        let lines = (0..depth).map(|depth| " ".repeat(depth * by) + marker);
        lines.collect()
    })
}

/// Pages of definitions, and of what refers to them.
fn references() -> impl Strategy<Value = String> {
    (1..200_usize, 1..200_usize, 0..2_000_usize).prop_map(|(definitions, uses, length)| {
        let defined =
            (0..definitions).map(|n| format!("[r{n}]: {}\n", "u".repeat(length / n.max(1))));
        defined.collect::<String>() + "\n- " + &"[r0][r1]".repeat(uses)
    })
}

fn noise() -> impl Strategy<Value = String> {
    vec(any::<u8>(), 0..600).prop_map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
}

fn anything() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => soup(),
        2 => repeated(),
        1 => deep(),
        1 => references(),
        1 => noise(),
        1 => noise().prop_map(|text| text.replace(char::is_control, "\n")),
        1 => any::<String>(),
    ]
}

/// What marking steps never touches.
fn kept(text: &str) -> String {
    let marks = |c: &char| !matches!(c, '[' | ']' | 'x' | 'X' | '~' | '>') && !c.is_whitespace();
    text.chars().filter(marks).collect()
}

fn holds(source: &str) {
    let Ok(read) = Document::parse(source) else {
        return;
    };
    let (steps, sections) = (read.steps(), read.sections());
    assert!(steps.len() <= MAX_STEPS && sections.len() <= MAX_SECTIONS + 1);
    let ids: BTreeSet<&str> = steps.iter().map(|step| step.id.as_str()).collect();
    assert_eq!(ids.len(), steps.len(), "identities");
    let of_sections: BTreeSet<&str> = sections.iter().map(|section| section.id.as_str()).collect();
    assert_eq!(of_sections.len(), sections.len(), "identities of sections");
    let said = |code: &[Code]| code.iter().map(|code| code.text.len()).sum::<usize>();
    let of_steps = steps.iter().map(|step| step.text.len() + said(&step.code));
    let titles = sections
        .iter()
        .map(|section| section.title.len() + said(&section.code));
    let size = of_steps.sum::<usize>() + titles.sum::<usize>();
    assert!(size <= 2 * source.len(), "{size} of {}", source.len());
    for (place, step) in steps.iter().enumerate() {
        assert!(step.parent.is_none_or(|parent| parent < place));
        assert!(step.section < sections.len());
    }
    let Ok(mut plan) = Plan::new(read, "ann", at(0)) else {
        return;
    };
    assert_eq!(plan.render(), source);
    plan.ordered = Some(false);
    assert_eq!(plan.digest().len(), 64);
    assert!(plan.standing(Stage::OptIn).total <= MAX_STEPS);
    let all: Vec<(String, bool)> = plan
        .document
        .steps()
        .iter()
        .map(|step| (step.id.clone(), step.done))
        .collect();
    for (id, done) in all {
        // Those that wait for others are refused.
        let _ = plan.tick(&id, !done, "bob", at(1));
    }
    assert_eq!(kept(&plan.render()), kept(source));
}

#[test]
fn ten_thousand_documents_of_strangers() {
    let config = Config {
        cases: 10_000,
        failure_persistence: None,
        ..Config::default()
    };
    TestRunner::new(config)
        .run(&anything(), |source| {
            holds(&source);
            Ok(())
        })
        .unwrap();
}

/// One of each kind as large as a plan may be.
#[test]
fn the_largest_documents() {
    for piece in PIECES {
        let mut source = piece.repeat(LONGEST_PLAN / piece.len());
        holds(&source);
        source.push_str(&"a".repeat(LONGEST_PLAN + 1 - source.len()));
        assert!(Document::parse(&source).is_err());
    }
}

/// A plan as people write them.
fn written() -> impl Strategy<Value = String> {
    let bullet = select(&["- ", "* ", "1. ", "12) ", "-   "][..]);
    let checkbox = select(&["", "", "[ ] ", "[x] ", "[DevOps] ", "[ ] [项目组] "][..]);
    let text = select(
        &[
            "back up",
            "~~restore~~",
            "**stop** `it`",
            "a [link](http://a.b) here",
            "~~a~~ b",
            "备份。",
        ][..],
    );
    let more = select(
        &[
            "\n",
            "\n",
            "\n\n",
            "\n\n  ```sh\n  ls\n  ```\n",
            "\n\n   more of it\n\n",
            "\r\n",
            "\n\n## Next\n\n",
        ][..],
    );
    let line = (0..3_usize, bullet, checkbox, text, more).prop_map(
        |(depth, bullet, checkbox, text, more)| {
            format!("{}{bullet}{checkbox}{text}{more}", "    ".repeat(depth))
        },
    );
    vec(line, 1..30).prop_map(|lines| lines.concat())
}

#[test]
fn a_plan_with_ticks_is_read_again_as_it_stands() {
    let cases = (written(), vec(any::<bool>(), 30));
    let config = Config {
        cases: 1_000,
        failure_persistence: None,
        ..Config::default()
    };
    TestRunner::new(config)
        .run(&cases, |(source, flips)| {
            let mut plan = plan(&source);
            let ids: Vec<String> = plan
                .document
                .steps()
                .iter()
                .map(|step| step.id.clone())
                .collect();
            for (id, _) in ids.iter().zip(flips).filter(|(_, flip)| *flip) {
                let done = plan.is_done(plan.step(id).unwrap());
                plan.tick(id, !done, "bob", at(1)).unwrap();
            }
            let again = document(&plan.render());
            let state = |step: &Step, done: bool| (step.id.clone(), step.text.clone(), done);
            let known: Vec<_> = plan
                .document
                .steps()
                .iter()
                .map(|step| state(step, plan.is_done(step)))
                .collect();
            let read: Vec<_> = again
                .steps()
                .iter()
                .map(|step| state(step, step.done))
                .collect();
            prop_assert_eq!(read, known, "{}", plan.render());
            Ok(())
        })
        .unwrap();
}
