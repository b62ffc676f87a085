//! Bounded text: parsed at the edge, then carried as what it is.

use std::fmt;

use serde::Serialize;

/// Why somebody changes something. 1 to 1,000 characters, not all blank.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Reason(String);

impl Reason {
    /// The longest reason, in characters.
    pub const LONGEST: usize = 1_000;

    /// A reason from what somebody wrote; surrounding blanks go.
    ///
    /// # Errors
    /// When it is blank or too long; the text says what to do.
    pub fn new(text: &str) -> Result<Reason, String> {
        bounded(text, Reason::LONGEST)
            .map(Reason)
            .ok_or_else(|| format!("say why, in 1 to {} characters", Reason::LONGEST))
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The trimmed text, when it has 1 to `longest` characters and none of them controls a terminal or
/// turns the direction of writing (line breaks and tabs are fine).
#[must_use]
pub fn bounded(text: &str, longest: usize) -> Option<String> {
    let text = text.trim();
    (!text.is_empty() && is_clean(text) && text.chars().count() <= longest).then(|| text.to_owned())
}

/// Whether a text has no character that controls a terminal or turns the direction of writing (line
/// breaks and tabs are fine).
#[must_use]
pub fn is_clean(text: &str) -> bool {
    text.chars()
        .all(|c| matches!(c, '\n' | '\r' | '\t') || !misleads(c))
}

/// Whether a character controls a terminal or turns the direction of writing.
#[must_use]
pub fn misleads(c: char) -> bool {
    c.is_control() || turns(c)
}

/// Whether a character makes readers see the others in another order than machines do.
fn turns(c: char) -> bool {
    matches!(c, '\u{200E}' | '\u{200F}' | '\u{202A}'..='\u{202E}' | '\u{2066}'..='\u{2069}')
}
