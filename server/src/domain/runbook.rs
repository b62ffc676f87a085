//! What to do when a route goes wrong, kept here rather than behind a link: so it can be checked.

use chrono::{DateTime, Utc};
use sha2::{Digest as _, Sha256};
use switchover::{FlagName, RouteKey};

use crate::domain::approval::hex;
use crate::domain::text::is_clean;

/// The largest runbook, in bytes.
pub const LARGEST_RUNBOOK: usize = 256 * 1024;

/// The Markdown of a route's runbook.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Runbook {
    /// Its Markdown, as it was sent.
    pub text: String,
    /// Who put it here.
    pub put_by: String,
    /// When.
    pub put_at: DateTime<Utc>,
}

impl Runbook {
    /// A runbook from what somebody wrote.
    ///
    /// # Errors
    /// When it is blank, too large, or would control the terminal that it is shown on.
    pub fn new(text: String, put_by: String, put_at: DateTime<Utc>) -> Result<Runbook, String> {
        if text.trim().is_empty() {
            return Err(
                "a runbook says something: see `switchover runbook template ROUTE`".to_owned(),
            );
        }
        if text.len() > LARGEST_RUNBOOK {
            return Err(format!(
                "a runbook has at most {LARGEST_RUNBOOK} bytes, and this one has {}",
                text.len()
            ));
        }
        if !is_clean(&text) {
            return Err(
                "a runbook is plain Markdown: no control characters but line breaks and tabs, and \
                 none that turns the direction of writing"
                    .to_owned(),
            );
        }
        Ok(Runbook {
            text,
            put_by,
            put_at,
        })
    }

    /// What it does not say of a route and must, each in words that complete "it lacks"; empty when
    /// it says everything. Whoever is woken at night needs the flag's name and a way to turn it off:
    /// `switchover halt`, `FLAG=0`, or the address of the halt.
    #[must_use]
    pub fn lacks(&self, flag: &FlagName, route: &RouteKey) -> Vec<String> {
        let mut lacks = Vec::new();
        if !has_name(&self.text, flag.as_str()) {
            lacks.push(format!("the name of the flag, {flag}"));
        }
        if !self.says_how_to_turn_off(flag, route) {
            lacks.push(format!(
                "how to turn it off: `switchover halt {route} ENV --reason …`, `{flag}=0`, or the \
                 address /api/v1/routes/{route}/environments/ENV/halt"
            ));
        }
        lacks
    }

    /// SHA-256 of the text, in hexadecimal: what an approval of it is bound to.
    #[must_use]
    pub fn digest(&self) -> String {
        hex(&Sha256::digest(&self.text))
    }

    fn says_how_to_turn_off(&self, flag: &FlagName, route: &RouteKey) -> bool {
        let address = format!("routes/{route}/environments/");
        has_name(&self.text, &format!("{flag}=0"))
            || self.text.contains("switchover halt")
            || self.text.lines().any(|line| {
                let rest = line.split_once(&address).map(|(_, rest)| rest);
                rest.is_some_and(|rest| has_name(rest, "halt"))
            })
    }
}

/// Whether a name stands in a text, not as a part of a longer one: `GITALY_FIND` does not in
/// `GITALY_FIND_ALL`.
fn has_name(text: &str, name: &str) -> bool {
    let part = |c: char| c.is_ascii_alphanumeric() || c == '_';
    text.match_indices(name).any(|(at, found)| {
        let before = text.get(..at).is_some_and(|before| before.ends_with(part));
        let after = text.get(at + found.len()..);
        !before && !after.is_some_and(|after| after.starts_with(part))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lacks(text: &str) -> Vec<&'static str> {
        let runbook = Runbook::new(text.to_owned(), "ann".to_owned(), DateTime::UNIX_EPOCH);
        let flag = "GITALY_FIND".parse().unwrap();
        let lacks = runbook.unwrap().lacks(&flag, &"find".parse().unwrap());
        let short = |lack: &String| match lack.split(' ').next() {
            Some("the") => "flag",
            _ => "off",
        };
        lacks.iter().map(short).collect()
    }

    #[test]
    fn it_says_the_flag_and_how_to_turn_it_off() {
        for (text, expected) in [
            ("hello", &["flag", "off"][..]),
            ("the flag is GITALY_FIND", &["off"]),
            ("GITALY_FIND_ALL=0 and MY_GITALY_FIND=0", &["flag", "off"]),
            ("GITALY_FIND=00", &["off"]),
            ("GITALY_FIND=1", &["off"]),
            ("set `GITALY_FIND=0`, then restart", &[]),
            ("GITALY_FIND=0", &[]),
            ("`switchover halt find production --reason …`", &["flag"]),
            ("# GITALY_FIND\nswitchover halt find production", &[]),
            (
                "POST /api/v1/routes/find/environments/production/halt",
                &["flag"],
            ),
            (
                "GITALY_FIND\ncurl -X POST $URL/api/v1/routes/find/environments/$ENV/halt",
                &[],
            ),
            (
                "GITALY_FIND\n/api/v1/routes/find_all/environments/dev/halt",
                &["off"],
            ),
            (
                "GITALY_FIND\n/api/v1/routes/find/environments/dev/halted",
                &["off"],
            ),
        ] {
            assert_eq!(lacks(text), expected, "{text}");
        }
    }

    #[test]
    fn it_is_bounded_and_safe_to_show() {
        let new =
            |text: &str| Runbook::new(text.to_owned(), "ann".to_owned(), DateTime::UNIX_EPOCH);
        for text in [
            "",
            " \n",
            "a\x1b[31m",
            "a\0",
            "\u{202E}",
            &"a".repeat(LARGEST_RUNBOOK + 1),
        ] {
            assert!(new(text).is_err());
        }
        let largest = "a".repeat(LARGEST_RUNBOOK);
        assert_eq!(new(&largest).unwrap().text, largest);
        let kept = new(" # Übersicht\r\n\n\t- x\n").unwrap();
        assert_eq!(kept.text, " # Übersicht\r\n\n\t- x\n", "as it was sent");
        assert_ne!(kept.digest(), new("# Übersicht").unwrap().digest());
    }
}
