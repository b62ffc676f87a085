//! Which words of a text are uses of a flag or of a key.

use std::collections::{HashMap, HashSet};
use std::ops::Range;

use aho_corasick::{AhoCorasick, AhoCorasickKind, MatchKind};

use crate::refs::findings::Tracked;
use crate::refs::place::{Position, is_ignored_file};
use crate::refs::syntax::Syntax;

mod context;

use context::{asked_for, is_quoted, is_scalar, is_set, is_symbol};

/// A use in a text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// From 1.
    pub line: u64,
    /// From 1, in characters.
    pub column: u64,
    /// The flag or the key, as it stands there.
    pub name: String,
    /// What it is.
    pub subject: Subject,
}

/// What a use is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Subject {
    /// A route, by its place among those that are looked for.
    Route(usize),
    /// A flag or a key that no route has.
    Unknown,
}

#[derive(Clone, Copy)]
enum Name {
    Flag(usize),
    Key(usize),
}

/// Finds the names of routes.
pub struct Matcher {
    needles: AhoCorasick,
    /// The first so many needles are what comes before a key in code that asks the SDK.
    asking: usize,
    names: HashMap<Vec<u8>, Name>,
    prefixes: HashSet<Vec<u8>>,
    /// What shows that a file has to do with routes at all.
    trade: AhoCorasick,
}

/// For more routes, the fastest automaton takes longer to make than it saves, and much memory.
const MOST_FOR_DFA: usize = 2_000;

/// What OpenFeature's clients write behind a key for the route's path as text.
const AS_TEXT: &[u8] = b".path";

/// How code asks the SDK for a route.
const ASKING: [&str; 2] = [".route(", "RouteSpec::new("];

/// What a file names that deals with routes, in whatever case.
const TRADE: [&str; 3] = ["switchover", "openfeature", "ofrep"];

impl Matcher {
    /// A matcher for the names of these routes.
    ///
    /// # Errors
    /// When they are too many for one automaton.
    pub fn new(routes: &[Tracked]) -> Result<Matcher, String> {
        let mut names = HashMap::new();
        let mut prefixes = HashSet::new();
        let mut needles: Vec<Vec<u8>> = ASKING.map(Vec::from).to_vec();
        for (index, route) in routes.iter().enumerate() {
            let (flag, key) = (route.flag.as_bytes(), route.key.as_bytes());
            let prefix = flag.split_inclusive(|byte| *byte == b'_').next();
            let prefix = prefix.unwrap_or_default().to_vec();
            if prefixes.insert(prefix.clone()) {
                needles.push(prefix);
            }
            needles.push(key.to_vec());
            names.insert(flag.to_vec(), Name::Flag(index));
            names.insert(key.to_vec(), Name::Key(index));
        }
        let needles = AhoCorasick::builder()
            .match_kind(MatchKind::LeftmostLongest)
            .kind((routes.len() <= MOST_FOR_DFA).then_some(AhoCorasickKind::DFA))
            .build(&needles)
            .map_err(|error| error.to_string())?;
        let trade = AhoCorasick::builder()
            .ascii_case_insensitive(true)
            .build(TRADE)
            .map_err(|error| error.to_string())?;
        Ok(Matcher {
            needles,
            asking: ASKING.len(),
            names,
            prefixes,
            trade,
        })
    }

    /// The uses in a text, from its start to its end.
    #[must_use]
    pub fn find(&self, text: &[u8], syntax: Syntax) -> Vec<Found> {
        let mut search = Search {
            matcher: self,
            text,
            syntax,
            is_trade: None,
        };
        let mut position = Position::new(text);
        let mut found = Vec::new();
        // A word is looked at once, however many needles are in it.
        let mut passed = 0;
        for hit in self.needles.find_iter(text) {
            if hit.start() < passed {
                continue;
            }
            let use_ = if hit.pattern().as_usize() < self.asking {
                search.unknown_key(hit.end())
            } else {
                let word = word(text, hit.range());
                passed = word.end;
                search.name(word)
            };
            let Some((range, subject)) = use_ else {
                continue;
            };
            if found.is_empty() && is_ignored_file(text) {
                return found;
            }
            let (line, column) = position.of(range.start);
            if !position.is_ignored() {
                let name = text.get(range).unwrap_or_default();
                found.push(Found {
                    line,
                    column,
                    name: String::from_utf8_lossy(name).into_owned(),
                    subject,
                });
            }
        }
        found
    }
}

struct Search<'a> {
    matcher: &'a Matcher,
    text: &'a [u8],
    syntax: Syntax,
    is_trade: Option<bool>,
}

impl Search<'_> {
    /// What a whole word is.
    fn name(&mut self, range: Range<usize>) -> Option<(Range<usize>, Subject)> {
        let word = self.text.get(range.clone())?;
        if !is_apart(self.text, &range) {
            return None;
        }
        let subject = match self.matcher.names.get(word) {
            Some(Name::Flag(route)) => Subject::Route(*route),
            Some(Name::Key(route)) if self.is_key(&range, word) => Subject::Route(*route),
            Some(Name::Key(_)) => return None,
            None if self.is_unknown_flag(&range, word) => Subject::Unknown,
            None => return None,
        };
        Some((range, subject))
    }

    /// Keys are words like others: they count where they stand for themselves.
    fn is_key(&mut self, range: &Range<usize>, word: &[u8]) -> bool {
        let (text, syntax) = (self.text, self.syntax);
        let has_parts = word.contains(&b'_');
        let range = &with_suffix(text, range);
        if is_quoted(text, range, syntax) || (syntax == Syntax::Symbols && is_symbol(text, range)) {
            has_parts || is_asked_for(text, range) || self.is_of_the_trade()
        } else {
            has_parts && is_scalar(text, range, syntax)
        }
    }

    /// A variable that is set as flags are, and named like them, and is none.
    fn is_unknown_flag(&self, range: &Range<usize>, word: &[u8]) -> bool {
        let mut parts = word.split_inclusive(|byte| *byte == b'_');
        let has_prefix = parts
            .next()
            .is_some_and(|prefix| self.matcher.prefixes.contains(prefix));
        let is_shaped = word
            .iter()
            .all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit() || *byte == b'_');
        has_prefix
            && is_shaped
            && parts.filter(|part| *part != b"_").count() >= 2
            && !word.ends_with(b"_FEATURE_DEFAULT_ON")
            && is_set(self.text, range, self.syntax)
    }

    /// A key that the SDK is asked for, and that no route has.
    fn unknown_key(&self, after: usize) -> Option<(Range<usize>, Subject)> {
        if self.syntax != Syntax::Rust {
            return None;
        }
        let range = asked_for(self.text, after)?;
        let key = self.text.get(range.clone())?;
        let is_known = matches!(self.matcher.names.get(key), Some(Name::Key(_)));
        (!is_known).then_some((range, Subject::Unknown))
    }

    fn is_of_the_trade(&mut self) -> bool {
        *self
            .is_trade
            .get_or_insert_with(|| self.matcher.trade.is_match(self.text))
    }
}

/// A key with what OpenFeature's clients write behind it, where they do.
fn with_suffix(text: &[u8], key: &Range<usize>) -> Range<usize> {
    let after = text.get(key.end..).unwrap_or_default();
    let is_as_text = after
        .strip_prefix(AS_TEXT)
        .is_some_and(|rest| !rest.first().is_some_and(|byte| is_part(*byte)));
    let end = if is_as_text {
        key.end + AS_TEXT.len()
    } else {
        key.end
    };
    key.start..end
}

/// Whether the SDK is asked for the key that stands here in quotes.
fn is_asked_for(text: &[u8], key: &Range<usize>) -> bool {
    let before = text.get(..key.start.saturating_sub(1)).unwrap_or_default();
    let before = before.trim_ascii_end();
    ASKING
        .iter()
        .any(|asking| before.ends_with(asking.as_bytes()))
}

/// The whole word of which a part is here.
fn word(text: &[u8], part: Range<usize>) -> Range<usize> {
    let before = text.get(..part.start).unwrap_or_default();
    let after = text.get(part.end..).unwrap_or_default();
    let start = before.iter().rposition(|byte| !is_part(*byte));
    let end = after.iter().position(|byte| !is_part(*byte));
    Range {
        start: start.map_or(0, |at| at + 1),
        end: part.end + end.unwrap_or(after.len()),
    }
}

fn is_part(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}

/// Whether no letter beyond ASCII makes a longer word of it.
fn is_apart(text: &[u8], word: &Range<usize>) -> bool {
    let before = text.get(..word.start).unwrap_or_default();
    let after = text.get(word.end..).unwrap_or_default();
    let last = (1..=4).find_map(|length| {
        let end = before.get(before.len().checked_sub(length)?..)?;
        std::str::from_utf8(end).ok()?.chars().next_back()
    });
    let first = (1..=4).find_map(|length| {
        std::str::from_utf8(after.get(..length)?)
            .ok()?
            .chars()
            .next()
    });
    // Where it is no UTF-8, it is Latin-1 or like it, whose letters are its upper part.
    let is_letter = |character: Option<char>, byte: Option<&u8>| match character {
        Some(character) => character.is_alphanumeric(),
        None => byte.is_some_and(|byte| *byte >= 0xc0),
    };
    !is_letter(last, before.last()) && !is_letter(first, after.first())
}

#[cfg(test)]
mod tests;
