//! Environment variables, as they are written for docker, docker compose and systemd: a `NAME=VALUE`
//! a line, with comments, quotes and perhaps `export`.
//!
//! What is not understood is refused with its line and never shown: there are secrets in such files.

/// The variables of a text, or the number of the first line that cannot be understood.
///
/// # Errors
/// The number of that line, from 1.
pub fn parse(text: &str) -> Result<Vec<(String, String)>, usize> {
    let mut variables = Vec::new();
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut lines = (1..).zip(text.lines());
    while let Some((number, line)) = lines.next() {
        let line = line.trim();
        if line.is_empty() || line.starts_with(['#', ';']) {
            continue;
        }
        let line = match line.strip_prefix("export") {
            Some(rest) if rest.starts_with([' ', '\t']) => rest.trim_start(),
            _ => line,
        };
        let Some((name, value)) = line.split_once('=') else {
            // A name alone passes on what is set outside: nothing that this file says.
            match is_name(line) {
                true => continue,
                false => return Err(number),
            }
        };
        let name = name.trim_end();
        if !is_name(name) {
            return Err(number);
        }
        let mut value = value.trim_start().to_owned();
        let quote = value.chars().next().filter(|c| matches!(c, '"' | '\''));
        let value = match quote {
            None => unquoted(&value),
            Some(quote) => loop {
                if let Some(inner) = quoted(&value, quote) {
                    break inner.ok_or(number)?;
                }
                // A quoted value may go over several lines.
                let (_, next) = lines.next().ok_or(number)?;
                value.push('\n');
                value.push_str(next);
            },
        };
        variables.push((name.to_owned(), value));
    }
    Ok(variables)
}

fn is_name(text: &str) -> bool {
    let legal = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'-');
    let first = text.bytes().next();
    first.is_some_and(|byte| !byte.is_ascii_digit()) && text.bytes().all(legal)
}

/// Up to a comment that stands behind a blank.
fn unquoted(value: &str) -> String {
    let ends = [" #", "\t#"]
        .into_iter()
        .filter_map(|comment| value.find(comment));
    let end = ends.min().unwrap_or(value.len());
    let value = value.get(..end).unwrap_or(value);
    if value.starts_with('#') {
        return String::new();
    }
    value.trim_end().to_owned()
}

/// What stands in quotes; nothing when they do not end yet, and nothing in that when something else
/// than a comment follows them.
fn quoted(value: &str, quote: char) -> Option<Option<String>> {
    let mut inner = String::new();
    let mut characters = value.chars().skip(1);
    loop {
        match characters.next()? {
            '\\' if quote == '"' => match characters.next()? {
                escaped @ ('"' | '\\' | '$' | '`') => inner.push(escaped),
                '\n' => {}
                other => inner.extend(['\\', other]),
            },
            end if end == quote => break,
            other => inner.push(other),
        }
    }
    let rest: String = characters.collect();
    let rest = rest.trim();
    Some((rest.is_empty() || rest.starts_with('#')).then_some(inner))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn value(line: &str) -> Option<String> {
        parse(line).unwrap().pop().map(|(name, value)| {
            assert_eq!(name, "GITALY_BLAME");
            value
        })
    }

    #[test]
    fn values_are_read_as_they_are_meant() {
        for one in [
            "GITALY_BLAME=1",
            "  GITALY_BLAME=1  ",
            "GITALY_BLAME=1\r\n",
            "GITALY_BLAME='1'",
            "GITALY_BLAME=\"1\"",
            "export GITALY_BLAME=1",
            "export\tGITALY_BLAME=\"1\" # on, for acceptance",
            "GITALY_BLAME=1 # on",
            "\u{feff}GITALY_BLAME=1",
            "# a comment\n; another\n\nGITALY_BLAME = 1",
            "KEY=\"-----BEGIN\nFOO=x\n# no comment\n-----END\"\nGITALY_BLAME=1",
            "GITALY_BLAME=0\nGITALY_BLAME=1",
            "PASSED_ON\nGITALY_BLAME=1",
        ] {
            assert_eq!(value(one).as_deref(), Some("1"), "{one}");
        }
        for (line, expected) in [
            ("GITALY_BLAME=", ""),
            ("GITALY_BLAME=# nothing", ""),
            ("GITALY_BLAME=1#2", "1#2"),
            ("GITALY_BLAME=' 1'", " 1"),
            ("GITALY_BLAME=a=b", "a=b"),
            ("GITALY_BLAME=\"a\\\"b\\\\c\\n\"", "a\"b\\c\\n"),
        ] {
            assert_eq!(value(line).as_deref(), Some(expected), "{line}");
        }
        assert_eq!(value("#GITALY_BLAME=1"), None);
    }

    #[test]
    fn what_is_not_understood_is_refused_by_its_line() {
        for (text, line) in [
            ("A=1\nnot a variable", 2),
            ("A=1\n\n1A=2", 3),
            ("=1", 1),
            ("A=\"1\n2", 1),
            ("A='1'2", 1),
            ("A B=1", 1),
        ] {
            assert_eq!(parse(text), Err(line), "{text}");
        }
    }

    proptest! {
        #[test]
        fn rubbish_is_no_panic(text in "(?s)[A-Z='\"#\\\\ \n\r\u{e9}export]{0,80}") {
            let _ = parse(&text);
        }
    }
}
