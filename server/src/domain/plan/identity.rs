//! What identifies sections and steps: the path to them and what they say. An edit elsewhere leaves
//! an identity alone, and so does a tick, an owner, or a checkbox instead of a line struck out.

use std::collections::{HashMap, HashSet};

use sha2::{Digest as _, Sha256};

use super::PlanError;
use super::directive::MAX_AFTER;
use super::document::{DEEPEST_STEP, MAX_STEPS, Mark, Section, Step};
use super::reader::{RawSection, RawStep};
use crate::domain::approval::hex;

/// The longest owner, in characters.
const LONGEST_OWNER: usize = 100;
/// How many hexadecimal digits an identity has.
const DIGITS: usize = 10;

/// Sections by the titles above them and their own.
pub(super) fn name_sections(raw: Vec<RawSection>) -> Result<Vec<Section>, PlanError> {
    let chosen = raw.iter().filter_map(|section| section.name.as_ref());
    let mut names = Names::reserve("sections", chosen)?;
    let mut sections: Vec<Section> = Vec::with_capacity(raw.len());
    // The places of the sections that are open, outermost first.
    let mut above: Vec<usize> = Vec::new();
    for raw in raw {
        let outranks = |place: &usize| sections.get(*place).is_some_and(|s| s.level < raw.level);
        while above.last().is_some_and(|last| !outranks(last)) {
            above.pop();
        }
        let parent = above.last().copied();
        let title = raw.title.trim().to_owned();
        let path = parent.and_then(|parent| sections.get(parent));
        let path = path.map_or("", |parent| parent.id.as_str());
        let id = raw.name.unwrap_or_else(|| names.give([path, "", &title]));
        above.push(sections.len());
        sections.push(Section {
            id,
            title,
            level: raw.level,
            parent,
            gate: raw.gate,
            code: raw.code,
        });
    }
    Ok(sections)
}

/// Steps by their section, the steps that they are parts of, and their text.
pub(super) fn name_steps(
    source: &str,
    raw: Vec<RawStep>,
    sections: &[Section],
) -> Result<Vec<Step>, PlanError> {
    let raw = keep_steps(source, raw)?;
    let chosen = raw.iter().filter_map(|step| step.name.as_ref());
    let mut names = Names::reserve("steps", chosen)?;
    let mut steps: Vec<Step> = Vec::with_capacity(raw.len());
    for raw in raw {
        let (owner, after_owner) = owner(&raw);
        let said = raw.lead.get(after_owner..).unwrap_or_default().trim();
        let done = raw.checkbox.is_some_and(|(_, set)| set) || is_struck(&raw, after_owner);
        let id = raw.name.clone().unwrap_or_else(|| {
            let section = sections.get(raw.section);
            let section = section.map_or("", |section| section.id.as_str());
            let parent = raw.parent.and_then(|parent| steps.get(parent));
            let parent = parent.map_or("", |parent| parent.id.as_str());
            let code = raw.code.first().map_or("", |code| code.text.as_str());
            let says = if said.is_empty() { code } else { said };
            names.give([section, parent, says])
        });
        let mut text = said.to_owned();
        if !raw.rest.trim().is_empty() {
            text.push('\n');
            text.push_str(raw.rest.trim());
        }
        steps.push(Step {
            id,
            section: raw.section,
            parent: raw.parent,
            text,
            owner,
            done,
            code: raw.code,
            after: raw.after,
            mark: Mark {
                checkbox: raw.checkbox.map(|(at, _)| at),
                strikes: raw.strikes,
                marker: raw.marker,
                content: raw.content,
            },
        });
    }
    Ok(steps)
}

/// The items that say something. Parts of one that says nothing are parts of the one around it.
fn keep_steps(source: &str, raw: Vec<RawStep>) -> Result<Vec<RawStep>, PlanError> {
    let mut places: Vec<Option<usize>> = Vec::with_capacity(raw.len());
    let mut depths: Vec<usize> = Vec::new();
    let mut steps: Vec<RawStep> = Vec::new();
    for mut step in raw {
        let parent = step.parent.and_then(|parent| *places.get(parent)?);
        if step.lead.trim().is_empty() && step.code.is_empty() {
            places.push(parent);
            continue;
        }
        let depth = 1 + parent.and_then(|parent| depths.get(parent)).unwrap_or(&0);
        let refused = if depth > DEEPEST_STEP {
            format!("steps are nested at most {DEEPEST_STEP} deep")
        } else if steps.len() >= MAX_STEPS {
            format!("a plan has at most {MAX_STEPS} steps")
        } else if step.after.len() > MAX_AFTER {
            format!("a step waits for at most {MAX_AFTER} others")
        } else {
            places.push(Some(steps.len()));
            depths.push(depth);
            step.parent = parent;
            steps.push(step);
            continue;
        };
        return Err(PlanError::at(source, step.marker, refused));
    }
    Ok(steps)
}

/// A leading `[Owner]`, and where in the text what follows it begins.
fn owner(step: &RawStep) -> (Option<String>, usize) {
    let found = || {
        let plain = step.lead.get(..step.plain)?;
        let blank = plain.len() - plain.trim_start().len();
        let (owner, _) = plain.trim_start().strip_prefix('[')?.split_once(']')?;
        let from = blank + owner.len() + 2;
        let name = owner.trim();
        let fits = !name.is_empty()
            && name.chars().count() <= LONGEST_OWNER
            && !name.contains(['[', '\n'])
            // What is nearly a checkbox, or a footnote, is nobody.
            && !name.eq_ignore_ascii_case("x")
            && !name.starts_with('^');
        let says = step.lead.get(from..)?.contains(char::is_alphanumeric);
        (fits && says).then(|| (name.to_owned(), from))
    };
    found().map_or((None, 0), |(owner, from)| (Some(owner), from))
}

/// Whether the whole of what a step says is struck out. A full stop may stand behind; an item that is
/// struck out in part is not done.
fn is_struck(step: &RawStep, from: usize) -> bool {
    let mut struck = step.struck.iter().peekable();
    let mut within = false;
    for (at, letter) in step.lead.char_indices() {
        while struck.next_if(|range| range.end <= at).is_some() {}
        let is_struck = struck.peek().is_some_and(|range| range.contains(&at));
        if at < from || !letter.is_alphanumeric() {
            continue;
        }
        if !is_struck {
            return false;
        }
        within = true;
    }
    within
}

/// Identities that are given out once.
struct Names {
    used: HashSet<String>,
    times: HashMap<String, usize>,
}

impl Names {
    /// Identities beside those that the document chose.
    fn reserve<'a>(
        what: &str,
        chosen: impl Iterator<Item = &'a String>,
    ) -> Result<Names, PlanError> {
        let mut used = HashSet::new();
        for name in chosen {
            if !used.insert(name.clone()) {
                let detail = format!("two {what} have the id `{name}`: choose another for one");
                return Err(PlanError::whole(detail));
            }
        }
        Ok(Names {
            used,
            times: HashMap::new(),
        })
    }

    /// An identity for what is found by this path. Those that are found by the same one are counted.
    fn give(&mut self, path: [&str; 3]) -> String {
        let mut hash = Sha256::new();
        for part in path {
            // No plan has the character that ends a part.
            hash.update(part);
            hash.update([0]);
        }
        let digits: String = hex(&hash.finalize()).chars().take(DIGITS).collect();
        let times = self.times.entry(digits.clone()).or_insert(0);
        loop {
            *times += 1;
            let name = match *times {
                1 => digits.clone(),
                times => format!("{digits}-{times}"),
            };
            if self.used.insert(name.clone()) {
                return name;
            }
        }
    }
}
