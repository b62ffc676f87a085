//! What is read from documents, and what happens to what is known of them.

mod hostile;

use chrono::{DateTime, TimeZone as _, Utc};
use switchover::Stage;

use super::*;

fn at(minute: u32) -> DateTime<Utc> {
    Utc.with_ymd_and_hms(2026, 1, 5, 10, minute, 0).unwrap()
}

fn document(source: &str) -> Document {
    Document::parse(source).unwrap()
}

fn plan(source: &str) -> Plan {
    Plan::new(document(source), "ann", at(0)).unwrap()
}

/// A plan as lines: `#`s and stage of a section, checkbox, owner and text of a step.
fn outline(plan: &Plan) -> Vec<String> {
    let bound = plan.bound_to();
    let mut lines = Vec::new();
    for (place, section) in plan.document.sections().iter().enumerate() {
        let gate = bound[place].map_or(String::new(), |gate| format!(" → {gate}"));
        let code = "+code".repeat(section.code.len());
        if section.level > 0 || !code.is_empty() || !gate.is_empty() {
            let marks = "#".repeat(section.level.into());
            lines.push(format!("{marks}{}{gate}{code}", section.title));
        }
        for step in plan.document.steps() {
            if step.section != place {
                continue;
            }
            let mut depth = 0;
            let mut above = step.parent;
            while let Some(parent) = above {
                depth += 1;
                above = plan.document.steps()[parent].parent;
            }
            let done = if plan.is_done(step) { 'x' } else { ' ' };
            let owner = step.owner.as_ref();
            let owner = owner.map_or(String::new(), |owner| format!("({owner}) "));
            let code: String = step
                .code
                .iter()
                .map(|code| format!("+{}", code.text))
                .collect();
            lines.push(format!(
                "{}[{done}] {owner}{}{code}",
                "  ".repeat(depth),
                step.text
            ));
        }
    }
    lines
}

#[track_caller]
fn reads(source: &str, expected: &[&str]) {
    assert_eq!(outline(&plan(source)), expected, "{source}");
}

#[test]
fn list_items_are_steps() {
    reads(
        "- a\n- [ ] b\n- [x] c\n- [X] d\n",
        &["[ ] a", "[ ] b", "[x] c", "[x] d"],
    );
    reads("1. a\n2) b\n", &["[ ] a", "[ ] b"]);
    reads(
        "# T\n\n* a\n  * b\n    1. c\n* d\n",
        &["#T", "[ ] a", "  [ ] b", "    [ ] c", "[ ] d"],
    );
    reads("a\n- b\n\n  more\n", &["[ ] b\nmore"]);
    reads("- **a** `b` [c](http://d) *e*\n  f\n", &["[ ] a b c e f"]);
    reads("> - a\n> - b\n", &["[ ] a", "[ ] b"]);
    reads("- a\r\n  - b\r\n- c\r\n", &["[ ] a", "  [ ] b", "[ ] c"]);
    // Indented by two below a number, which Markdown takes for another list.
    reads(
        "1. a\n  - b\n  - c\n1. d\n",
        &["[ ] a", "  [ ] b", "  [ ] c", "[ ] d"],
    );
    reads("1. a\n\ntext\n\n  - b\n", &["[ ] a", "[ ] b"]);
    // What says nothing is no step; its parts are.
    reads("-\n- [ ]\n- - a\n", &["[ ] a"]);
    reads("a paragraph\n\n| a | b |\n|---|---|\n| - c | d |\n", &[]);
    reads("```\n- a\n# b\n```\n", &["+code"]);
    reads("---\ntitle: a\n---\n\n- b\n", &["[ ] b"]);
    reads("\u{FEFF}---\ntitle: a\n---\n\n- b\n", &["[ ] b"]);
    reads("", &[]);
}

#[test]
fn a_checkbox_or_a_line_through_all_of_it_says_that_a_step_is_done() {
    reads(
        "- ~~a~~\n- ~~a `b` c~~.\n- ~~a~~ ~~b~~\n",
        &["[x] a", "[x] a b c.", "[x] a b"],
    );
    reads("- ~~a~~ b\n- a ~~b~~\n", &["[ ] a b", "[ ] a b"]);
    reads(
        "- [o] ~~a~~\n- ~~[o] a~~\n- [ ] ~~a~~\n",
        &["[x] (o) a", "[x] (o) a", "[x] a"],
    );
    reads(
        "- ~~a~~\n\n  a remark\n  - b\n",
        &["[x] a\na remark", "  [ ] b"],
    );
}

#[test]
fn a_leading_bracket_is_the_owner() {
    reads(
        "- [DevOps] a\n- [ ] [项目组] b\n- [a b]c\n",
        &["[ ] (DevOps) a", "[ ] (项目组) b", "[ ] (a b) c"],
    );
    reads("- **[a]** b\n", &["[ ] (a) b"]);
    for (source, text) in [
        ("- [a](http://b) c", "[ ] a c"),
        ("- `[a]` b", "[ ] [a] b"),
        ("- \\[a] b", "[ ] [a] b"),
        ("- [a]", "[ ] [a]"),
        ("- [x]b", "[ ] [x]b"),
        ("- [] b", "[ ] [] b"),
        ("- b [a]", "[ ] b [a]"),
        ("- [^1] b", "[ ] [^1] b"),
    ] {
        reads(source, &[text]);
    }
}

#[test]
fn fenced_code_belongs_to_the_step_before_it() {
    reads("- a\n\n  ```sh\n  b\n  ```\n- c\n", &["[ ] a+b\n", "[ ] c"]);
    reads("- a\n- c\n\n```sh\nb\n```\n", &["[ ] a", "[ ] c+b\n"]);
    reads("- a\n\n# T\n\n```sh\nb\n```\n", &["[ ] a", "#T+code"]);
    reads("- ```sh\n  b\n  ```\n", &["[ ] +b\n"]);
    let code = document("- a\n\n  ~~~rust ignore\n  b\n").steps()[0].code[0].clone();
    assert_eq!(
        (code.language.as_str(), code.text.as_str()),
        ("rust", "b\n")
    );
}

#[test]
fn comments_bind_sections_order_steps_and_name_them() {
    let source = "# A\n<!-- gate: opt_in -->\n\n- a\n\n## B\n- b\n\n## C <!-- gate: opt_out -->\n- c\n\n# D\n- d\n";
    let bound = plan(source);
    let expected = [
        "#A → opt_in",
        "[ ] a",
        "##B → opt_in",
        "[ ] b",
        "##C → opt_out",
        "[ ] c",
        "#D",
        "[ ] d",
    ];
    assert_eq!(outline(&bound), expected);
    let standing = bound.standing(Stage::OptIn);
    assert_eq!(
        (standing.bound, standing.total, standing.open.len()),
        (true, 2, 2)
    );
    assert_eq!(standing.open[1].text, "b");
    assert_eq!(bound.standing(Stage::Mandatory), PlanStanding::default());
    assert!(
        plan("<!-- gate: mandatory -->\n\n# A\n- a")
            .standing(Stage::Mandatory)
            .bound
    );
    assert!(plan("<!-- ordered -->\n- a").is_ordered());
    let named =
        plan("# A <!-- id: first -->\n- a <!-- id: backup -->\n- b <!-- after: backup -->\n");
    assert_eq!(named.document.sections()[1].id, "first");
    let steps = named.document.steps();
    assert_eq!(
        (steps[0].id.as_str(), steps[0].text.as_str()),
        ("backup", "a")
    );
    assert_eq!(steps[1].after, ["backup"]);
    let commented = "- <!-- id: b --> a\n";
    assert_eq!(document(commented).steps()[0].text, "a");
}

#[test]
fn what_makes_no_sense_is_refused_with_its_line() {
    let deep: String = (0..20)
        .map(|depth| format!("{}- a\n", "  ".repeat(depth)))
        .collect();
    for (source, line, says) in [
        (
            "\n\n<!-- gate: opt-in -->",
            Some(3),
            "opt_in, opt_out or mandatory",
        ),
        (
            "<!-- gate: opt_in -->\n<!-- gate: opt_out -->",
            Some(2),
            "another stage",
        ),
        ("- a <!-- id: A -->", Some(1), "an id is"),
        ("<!-- after: a -->", Some(1), "stands in the step"),
        ("- a <!-- id: a -->\n- b <!-- id: a -->", None, "two steps"),
        (
            "# a <!-- id: a -->\n# b <!-- id: a -->",
            None,
            "two sections",
        ),
        ("- a\n- \u{0}", Some(2), "U+0000"),
        ("a\r\n\u{1b}[31m", Some(2), "U+001B"),
        ("a\rb", Some(1), "U+000D"),
        ("\u{202E}", Some(1), "U+202E"),
        (deep.as_str(), Some(17), "16 deep"),
        (&"> - ".repeat(40), Some(1), "64 lists and quotes"),
        (&"- a\n".repeat(5_001), Some(5_001), "5000 steps"),
        (&"-\n".repeat(20_001), Some(20_001), "20000 list items"),
        (&"# a\n".repeat(1_001), Some(1_001), "1000 headings"),
        (&"a".repeat(LONGEST_PLAN + 1), None, "1 MiB"),
    ] {
        let refused = Document::parse(source).unwrap_err();
        assert_eq!(refused.line, line, "{refused}");
        assert!(refused.detail.contains(says), "{refused}");
    }
    assert!(Document::parse(&"a".repeat(LONGEST_PLAN)).is_ok());
    assert!(Document::parse(&"- ".repeat(500)).is_ok(), "a rule");
}

/// Counted by hand in the documents: sections, steps, those that are no part of another, owners,
/// done, and code blocks in steps and in sections.
#[test]
fn real_plans_are_read_whole() {
    let plans = [
        (
            include_str!("../../../tests/fixtures/plans/backend-2.1.0-release.md"),
            [12, 17, 13, 0, 0, 1, 3],
        ),
        (
            include_str!("../../../tests/fixtures/plans/gear-operations-migration.md"),
            [40, 81, 81, 0, 0, 1, 11],
        ),
        (
            include_str!("../../../tests/fixtures/plans/gitaly-migration-process.md"),
            [12, 36, 26, 0, 0, 1, 1],
        ),
        (
            include_str!("../../../tests/fixtures/plans/vega-migration.md"),
            [7, 41, 32, 15, 20, 0, 0],
        ),
        (
            // Two comments in its shell commands are headings to Markdown: the fence is missing.
            include_str!("../../../tests/fixtures/plans/weekend-release.md"),
            [2, 0, 0, 0, 0, 0, 2],
        ),
    ];
    for (source, expected) in plans {
        let plan = plan(source);
        let (sections, steps) = (plan.document.sections(), plan.document.steps());
        let counts = [
            sections.iter().filter(|section| section.level > 0).count(),
            steps.len(),
            steps.iter().filter(|step| step.parent.is_none()).count(),
            steps.iter().filter(|step| step.owner.is_some()).count(),
            steps.iter().filter(|step| step.done).count(),
            steps.iter().map(|step| step.code.len()).sum(),
            sections.iter().map(|section| section.code.len()).sum(),
        ];
        assert_eq!(counts, expected, "{}", source.lines().next().unwrap());
        assert_eq!(plan.render(), source);
    }
    let vega = plan(include_str!(
        "../../../tests/fixtures/plans/vega-migration.md"
    ));
    let of = |owner: &str| {
        let steps = vega.document.steps().iter();
        steps
            .filter(|step| step.owner.as_deref() == Some(owner))
            .count()
    };
    assert_eq!((of("DevOps"), of("项目组")), (9, 6));
    // Struck out in part is not done.
    let partly = vega.document.steps().iter();
    let mut partly = partly.filter(|step| step.text.contains("requirements.txt"));
    assert!(!partly.next().unwrap().done);
}

#[test]
fn ticks_show_in_the_text_and_nothing_else_changes() {
    let source = "# T\n\n* a\n- [ ] b\n- [x] c\n1. ~~d~~ \n- [o] ~~e~~ ~f~\n- ```sh\n  g\n  ```\n-\n  h\n> - ```\n>   i\n\n\tend\r\n";
    let mut plan = plan(source);
    let ids: Vec<String> = plan
        .document
        .steps()
        .iter()
        .map(|step| step.id.clone())
        .collect();
    assert_eq!(ids.len(), 8, "{:?}", outline(&plan));
    for id in &ids {
        let done = plan.is_done(plan.step(id).unwrap());
        assert!(plan.tick(id, !done, "bob", at(1)).unwrap());
    }
    let expected = "# T\n\n* [x] a\n- [x] b\n- [ ] c\n1. d \n- [o] e f\n- [x]\n  ```sh\n  g\n  ```\n- [x]\n  h\n> - [x]\n>   ```\n>   i\n\n\tend\r\n";
    assert_eq!(plan.render(), expected);
    let again = document(&plan.render());
    let as_read: Vec<(&str, bool)> = again
        .steps()
        .iter()
        .map(|step| (step.id.as_str(), step.done))
        .collect();
    let as_known: Vec<(&str, bool)> = plan
        .document
        .steps()
        .iter()
        .map(|step| (step.id.as_str(), plan.is_done(step)))
        .collect();
    assert_eq!(as_read, as_known);
    for id in &ids {
        let done = plan.is_done(plan.step(id).unwrap());
        assert!(plan.tick(id, !done, "bob", at(2)).unwrap());
        assert!(!plan.tick(id, !done, "bob", at(3)).unwrap());
    }
    assert_eq!(plan.render(), source);
}

#[test]
fn an_ordered_plan_is_ticked_in_order() {
    let mut plan = plan("<!-- ordered -->\n- a\n- b\n  - c\n  - d\n\n# T\n- e\n");
    let id = |plan: &Plan, text: &str| {
        let mut steps = plan.document.steps().iter();
        steps.find(|step| step.text == text).unwrap().id.clone()
    };
    let missing = |plan: &Plan, text: &str| {
        let step = plan.step(&id(plan, text)).unwrap();
        let open: Vec<String> = plan
            .missing(step)
            .into_iter()
            .map(|open| open.text)
            .collect();
        open.join(" ")
    };
    for (text, first) in [
        ("a", ""),
        ("b", "a c d"),
        ("c", "a"),
        ("d", "a c"),
        ("e", "a b c d"),
    ] {
        assert_eq!(missing(&plan, text), first, "{text}");
    }
    let refused = plan.tick(&id(&plan, "e"), true, "bob", at(1)).unwrap_err();
    let said = refused.to_string();
    assert!(
        said.contains(&id(&plan, "a")) && said.contains("and 1 more"),
        "{said}"
    );
    for text in ["a", "c", "d", "b", "e"] {
        let id = id(&plan, text);
        assert!(plan.tick(&id, true, "bob", at(1)).unwrap(), "{text}");
    }
    // To take a tick away is never out of order.
    let a = id(&plan, "a");
    assert!(plan.tick(&a, false, "bob", at(2)).unwrap());
    plan.ordered = Some(false);
    assert_eq!(missing(&plan, "e"), "");
}

#[test]
fn a_step_waits_for_those_that_it_names() {
    let mut named = plan("- a <!-- after: b -->\n- b <!-- id: b -->\n");
    let a = named.document.steps()[0].id.clone();
    assert!(matches!(
        named.tick(&a, true, "bob", at(1)),
        Err(Refusal::OutOfOrder { missing, .. }) if missing[0].id == "b"
    ));
    assert!(named.tick("b", true, "bob", at(1)).unwrap());
    assert!(named.tick(&a, true, "bob", at(1)).unwrap());
    for (source, says) in [
        ("- a <!-- after: b -->", "no such step"),
        ("- a <!-- id: a --> <!-- after: a -->", "itself"),
        (
            "- a <!-- id: a --> <!-- after: b -->\n- b <!-- id: b --> <!-- after: a -->",
            "wait for it",
        ),
        (
            "<!-- ordered -->\n- a <!-- after: b -->\n- b <!-- id: b -->",
            "comes later",
        ),
        (
            "<!-- ordered -->\n- a <!-- id: a -->\n  - b <!-- after: a -->",
            "comes later",
        ),
    ] {
        let refused = Plan::new(document(source), "ann", at(0)).unwrap_err();
        assert!(refused.detail.contains(says), "{refused}");
    }
    named.states.entry("b".to_owned()).or_default().after = Some(vec![a]);
    assert!(named.check().is_err());
}

#[test]
fn an_edit_keeps_what_is_known_of_the_steps_that_stay() {
    let mut first = plan("# A\n- a\n- b\n- a\n- [x] d\n\n# B\n- a\n");
    let ids: Vec<String> = first
        .document
        .steps()
        .iter()
        .map(|step| step.id.clone())
        .collect();
    let distinct: BTreeSet<&String> = ids.iter().collect();
    assert_eq!(distinct.len(), ids.len());
    for id in &ids {
        let done = first.is_done(first.step(id).unwrap());
        first.tick(id, !done, "bob", at(1)).unwrap();
    }
    first.states.get_mut(&ids[1]).unwrap().note = Some("a note".to_owned());
    first
        .gates
        .insert(first.document.sections()[1].id.clone(), Some(Stage::OptIn));
    first
        .gates
        .insert(first.document.sections()[2].id.clone(), None);
    // Moved, owned, struck out, in another form; and one section is gone.
    let second = "intro\n\n## Before\n# A\n1. new\n1. [o] b\n1. a\n1. [x] d\n";
    let second = first.replaced(document(second), "cat", at(2)).unwrap();
    let expected = [
        "##Before",
        "#A → opt_in",
        "[ ] new",
        "[x] (o) b",
        "[x] a",
        "[ ] d",
    ];
    assert_eq!(outline(&second), expected);
    assert_eq!(second.state(&ids[1]).note.as_deref(), Some("a note"));
    assert_eq!(second.state(&ids[1]).tick.unwrap().by, "bob");
    assert_eq!((second.revision, second.put_by.as_str()), (2, "cat"));
    assert_eq!((second.states.len(), second.gates.len()), (3, 1));
    // Given out, edited and given back: who ticked what stays known.
    let third = second
        .replaced(document(&second.render()), "cat", at(3))
        .unwrap();
    assert_eq!(third.states, second.states);
    assert_eq!(third.render(), second.render());
    // The document takes a mark away that it had itself.
    let taken = third.render().replace("[x] [o] b", "[ ] [o] b");
    let fourth = third.replaced(document(&taken), "cat", at(4)).unwrap();
    assert!(!fourth.is_done(fourth.step(&ids[1]).unwrap()));
    assert_eq!(fourth.state(&ids[1]).note.as_deref(), Some("a note"));
}

#[test]
fn whatever_an_approval_covers_changes_the_digest() {
    let plan = plan("# A\n- a\n- b\n");
    let (a, section) = (
        plan.document.steps()[0].id.clone(),
        plan.document.sections()[1].id.clone(),
    );
    let digest = plan.digest();
    assert_eq!(digest.len(), 64);
    let mut ticked = plan.clone();
    ticked.tick(&a, true, "bob", at(1)).unwrap();
    let mut bound = plan.clone();
    bound.gates.insert(section, Some(Stage::OptIn));
    let mut ordered = plan.clone();
    ordered.ordered = Some(true);
    let edited = plan
        .replaced(document("# A\n- a\n- b \n"), "ann", at(1))
        .unwrap();
    for (what, other) in [
        ("tick", &ticked),
        ("bind", &bound),
        ("order", &ordered),
        ("edit", &edited),
    ] {
        assert_ne!(other.digest(), digest, "{what}");
    }
    ticked.tick(&a, false, "cat", at(2)).unwrap();
    assert_eq!(ticked.digest(), digest);
    ticked.states.get_mut(&a).unwrap().note = Some("only a note".to_owned());
    assert_eq!(ticked.digest(), digest);
}
