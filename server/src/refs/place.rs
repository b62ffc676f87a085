//! Lines and columns, counted on the way through a file.

/// Where the search has come to. Asked for places in rising order, it reads every byte once.
pub(super) struct Position<'a> {
    text: &'a [u8],
    line: u64,
    line_start: usize,
    /// Up to here columns are counted.
    at: usize,
    column: u64,
    /// Whether the line is left out, once somebody has asked.
    ignored: Option<bool>,
}

/// What leaves a line out, wherever in the line it stands.
const IGNORE: &[u8] = b"switchover-refs: ignore";

impl<'a> Position<'a> {
    pub(super) fn new(text: &'a [u8]) -> Position<'a> {
        Position {
            text,
            line: 1,
            line_start: 0,
            at: 0,
            column: 1,
            ignored: None,
        }
    }

    /// Line and column of a byte, both from 1; columns in characters.
    pub(super) fn of(&mut self, byte: usize) -> (u64, u64) {
        let passed = self.text.get(self.at..byte).unwrap_or_default();
        let mut last = None;
        for newline in memchr::memchr_iter(b'\n', passed) {
            self.line += 1;
            last = Some(newline);
        }
        let rest = match last {
            None => passed,
            Some(newline) => {
                self.line_start = self.at + newline + 1;
                self.column = 1;
                self.ignored = None;
                self.text.get(self.line_start..byte).unwrap_or_default()
            }
        };
        // What is no UTF-8 counts as one character.
        let characters = String::from_utf8_lossy(rest).chars().count();
        self.column += u64::try_from(characters).unwrap_or(u64::MAX);
        self.at = byte;
        (self.line, self.column)
    }

    /// Whether the line that was asked for last is to be left out.
    pub(super) fn is_ignored(&mut self) -> bool {
        if let Some(ignored) = self.ignored {
            return ignored;
        }
        let rest = self.text.get(self.line_start..).unwrap_or_default();
        let end = memchr::memchr(b'\n', rest).unwrap_or(rest.len());
        let line = rest.get(..end).unwrap_or_default();
        let ignored = memchr::memmem::find(line, IGNORE).is_some();
        self.ignored = Some(ignored);
        ignored
    }
}

/// Whether a file says at its start that nothing in it counts.
pub(super) fn is_ignored_file(text: &[u8]) -> bool {
    const START: usize = 4_096;
    let start = text.get(..START).unwrap_or(text);
    memchr::memmem::find(start, b"switchover-refs: ignore-file").is_some()
}
