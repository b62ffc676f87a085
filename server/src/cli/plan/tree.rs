//! A plan, for people.

use crate::cli::output::{count, moment};
use crate::cli::wire::{Plan, PlanSection, PlanStep};

/// A line of a step is cut after so many characters: the Markdown has it whole.
const LONGEST_LINE: usize = 120;

pub(super) fn plan(plan: &Plan) -> String {
    let mut text = format!("{}: {}", plan.route, progress(plan));
    text.push_str(&format!(
        "\nput by {} at {}",
        plan.put_by,
        moment(plan.put_at)
    ));
    for section in &plan.sections {
        if !section.steps.is_empty() || section.gate.is_some() {
            heading(&mut text, section);
            for step in &section.steps {
                line(&mut text, step, 1);
            }
        }
    }
    text
}

pub(super) fn progress(plan: &Plan) -> String {
    let steps = count(plan.total, "step");
    let order = if plan.ordered { ", in order" } else { "" };
    format!("{} of {steps} done{order}", plan.done)
}

fn heading(text: &mut String, section: &PlanSection) {
    let marks = "#".repeat(section.level.max(1));
    let gate = section
        .gate
        .map_or(String::new(), |gate| format!(" → {gate}"));
    text.push_str(&format!(
        "\n\n{marks} {}{gate}  {}/{}  ({})",
        section.title, section.done, section.total, section.id
    ));
}

fn line(text: &mut String, step: &PlanStep, depth: usize) {
    let indent = "  ".repeat(depth);
    let mark = if step.done { 'x' } else { ' ' };
    let owner = step.owner.as_ref();
    let owner = owner.map_or(String::new(), |owner| format!("[{owner}] "));
    let said = step.text.lines().next().unwrap_or_default();
    let mut shown: String = said.chars().take(LONGEST_LINE).collect();
    if shown.len() < step.text.len() {
        shown.push('…');
    }
    text.push_str(&format!("\n{indent}[{mark}] {}  {owner}{shown}", step.id));
    if let (Some(by), Some(at)) = (&step.done_by, step.done_at) {
        text.push_str(&format!("  ({by}, {})", moment(at)));
    }
    let languages: Vec<&str> = step
        .code
        .iter()
        .map(|code| code.language.as_str())
        .collect();
    for (what, said) in [
        ("note", step.note.clone().unwrap_or_default()),
        ("after", step.after.join(", ")),
        ("code", languages.join(", ")),
    ] {
        if !said.is_empty() {
            text.push_str(&format!(
                "\n{indent}    {what}: {}",
                said.replace('\n', " ")
            ));
        }
    }
    for part in &step.steps {
        line(text, part, depth + 1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plan_is_a_tree() {
        let shown: Plan = serde_json::from_str(
            r##"{"route": "count_commits", "ordered": true, "total": 3, "done": 1,
                "put_by": "ann", "put_at": "2026-11-21T12:00:00Z", "revision": 2,
                "sections": [
                  {"id": "aa", "title": "Notes", "level": 1, "gate": null, "total": 0, "done": 0,
                   "code": [], "steps": []},
                  {"id": "bb", "title": "Before opt-in", "level": 2, "gate": "opt_in", "total": 3,
                   "done": 1, "code": [], "steps": [
                     {"id": "c1", "text": "Back up\nall of it", "owner": "DevOps", "done": true,
                      "done_by": "bob", "done_at": "2026-11-21T12:30:00Z", "note": "40 minutes",
                      "after": [], "code": [{"language": "sh", "text": "x"}], "steps": []},
                     {"id": "c2", "text": "Switch", "owner": null, "done": false, "done_by": null,
                      "done_at": null, "note": null, "after": ["c1"], "code": [], "steps": [
                        {"id": "c3", "text": "Look", "owner": null, "done": false, "done_by": null,
                         "done_at": null, "note": null, "after": [], "code": [], "steps": []}]}]}]}"##,
        )
        .unwrap();
        insta::assert_snapshot!(plan(&shown), @r"
        count_commits: 1 of 3 steps done, in order
        put by ann at 2026-11-21 12:00:00Z

        ## Before opt-in → opt_in  1/3  (bb)
          [x] c1  [DevOps] Back up…  (bob, 2026-11-21 12:30:00Z)
              note: 40 minutes
              code: sh
          [ ] c2  Switch
              after: c1
            [ ] c3  Look
        ");
    }
}
