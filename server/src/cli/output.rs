//! What goes to standard output: lines, and tables that fit the terminal.

use std::io::{self, ErrorKind, IsTerminal as _, Write as _};

use chrono::{DateTime, Utc};
use comfy_table::{Cell, Color, ContentArrangement, Table, presets};
use serde_json::Value;

use crate::cli::error::CliError;

/// A table is not squeezed into less than this.
const NARROWEST: u16 = 40;

/// Where answers for people are shown.
pub(crate) struct Screen {
    is_terminal: bool,
    colors: bool,
    width: Option<u16>,
}

/// A piece of a table.
pub(crate) struct Field {
    text: String,
    color: Option<Color>,
}

impl Screen {
    /// Standard output.
    pub(crate) fn new(no_color: bool) -> Screen {
        let is_terminal = io::stdout().is_terminal();
        Screen {
            is_terminal,
            colors: is_terminal && !no_color,
            // Some say that they are terminals, and have no width.
            width: Table::new()
                .width()
                .filter(|width| is_terminal && *width >= NARROWEST),
        }
    }

    /// Whether it is one that can be drawn again.
    pub(crate) fn is_terminal(&self) -> bool {
        self.is_terminal
    }

    /// A table. Its borders are Markdown's, so that it can be pasted into an issue.
    pub(crate) fn table(&self, header: &[&str], rows: Vec<Vec<Field>>) -> String {
        let mut table = Table::new();
        table.load_preset(presets::ASCII_MARKDOWN);
        if self.colors {
            table.enforce_styling();
        } else {
            table.force_no_tty();
        }
        if let Some(width) = self.width {
            table.set_content_arrangement(ContentArrangement::Dynamic);
            table.set_width(width);
        }
        table.set_header(header);
        for row in rows {
            table.add_row(row.into_iter().map(Field::cell));
        }
        table.trim_fmt()
    }
}

impl Field {
    /// Something that is as it should be.
    pub(crate) fn good(text: impl Into<String>) -> Field {
        Field {
            text: text.into(),
            color: Some(Color::Green),
        }
    }

    /// Something that needs somebody.
    pub(crate) fn bad(text: impl Into<String>) -> Field {
        Field {
            text: text.into(),
            color: Some(Color::Red),
        }
    }

    /// Something that does not matter much.
    pub(crate) fn faint(text: impl Into<String>) -> Field {
        Field {
            text: text.into(),
            color: Some(Color::DarkGrey),
        }
    }

    /// The same with something behind it that needs somebody.
    pub(crate) fn and_bad(self, more: &str) -> Field {
        Field::bad(self.text + more)
    }

    fn cell(self) -> Cell {
        let text = one_line(&self.text);
        match self.color {
            Some(color) => Cell::new(text).fg(color),
            None => Cell::new(text),
        }
    }
}

/// What people wrote elsewhere must not move this terminal's cursor or break the row.
pub(crate) fn one_line(text: &str) -> String {
    text.chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect()
}

impl<T: Into<String>> From<T> for Field {
    fn from(text: T) -> Field {
        Field {
            text: text.into(),
            color: None,
        }
    }
}

/// So many of something.
pub(crate) fn count(number: usize, what: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{number} {what}{plural}")
}

/// A moment, in UTC.
pub(crate) fn moment(at: DateTime<Utc>) -> String {
    at.format("%Y-%m-%d %H:%M:%SZ").to_string()
}

/// Prints an answer for programs.
pub(crate) fn say_json(answer: &Value) -> Result<(), CliError> {
    say(answer.to_string())
}

/// Prints a line, or several.
pub(crate) fn say(text: impl AsRef<str>) -> Result<(), CliError> {
    let mut out = io::stdout().lock();
    // Flushed, so that a reader at the other end of a pipe sees each line when it is said.
    writeln!(out, "{}", text.as_ref())
        .and_then(|()| out.flush())
        .map_err(|error| match error.kind() {
            ErrorKind::BrokenPipe => CliError::ReaderGone,
            _ => CliError::new(format!("cannot write to standard output: {error}")),
        })
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A screen that is no terminal.
    pub(crate) fn pipe() -> Screen {
        Screen {
            is_terminal: false,
            colors: false,
            width: None,
        }
    }

    #[test]
    fn a_table_on_a_pipe_is_plain() {
        let rows = vec![
            vec!["a".into(), Field::bad("HALTED")],
            vec!["long\x1b[31m\nname".into(), Field::good("on")],
        ];
        insta::assert_snapshot!(pipe().table(&["route", "dev"], rows), @r"
        | route          | dev    |
        |----------------|--------|
        | a              | HALTED |
        | long [31m name | on     |
        ");
    }

    #[test]
    fn a_terminal_gets_colours_and_its_width() {
        let screen = Screen {
            is_terminal: true,
            colors: true,
            width: Some(30),
        };
        let text = "a sentence that is longer than the screen is wide";
        let table = screen.table(&["x"], vec![vec![Field::bad(text)]]);
        assert!(table.contains("\x1b["), "{table}");
        assert!(table.lines().count() > 3, "{table}");
    }
}
