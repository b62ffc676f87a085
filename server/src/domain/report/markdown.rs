//! Markdown that says what it is given, and nothing that the given text would make of it.

use std::fmt::Write as _;

use chrono::{DateTime, Duration, Utc};

/// What people wrote, in one line: it breaks no table, and is neither markup nor HTML.
pub(super) fn plain(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    let words: Vec<&str> = text
        .split(|c: char| c.is_whitespace() || c.is_control())
        .filter(|word| !word.is_empty())
        .collect();
    let text: Vec<char> = words.join(" ").chars().collect();
    let is_word = |at: Option<usize>| {
        let c = at.and_then(|at| text.get(at));
        c.is_some_and(|c| c.is_alphanumeric())
    };
    for (at, c) in text.iter().copied().enumerate() {
        match c {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            // Not every reader of tables takes a backslash here.
            '|' => safe.push_str("&#124;"),
            // Within a word it emphasises nothing.
            '_' if is_word(at.checked_sub(1)) && is_word(Some(at + 1)) => safe.push('_'),
            '\\' | '`' | '*' | '_' | '[' | ']' | '~' | '$' => {
                safe.push('\\');
                safe.push(c);
            }
            // Text that changes the direction of what follows would make a row say something else.
            '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => {}
            other => safe.push(other),
        }
    }
    safe
}

/// An address, as a link that shows itself.
pub(super) fn link(address: &str) -> String {
    let mut safe = String::new();
    for c in address.chars() {
        match c {
            '<' | '>' | '|' | '`' | '\\' | '"' | ' ' => {
                // Writing to a string does not fail.
                let _ = write!(safe, "%{:02X}", u32::from(c));
            }
            c if c.is_control() => {}
            c => safe.push(c),
        }
    }
    format!("<{safe}>")
}

/// A moment, in UTC.
pub(super) fn moment(at: DateTime<Utc>) -> String {
    at.format("%Y-%m-%d %H:%M:%SZ").to_string()
}

/// How long, by its two largest units.
pub(super) fn length(length: Duration) -> String {
    let seconds = length.num_seconds().max(0);
    let units = [("d", 86_400), ("h", 3_600), ("min", 60), ("s", 1)];
    let mut rest = seconds;
    let mut parts = Vec::new();
    for (unit, size) in units {
        let number = rest / size;
        rest %= size;
        if number > 0 {
            parts.push(format!("{number} {unit}"));
        } else if !parts.is_empty() {
            break;
        }
    }
    parts.truncate(2);
    if parts.is_empty() {
        return "0 s".to_owned();
    }
    parts.join(" ")
}

/// A section with a table; nothing when it has no rows.
pub(super) fn section(out: &mut String, title: &str, header: &[&str], rows: &[Vec<String>]) {
    if rows.is_empty() {
        return;
    }
    heading(out, title);
    table(out, header, rows);
}

pub(super) fn heading(out: &mut String, title: &str) {
    out.push_str("\n## ");
    out.push_str(title);
    out.push_str("\n\n");
}

pub(super) fn table(out: &mut String, header: &[&str], rows: &[Vec<String>]) {
    line(out, header.iter().copied());
    line(out, header.iter().map(|_| "---"));
    for row in rows {
        line(out, row.iter().map(String::as_str));
    }
}

fn line<'a>(out: &mut String, cells: impl Iterator<Item = &'a str>) {
    out.push('|');
    for cell in cells {
        out.push(' ');
        out.push_str(cell);
        out.push_str(if cell.is_empty() { "|" } else { " |" });
    }
    out.push('\n');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_people_write_stays_what_they_wrote() {
        for (text, safe) in [
            ("a | b\n\n# c", "a &#124; b # c"),
            ("opt_in _x_", "opt_in \\_x\\_"),
            ("`x` **y** [z](u)", "\\`x\\` \\*\\*y\\*\\* \\[z\\](u)"),
            ("<script>&amp;", "&lt;script&gt;&amp;amp;"),
            ("a\\|b", "a\\\\&#124;b"),
            ("\u{202e}x\u{7}y\0", "x y"),
            (" \r\n ", ""),
        ] {
            assert_eq!(plain(text), safe, "{text:?}");
        }
        assert_eq!(link("https://x/<a>|b`"), "<https://x/%3Ca%3E%7Cb%60>");
    }

    #[test]
    fn lengths_have_two_units() {
        for (seconds, text) in [
            (0, "0 s"),
            (59, "59 s"),
            (3_600, "1 h"),
            (90_061, "1 d 1 h"),
            (86_460, "1 d"),
            (-5, "0 s"),
        ] {
            assert_eq!(length(Duration::seconds(seconds)), text);
        }
    }
}
