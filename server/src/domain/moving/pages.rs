//! Whether all pages of a list of LaunchDarkly are there: one answer has 20 flags, or as many as were
//! asked for, and says how many there are.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;

use crate::domain::declared::Unreadable;

/// Where an answer leads.
#[derive(Deserialize, Default)]
pub(super) struct Links {
    #[serde(default, rename = "self")]
    this: Option<Link>,
    #[serde(default)]
    next: Option<Link>,
}

#[derive(Deserialize)]
struct Link {
    #[serde(default)]
    href: String,
}

/// Pages by the question that they answer.
#[derive(Default)]
pub(super) struct Pages(BTreeMap<String, Pile>);

/// Pages that answer one question.
struct Pile {
    /// The file of the first of them.
    file: String,
    keys: BTreeSet<String>,
    total: usize,
    has_last: bool,
}

impl Pages {
    /// Adds a page with flags of these keys.
    pub(super) fn add<'a>(
        &mut self,
        file: &str,
        (links, total): (&Links, Option<usize>),
        keys: impl Iterator<Item = &'a str>,
    ) {
        let question = links.this.as_ref().map(|this| question(&this.href));
        let pile = self.0.entry(question.unwrap_or_default());
        let pile = pile.or_insert_with(|| Pile {
            file: file.to_owned(),
            keys: BTreeSet::new(),
            total: 0,
            has_last: false,
        });
        pile.keys.extend(keys.map(str::to_owned));
        pile.total = pile.total.max(total.unwrap_or(0));
        pile.has_last |= links.next.is_none();
    }

    /// Refuses a list of which a page is missing: its flags would be missed by nobody.
    pub(super) fn check(self) -> Result<(), (String, Unreadable)> {
        for pile in self.0.into_values() {
            let here = pile.keys.len();
            let said = if here < pile.total {
                format!("{here} of {} flags are here", pile.total)
            } else if pile.has_last {
                continue;
            } else {
                format!("{here} flags are here, and another page follows")
            };
            let detail = format!(
                "{said}: LaunchDarkly answers in pages. Ask for the others too \
                 (summary=0&limit=100&offset=0, offset=100, …), and name all of them in one import"
            );
            return Err((
                pile.file,
                Unreadable {
                    place: None,
                    detail,
                },
            ));
        }
        Ok(())
    }
}

/// What was asked for, whichever page of it.
fn question(address: &str) -> String {
    let (path, query) = address.split_once('?').unwrap_or((address, ""));
    let mut rest: Vec<&str> = query
        .split('&')
        .filter(|part| !part.starts_with("limit=") && !part.starts_with("offset="))
        .collect();
    rest.sort_unstable();
    format!("{path}?{}", rest.join("&"))
}
