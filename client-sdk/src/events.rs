//! The event-stream parser: bytes in, events out, pure.
//!
//! Follows the HTML standard's section on server-sent events, with a bound on what it holds.

use crate::snapshot::MAX_SNAPSHOT_BYTES;

/// Room beside the largest snapshot for its field names.
const SLACK_BYTES: usize = 1024;

/// What a stream says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Item {
    /// An event with data.
    Event {
        /// Its name; `message` where it has none.
        name: String,
        /// Its data; bytes that are not UTF-8 are replaced, and then do not match their hash.
        data: String,
    },
    /// A sign of life.
    Comment,
}

/// A line or an event is longer than the largest snapshot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TooLong;

#[derive(Debug)]
pub(crate) struct Parser {
    limit: usize,
    line: Vec<u8>,
    name: String,
    data: Vec<u8>,
    has_data: bool,
    /// A line feed after a carriage return ends no second line.
    after_return: bool,
    is_first_line: bool,
}

impl Parser {
    pub(crate) fn new() -> Parser {
        Parser::with_limit(MAX_SNAPSHOT_BYTES + SLACK_BYTES)
    }

    fn with_limit(limit: usize) -> Parser {
        Parser {
            limit,
            line: Vec::new(),
            name: String::new(),
            data: Vec::new(),
            has_data: false,
            after_return: false,
            is_first_line: true,
        }
    }

    /// Reads on. What it hands out is complete; what is not stays inside.
    pub(crate) fn push(&mut self, mut bytes: &[u8]) -> Result<Vec<Item>, TooLong> {
        let mut items = Vec::new();
        while let Some(first) = bytes.first() {
            if std::mem::take(&mut self.after_return) && *first == b'\n' {
                bytes = bytes.get(1..).unwrap_or_default();
                continue;
            }
            let is_end = |byte: &u8| matches!(byte, b'\n' | b'\r');
            let length = bytes.iter().position(is_end);
            let (part, rest) = bytes.split_at(length.unwrap_or(bytes.len()));
            if self.line.len() + part.len() > self.limit {
                return Err(TooLong);
            }
            self.line.extend_from_slice(part);
            if let Some((end, rest)) = rest.split_first() {
                self.after_return = *end == b'\r';
                bytes = rest;
                let line = std::mem::take(&mut self.line);
                items.extend(self.end_line(&line)?);
                // The next line is likely to be much shorter than a snapshot.
                self.line = line;
                self.line.clear();
                self.line.shrink_to(SLACK_BYTES);
            } else {
                bytes = rest;
            }
        }
        Ok(items)
    }

    fn end_line(&mut self, line: &[u8]) -> Result<Option<Item>, TooLong> {
        let line = match std::mem::take(&mut self.is_first_line) {
            true => line.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(line),
            false => line,
        };
        if line.is_empty() {
            return Ok(self.end_event());
        }
        let mut halves = line.splitn(2, |byte| *byte == b':');
        let field = halves.next().unwrap_or_default();
        let value = halves.next().unwrap_or_default();
        let value = value.strip_prefix(b" ").unwrap_or(value);
        match field {
            b"" => return Ok(Some(Item::Comment)),
            b"event" => self.name = String::from_utf8_lossy(value).into_owned(),
            b"data" => {
                if self.data.len() + value.len() + 1 > self.limit {
                    return Err(TooLong);
                }
                if self.has_data {
                    self.data.push(b'\n');
                }
                self.data.extend_from_slice(value);
                self.has_data = true;
            }
            // `id` repeats the version that the data carries; the rest is for browsers.
            _ => {}
        }
        Ok(None)
    }

    fn end_event(&mut self) -> Option<Item> {
        let name = std::mem::take(&mut self.name);
        let data = std::mem::take(&mut self.data);
        std::mem::take(&mut self.has_data).then(|| Item::Event {
            name: if name.is_empty() {
                "message".to_owned()
            } else {
                name
            },
            data: String::from_utf8(data)
                .unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned()),
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn event(name: &str, data: &str) -> Item {
        Item::Event {
            name: name.to_owned(),
            data: data.to_owned(),
        }
    }

    #[test]
    fn events_and_comments_are_read() {
        let text = "\u{feff}: hello\n\nevent: snapshot\nid: e1.7\ndata: {\"a\":\ndata: 1}\n\n\
                    retry: 5\r\nevent:delta\r\ndata:x\r\n\r\rdata\r\rnonsense\n\nevent: lost\n\n\
                    data: y\n\ndata: never ended\n";
        assert_eq!(
            Parser::new().push(text.as_bytes()).unwrap(),
            [
                Item::Comment,
                event("snapshot", "{\"a\":\n1}"),
                event("delta", "x"),
                event("message", ""),
                event("message", "y"),
            ]
        );
    }

    #[test]
    fn a_line_or_an_event_over_the_limit_is_refused() {
        let mut parser = Parser::with_limit(10);
        assert_eq!(parser.push(b"data: 12345"), Err(TooLong));
        let mut parser = Parser::with_limit(10);
        assert_eq!(parser.push(b"data:1234\n"), Ok(vec![]));
        assert_eq!(parser.push(b"data:1234\n"), Ok(vec![]));
        assert_eq!(parser.push(b"data:1234\n"), Err(TooLong));
    }

    proptest! {
        #[test]
        fn however_it_is_cut_it_reads_the_same(
            lines in prop::collection::vec(
                prop_oneof![
                    Just(""), Just("data: x"), Just("data:ä:"), Just("event: delta"), Just(":"),
                    Just("id: e.1"), Just("data"), Just("\u{feff}data: 1")
                ],
                0..24,
            ),
            ends in prop::collection::vec(prop_oneof![Just("\n"), Just("\r"), Just("\r\n")], 24),
            cuts in prop::collection::vec(1..5_usize, 1..200),
        ) {
            let text: String = lines.iter().zip(&ends).flat_map(|(line, end)| [*line, *end]).collect();
            let whole = Parser::new().push(text.as_bytes()).unwrap();
            let mut parser = Parser::new();
            let mut pieces = Vec::new();
            let mut rest = text.as_bytes();
            for cut in cuts.iter().cycle() {
                let (piece, next) = rest.split_at((*cut).min(rest.len()));
                pieces.extend(parser.push(piece).unwrap());
                rest = next;
                if rest.is_empty() {
                    break;
                }
            }
            prop_assert_eq!(whole, pieces);
        }

        #[test]
        fn rubbish_is_no_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            let _ = Parser::with_limit(50).push(&bytes);
        }
    }
}
