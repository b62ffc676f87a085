//! From Markdown's events to sections and steps, each with its place in the text.
//!
//! Steps are kept flat, in document order, with the number of their parent: no depth of nesting can
//! exhaust a stack.

use std::ops::Range;

use pulldown_cmark::{CodeBlockKind, Event, Options, Parser, Tag, TagEnd};
use switchover::Stage;

use super::PlanError;
use super::directive::{self, Directive};
use super::document::{Code, MAX_SECTIONS};

/// How many list items are read at most; those without text are no steps, so more may stand there
/// than there may be steps.
const MAX_ITEMS: usize = 20_000;

/// A heading and what it says of what follows. The first stands for what comes before any heading.
#[derive(Default)]
pub(super) struct RawSection {
    pub(super) title: String,
    pub(super) level: u8,
    pub(super) name: Option<String>,
    pub(super) gate: Option<Stage>,
    pub(super) code: Vec<Code>,
}

/// A list item.
pub(super) struct RawStep {
    pub(super) section: usize,
    pub(super) parent: Option<usize>,
    /// Where the bullet or number stands.
    pub(super) marker: usize,
    end: usize,
    last_child: Option<usize>,
    /// The text of the first paragraph.
    pub(super) lead: String,
    /// How much of it, from its start, is plain: an owner stands there or nowhere.
    pub(super) plain: usize,
    plain_ended: bool,
    lead_ended: bool,
    /// What of the first paragraph is struck out, in its text.
    pub(super) struck: Vec<Range<usize>>,
    /// The same, in the source.
    pub(super) strikes: Vec<Range<usize>>,
    /// The text of further paragraphs.
    pub(super) rest: String,
    /// Where the mark in a checkbox stands, and whether it is set.
    pub(super) checkbox: Option<(usize, bool)>,
    /// Where the content begins, and whether that is running text.
    pub(super) content: Option<(usize, bool)>,
    pub(super) code: Vec<Code>,
    pub(super) name: Option<String>,
    pub(super) after: Vec<String>,
}

/// What was read.
pub(super) struct Read {
    pub(super) sections: Vec<RawSection>,
    pub(super) steps: Vec<RawStep>,
    pub(super) ordered: bool,
}

/// Reads a text. Tables, footnotes and the rest stay text: they carry no steps, and padding the rows
/// of a table would let a small document grow large.
pub(super) fn read(source: &str) -> Result<Read, PlanError> {
    let options = Options::ENABLE_TASKLISTS
        | Options::ENABLE_STRIKETHROUGH
        | Options::ENABLE_YAML_STYLE_METADATA_BLOCKS;
    // A byte order mark would hide the front matter.
    let skipped = source.len() - source.trim_start_matches('\u{FEFF}').len();
    let text = source.get(skipped..).unwrap_or_default();
    let mut reader = Reader::new(source);
    for (event, range) in Parser::new_ext(text, options).into_offset_iter() {
        reader.take(event, range.start + skipped..range.end + skipped)?;
    }
    Ok(Read {
        sections: reader.sections,
        steps: reader.steps,
        ordered: reader.ordered,
    })
}

struct Reader<'a> {
    source: &'a str,
    sections: Vec<RawSection>,
    steps: Vec<RawStep>,
    ordered: bool,
    /// The items that are open, outermost first.
    open: Vec<usize>,
    /// For every open list, the item that takes it in although Markdown does not say so.
    lists: Vec<Option<usize>>,
    last_top: Option<usize>,
    strikes: usize,
    in_heading: bool,
    in_front_matter: bool,
    code: Option<Code>,
    html: Option<String>,
}

impl<'a> Reader<'a> {
    fn new(source: &'a str) -> Reader<'a> {
        Reader {
            source,
            sections: vec![RawSection::default()],
            steps: Vec::new(),
            ordered: false,
            open: Vec::new(),
            lists: Vec::new(),
            last_top: None,
            strikes: 0,
            in_heading: false,
            in_front_matter: false,
            code: None,
            html: None,
        }
    }

    fn take(&mut self, event: Event<'_>, range: Range<usize>) -> Result<(), PlanError> {
        if !matches!(event, Event::TaskListMarker(_) | Event::End(_)) {
            self.begin_content(&event, range.start);
        }
        match event {
            Event::Start(tag) => return self.start(tag, range),
            Event::End(tag) => return self.end(tag, range),
            Event::Text(text) => self.say(&text, &range, true),
            Event::Code(text) => self.say(&text, &range, false),
            Event::SoftBreak => self.say(" ", &range, true),
            Event::HardBreak => self.say("\n", &range, true),
            Event::TaskListMarker(set) => {
                if let Some(step) = self.top() {
                    step.checkbox = Some((range.start + 1, set));
                }
            }
            Event::Html(html) => match &mut self.html {
                Some(block) => block.push_str(&html),
                None => self.obey(&html, range.start)?,
            },
            Event::InlineHtml(html) => self.obey(&html, range.start)?,
            _ => {}
        }
        Ok(())
    }

    fn start(&mut self, tag: Tag<'_>, range: Range<usize>) -> Result<(), PlanError> {
        match tag {
            Tag::Heading { level, .. } if self.open.is_empty() => {
                if self.sections.len() > MAX_SECTIONS {
                    let detail = format!("a plan has at most {MAX_SECTIONS} headings");
                    return Err(PlanError::at(self.source, range.start, detail));
                }
                self.sections.push(RawSection {
                    level: level_number(level),
                    ..RawSection::default()
                });
                self.in_heading = true;
                self.last_top = None;
            }
            Tag::List(_) => {
                self.end_lead();
                let adopted_by = self.adopter(range.start);
                self.lists.push(adopted_by);
            }
            Tag::Item => self.start_item(range.start)?,
            Tag::CodeBlock(kind) => {
                self.end_lead();
                if let CodeBlockKind::Fenced(info) = kind {
                    self.code = Some(Code {
                        language: info.split_whitespace().next().unwrap_or("").to_owned(),
                        text: String::new(),
                    });
                }
            }
            Tag::HtmlBlock => {
                self.end_lead();
                self.html = Some(String::new());
            }
            Tag::MetadataBlock(_) => self.in_front_matter = true,
            Tag::Strikethrough => {
                if self.strikes == 0
                    && let Some(step) = self.top()
                    && !step.lead_ended
                {
                    step.strikes.push(range);
                }
                self.strikes += 1;
            }
            Tag::Link { .. } | Tag::Image { .. } => {
                if let Some(step) = self.top() {
                    step.plain_ended = true;
                }
            }
            Tag::BlockQuote(_) | Tag::Heading { .. } => self.end_lead(),
            _ => {}
        }
        Ok(())
    }

    fn end(&mut self, tag: TagEnd, range: Range<usize>) -> Result<(), PlanError> {
        match tag {
            TagEnd::Heading(_) => {
                self.in_heading = false;
                self.end_lead();
            }
            TagEnd::Paragraph => self.end_lead(),
            TagEnd::List(_) => {
                self.lists.pop();
            }
            TagEnd::Item => {
                let parent = self.top().and_then(|step| {
                    step.end = range.end;
                    step.parent
                });
                if let Some(parent) = parent.and_then(|parent| self.steps.get_mut(parent)) {
                    parent.end = parent.end.max(range.end);
                }
                self.open.pop();
            }
            TagEnd::CodeBlock => {
                if let Some(code) = self.code.take() {
                    self.keep_code(code);
                }
            }
            TagEnd::HtmlBlock => {
                if let Some(html) = self.html.take() {
                    self.obey(&html, range.start)?;
                    // What an item says beside its comments is its text.
                    let text = directive::without_comments(&html);
                    self.say(text.trim(), &range, false);
                    self.end_lead();
                }
            }
            TagEnd::MetadataBlock(_) => self.in_front_matter = false,
            TagEnd::Strikethrough => self.strikes = self.strikes.saturating_sub(1),
            _ => {}
        }
        Ok(())
    }

    fn start_item(&mut self, at: usize) -> Result<(), PlanError> {
        if self.steps.len() >= MAX_ITEMS {
            let detail = format!("a plan has at most {MAX_ITEMS} list items");
            return Err(PlanError::at(self.source, at, detail));
        }
        let parent = self.lists.last().copied().flatten();
        let parent = parent.or(self.open.last().copied());
        let number = self.steps.len();
        match parent {
            None => self.last_top = Some(number),
            Some(parent) => {
                if let Some(parent) = self.steps.get_mut(parent) {
                    parent.last_child = Some(number);
                }
            }
        }
        self.steps.push(RawStep {
            section: self.sections.len() - 1,
            parent,
            marker: self.marker_from(at),
            end: at,
            last_child: None,
            lead: String::new(),
            plain: 0,
            plain_ended: false,
            lead_ended: false,
            struck: Vec::new(),
            strikes: Vec::new(),
            rest: String::new(),
            checkbox: None,
            content: None,
            code: Vec::new(),
            name: None,
            after: Vec::new(),
        });
        self.open.push(number);
        Ok(())
    }

    /// The item before a list that takes it in. Markdown nests below `1. …` only what is indented by
    /// three; people indent by two, and mean the same.
    fn adopter(&self, at: usize) -> Option<usize> {
        let before = match self.open.last() {
            None => self.last_top,
            Some(parent) => self.steps.get(*parent)?.last_child,
        }?;
        let step = self.steps.get(before)?;
        let between = self.source.get(step.end..at)?;
        let deeper = self.column(self.marker_from(at)) >= self.column(step.marker) + 2;
        (between.trim().is_empty() && deeper).then_some(before)
    }

    /// An item's range begins with its indentation.
    fn marker_from(&self, at: usize) -> usize {
        let rest = self.source.get(at..).unwrap_or_default();
        at + rest.len() - rest.trim_start_matches([' ', '\t']).len()
    }

    fn column(&self, at: usize) -> usize {
        let before = self.source.get(..at).unwrap_or_default();
        before.len() - before.rfind('\n').map_or(0, |line| line + 1)
    }

    fn top(&mut self) -> Option<&mut RawStep> {
        let top = self.open.last()?;
        self.steps.get_mut(*top)
    }

    fn begin_content(&mut self, event: &Event<'_>, at: usize) {
        let running = match event {
            Event::Start(tag) => matches!(
                tag,
                Tag::Paragraph
                    | Tag::HtmlBlock
                    | Tag::Emphasis
                    | Tag::Strong
                    | Tag::Strikethrough
                    | Tag::Link { .. }
                    | Tag::Image { .. }
            ),
            Event::Rule => false,
            _ => true,
        };
        if let Some(step) = self.top() {
            step.content.get_or_insert((at, running));
        }
    }

    /// The first paragraph is over, once it has said something.
    fn end_lead(&mut self) {
        if let Some(step) = self.top() {
            if step.lead_ended {
                if !step.rest.is_empty() && !step.rest.ends_with('\n') {
                    step.rest.push('\n');
                }
            } else {
                step.lead_ended = !step.lead.trim().is_empty();
            }
        }
    }

    fn say(&mut self, text: &str, range: &Range<usize>, plain: bool) {
        if self.in_front_matter || text.is_empty() {
            return;
        }
        if let Some(code) = &mut self.code {
            code.text.push_str(text);
            return;
        }
        if self.in_heading {
            if let Some(section) = self.sections.last_mut() {
                section.title.push_str(text);
            }
            return;
        }
        let struck = self.strikes > 0;
        let escaped = range
            .start
            .checked_sub(1)
            .and_then(|before| self.source.as_bytes().get(before))
            == Some(&b'\\');
        let Some(step) = self.top() else {
            return;
        };
        if step.lead_ended {
            step.rest.push_str(text);
            return;
        }
        let from = step.lead.len();
        step.lead.push_str(text);
        let to = step.lead.len();
        step.plain_ended |= !plain || escaped;
        if !step.plain_ended {
            step.plain = to;
        }
        if struck {
            step.struck.push(from..to);
        }
    }

    /// Fenced code belongs to the item that it stands in, else to the step before it, else to the
    /// section.
    fn keep_code(&mut self, code: Code) {
        let step = self.open.last().copied().or(self.last_top);
        let place = match step.and_then(|step| self.steps.get_mut(step)) {
            Some(step) => Some(&mut step.code),
            None => self.sections.last_mut().map(|section| &mut section.code),
        };
        if let Some(place) = place {
            place.push(code);
        }
    }

    fn obey(&mut self, html: &str, at: usize) -> Result<(), PlanError> {
        for found in directive::read(html) {
            let found = found.map_err(|detail| PlanError::at(self.source, at, detail))?;
            self.obey_one(found)
                .map_err(|detail| PlanError::at(self.source, at, detail))?;
        }
        Ok(())
    }

    fn obey_one(&mut self, directive: Directive) -> Result<(), String> {
        let step = self.open.last().copied();
        let step = step.and_then(|step| self.steps.get_mut(step));
        let section = self.sections.last_mut();
        match (directive, step, section) {
            (Directive::Ordered, _, _) => self.ordered = true,
            (Directive::Gate(stage), _, Some(section)) => {
                if section.gate.is_some_and(|other| other != stage) {
                    return Err("this section is bound to another stage already".to_owned());
                }
                section.gate = Some(stage);
            }
            (Directive::After(steps), Some(step), _) => step.after.extend(steps),
            (Directive::After(_), None, _) => {
                return Err("`after` stands in the step that has to wait".to_owned());
            }
            (Directive::Id(name), Some(step), _) => step.name = Some(name),
            (Directive::Id(name), None, Some(section)) => section.name = Some(name),
            (_, _, None) => {}
        }
        Ok(())
    }
}

fn level_number(level: pulldown_cmark::HeadingLevel) -> u8 {
    use pulldown_cmark::HeadingLevel as Level;
    match level {
        Level::H1 => 1,
        Level::H2 => 2,
        Level::H3 => 3,
        Level::H4 => 4,
        Level::H5 => 5,
        Level::H6 => 6,
    }
}
