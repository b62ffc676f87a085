//! What stands around a word.

use std::ops::Range;

use crate::refs::syntax::Syntax;

fn before<'a>(text: &'a [u8], word: &Range<usize>) -> &'a [u8] {
    text.get(..word.start).unwrap_or_default()
}

fn after<'a>(text: &'a [u8], word: &Range<usize>) -> &'a [u8] {
    text.get(word.end..).unwrap_or_default()
}

/// Whether it is all of a string.
pub(super) fn is_quoted(text: &[u8], word: &Range<usize>, syntax: Syntax) -> bool {
    let Some((quote, left)) = before(text, word).split_last() else {
        return false;
    };
    let is_quote = match quote {
        b'"' | b'\'' => true,
        b'`' => syntax == Syntax::Backticks,
        _ => false,
    };
    let right = after(text, word);
    let is_closed = right.first() == Some(quote);
    // A string within a string.
    let is_escaped = left.last() == Some(&b'\\') && right.starts_with(&[b'\\', *quote]);
    is_quote && (is_closed || is_escaped)
}

/// Whether it is `:symbol`, and not the end of a path or of a label.
pub(super) fn is_symbol(text: &[u8], word: &Range<usize>) -> bool {
    let Some((b':', left)) = before(text, word).split_last() else {
        return false;
    };
    let is_value = |byte: &u8| byte.is_ascii_alphanumeric() || b"_:\"'`)]}?!".contains(byte);
    !left.last().is_some_and(is_value) && after(text, word).first() != Some(&b':')
}

/// Whether it is all of a scalar that needs no quotes.
pub(super) fn is_scalar(text: &[u8], word: &Range<usize>, syntax: Syntax) -> bool {
    let line = before(text, word).rsplit(|byte| *byte == b'\n').next();
    let line = line.unwrap_or_default();
    let left = line.trim_ascii_end();
    let rest = after(text, word).split(|byte| *byte == b'\n').next();
    let rest = rest.unwrap_or_default();
    let right = rest.trim_ascii();
    match syntax {
        Syntax::Yaml => {
            let is_spaced = line.len() > left.len();
            let is_flow = left.iter().any(|byte| b"[{".contains(byte));
            let begins = match left.last() {
                None | Some(b'[' | b'{') => true,
                Some(b'-' | b':' | b'?') => is_spaced,
                Some(b',') => is_flow,
                _ => false,
            };
            let ends = match right.split_first() {
                None | Some((b',' | b']' | b'}', _)) => true,
                Some((b':', value)) => value.first().is_none_or(u8::is_ascii_whitespace),
                Some((b'#', _)) => rest.first().is_some_and(u8::is_ascii_whitespace),
                _ => false,
            };
            begins && ends
        }
        Syntax::Toml => {
            matches!(left.last(), None | Some(b'[' | b'{' | b',' | b'.'))
                && matches!(right.first(), Some(b'=' | b']' | b'.'))
        }
        _ => false,
    }
}

/// Whether it is a variable that is set to exactly `0` or `1`.
pub(super) fn is_set(text: &[u8], word: &Range<usize>, syntax: Syntax) -> bool {
    let rest = after(text, word);
    let (rest, is_quoted) = match rest.split_first() {
        Some((b'"' | b'\'', rest)) => (rest, true),
        _ => (rest, false),
    };
    let spaced = trim_blanks(rest);
    let Some((sign, value)) = spaced.split_first() else {
        return false;
    };
    let is_tight = spaced.len() == rest.len();
    match sign {
        // As shells take it: `NAME=1`.
        b'=' if is_tight && is_switch(value) => true,
        b'=' | b':' if is_quoted_switch(trim_blanks(value)) => true,
        b':' if syntax == Syntax::Yaml => {
            let bare = trim_blanks(value);
            bare.len() < value.len() && is_switch(bare)
        }
        // As programs pass it on: `("NAME", "1")`.
        b',' => is_quoted && is_quoted_switch(trim_blanks(value)),
        _ => false,
    }
}

fn trim_blanks(text: &[u8]) -> &[u8] {
    let blanks = text.iter().take_while(|byte| b" \t".contains(byte)).count();
    text.get(blanks..).unwrap_or_default()
}

/// `0` or `1`, and nothing that goes on.
fn is_switch(text: &[u8]) -> bool {
    let mut bytes = text.iter();
    let is_value = matches!(bytes.next(), Some(b'0' | b'1'));
    is_value
        && bytes
            .next()
            .is_none_or(|next| !next.is_ascii_alphanumeric() && !b"_.".contains(next))
}

fn is_quoted_switch(text: &[u8]) -> bool {
    matches!(text, [open @ (b'"' | b'\''), b'0' | b'1', close, ..] if open == close)
}

/// The key that a call is for, of which the parenthesis opened before `from`: a literal that is its only
/// argument.
pub(super) fn asked_for(text: &[u8], from: usize) -> Option<Range<usize>> {
    let rest = text.get(from..)?;
    let literal = rest.trim_ascii_start().strip_prefix(b"\"")?;
    let start = text.len() - literal.len();
    let length = literal.iter().position(|byte| *byte == b'"')?;
    let (key, end) = literal.split_at_checked(length)?;
    let is_key = key.first().is_some_and(u8::is_ascii_lowercase)
        && key.len() <= 63
        && key
            .iter()
            .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || *byte == b'_');
    let end = end.strip_prefix(b"\"")?.trim_ascii_start();
    let end = end.strip_prefix(b",").unwrap_or(end).trim_ascii_start();
    (is_key && end.first() == Some(&b')')).then_some(start..start + length)
}
