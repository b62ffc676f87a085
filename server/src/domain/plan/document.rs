//! A plan as it was written: sections and steps, each with an identity that an edit elsewhere in the
//! text leaves alone.

use std::fmt;
use std::ops::Range;

use serde::Serialize;
use switchover::Stage;

use super::identity::{name_sections, name_steps};
use super::reader;
use crate::domain::text::misleads;

/// The longest plan, in bytes: 1 MiB.
pub const LONGEST_PLAN: usize = 1024 * 1024;
/// The most headings of a plan.
pub const MAX_SECTIONS: usize = 1_000;
/// The most steps of a plan.
pub const MAX_STEPS: usize = 5_000;
/// How deep steps may be nested.
pub const DEEPEST_STEP: usize = 16;
/// How many quotes and lists may begin on one line. Readers of Markdown look at all that are open,
/// again on every line.
const MAX_MARKERS: usize = 64;

/// Why a text is no plan.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlanError {
    /// The line, from 1; `None` when it is about the whole.
    pub line: Option<usize>,
    /// What would be right.
    pub detail: String,
}

impl PlanError {
    pub(super) fn whole(detail: impl Into<String>) -> PlanError {
        PlanError {
            line: None,
            detail: detail.into(),
        }
    }

    pub(super) fn at(source: &str, offset: usize, detail: impl Into<String>) -> PlanError {
        let before = source.as_bytes().get(..offset).unwrap_or_default();
        PlanError {
            line: Some(1 + before.iter().filter(|byte| **byte == b'\n').count()),
            detail: detail.into(),
        }
    }
}

impl fmt::Display for PlanError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            Some(line) => write!(f, "line {line}: {}", self.detail),
            None => f.write_str(&self.detail),
        }
    }
}

impl std::error::Error for PlanError {}

/// Fenced code.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Code {
    /// The language that the fence names, or nothing.
    pub language: String,
    /// The code.
    pub text: String,
}

/// A heading, with what stands below it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Section {
    /// Its identity in the plan.
    pub id: String,
    /// The heading's text; empty for what comes before the first heading.
    pub title: String,
    /// 1 to 6; 0 for what comes before the first heading.
    pub level: u8,
    /// The section that it is a part of: its place in [`Document::sections`].
    pub parent: Option<usize>,
    /// The stage that the document itself binds it to.
    pub gate: Option<Stage>,
    /// Code that no step comes before.
    pub code: Vec<Code>,
}

/// A list item.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// Its identity in the plan.
    pub id: String,
    /// Its section's place in [`Document::sections`].
    pub section: usize,
    /// The step that it is a part of: its place in [`Document::steps`].
    pub parent: Option<usize>,
    /// What is to be done, without owner and checkbox.
    pub text: String,
    /// Who is to do it, as the document says.
    pub owner: Option<String>,
    /// Whether the document itself says that it is done.
    pub done: bool,
    /// Its code.
    pub code: Vec<Code>,
    /// The steps that the document has it wait for.
    pub after: Vec<String>,
    pub(super) mark: Mark,
}

/// Where a step's being done shows in the source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Mark {
    /// Where the mark in the checkbox stands.
    pub(super) checkbox: Option<usize>,
    /// What is struck out, with its tildes.
    pub(super) strikes: Vec<Range<usize>>,
    /// Where the bullet or number stands.
    pub(super) marker: usize,
    /// Where the content begins, and whether that is running text.
    pub(super) content: Option<(usize, bool)>,
}

/// A plan as it was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Document {
    source: String,
    sections: Vec<Section>,
    steps: Vec<Step>,
    ordered: bool,
}

impl Document {
    /// Reads Markdown.
    ///
    /// # Errors
    /// When it is too large, has characters that mislead, or says something to Switchover that makes
    /// no sense.
    pub fn parse(source: &str) -> Result<Document, PlanError> {
        refuse_unreadable(source)?;
        let read = reader::read(source)?;
        let sections = name_sections(read.sections)?;
        let steps = name_steps(source, read.steps, &sections)?;
        Ok(Document {
            source: source.to_owned(),
            sections,
            steps,
            ordered: read.ordered,
        })
    }

    /// The text as it was given.
    #[must_use]
    pub fn source(&self) -> &str {
        &self.source
    }

    /// Every heading, in order, after what comes before the first.
    #[must_use]
    pub fn sections(&self) -> &[Section] {
        &self.sections
    }

    /// Every step, in order; those that are parts of another follow it.
    #[must_use]
    pub fn steps(&self) -> &[Step] {
        &self.steps
    }

    /// Whether the document says that its steps are done one after the other.
    #[must_use]
    pub fn ordered(&self) -> bool {
        self.ordered
    }
}

/// What no parser needs to see.
fn refuse_unreadable(source: &str) -> Result<(), PlanError> {
    if source.len() > LONGEST_PLAN {
        return Err(PlanError::whole(format!(
            "a plan has at most {LONGEST_PLAN} bytes (1 MiB), and this has {}",
            source.len()
        )));
    }
    for (number, line) in (1..).zip(source.split('\n')) {
        let refused = |detail: String| {
            Err(PlanError {
                line: Some(number),
                detail,
            })
        };
        if let Some(bad) = line
            .strip_suffix('\r')
            .unwrap_or(line)
            .chars()
            .find(misleading)
        {
            return refused(format!(
                "the character U+{:04X} controls a terminal or turns the direction of writing: \
                 take it out",
                u32::from(bad)
            ));
        }
        if markers(line) > MAX_MARKERS {
            return refused(format!(
                "more than {MAX_MARKERS} lists and quotes begin here: nest less"
            ));
        }
    }
    Ok(())
}

fn misleading(c: &char) -> bool {
    *c != '\t' && misleads(*c)
}

/// How many quotes and list items may begin on a line.
fn markers(line: &str) -> usize {
    let line = line.trim();
    // A rule is one thing, however many dashes it has.
    let mut letters = line.chars().filter(|c| !matches!(c, ' ' | '\t'));
    let first = letters.next();
    if matches!(first, Some('-' | '*' | '_')) && letters.all(|c| Some(c) == first) {
        return 0;
    }
    let mut markers = 0;
    let mut letters = line.chars().peekable();
    while let Some(letter) = letters.next() {
        match letter {
            ' ' | '\t' => {}
            '>' => markers += 1,
            '-' | '+' | '*' if matches!(letters.peek(), None | Some(' ' | '\t')) => markers += 1,
            '0'..='9' => {
                while letters.next_if(char::is_ascii_digit).is_some() {}
                if letters.next_if(|c| matches!(c, '.' | ')')).is_none() {
                    break;
                }
                markers += 1;
            }
            _ => break,
        }
    }
    markers
}
