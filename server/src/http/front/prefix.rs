//! The path below which clients see the server.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

/// The longest prefix, in bytes.
const LONGEST: usize = 200;

/// A path such as `/switchover`, or nothing. Without a slash at its end.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PathPrefix(Arc<str>);

impl PathPrefix {
    /// The prefix itself.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// A path of this server as clients see it.
    #[must_use]
    pub fn before(&self, path: &str) -> String {
        format!("{}{path}", self.0)
    }

    /// What a client asks for (a path, perhaps with a query) as this server knows it; `None` where the
    /// prefix does not stand before it.
    #[must_use]
    pub fn strip<'a>(&self, asked: &'a str) -> Option<Cow<'a, str>> {
        if self.is_empty() {
            return None;
        }
        match asked.strip_prefix(&*self.0)? {
            inner if inner.starts_with('/') => Some(Cow::Borrowed(inner)),
            inner if inner.is_empty() || inner.starts_with('?') => {
                Some(Cow::Owned(format!("/{inner}")))
            }
            _ => None,
        }
    }

    /// A page with the prefix before every address of this server. All that people have written stands
    /// escaped in a page, so that only the markup of a template looks like this.
    #[must_use]
    pub fn within_page(&self, page: String) -> String {
        if self.is_empty() {
            return page;
        }
        let mut moved = page;
        for attribute in ["href", "src", "action", "formaction"] {
            let (from, to) = (
                format!(" {attribute}=\"/"),
                format!(" {attribute}=\"{}/", self.0),
            );
            moved = moved.replace(&from, &to);
        }
        moved
    }
}

impl fmt::Display for PathPrefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for PathPrefix {
    type Err = String;

    /// `/tools/switchover`; a slash at the end, or alone, says nothing more.
    fn from_str(given: &str) -> Result<PathPrefix, String> {
        let prefix = given.trim_end_matches('/');
        let is_plain = |c: char| c.is_ascii_alphanumeric() || "-._~".contains(c);
        let good = |segment: &str| {
            !segment.is_empty()
                && segment != "."
                && segment != ".."
                && segment.chars().all(is_plain)
        };
        let is_good = match prefix.strip_prefix('/') {
            None => prefix.is_empty(),
            Some(segments) => segments.split('/').all(good),
        };
        if is_good && prefix.len() <= LONGEST {
            Ok(PathPrefix(Arc::from(prefix)))
        } else {
            Err(format!(
                "`{given}` is no path to serve below: write it like /tools/switchover, with letters, \
                 digits, `-`, `.`, `_` and `~` between slashes"
            ))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn prefix(given: &str) -> PathPrefix {
        given.parse().unwrap()
    }

    #[test]
    fn prefixes_are_read() {
        assert_eq!(prefix("/tools/switch-over/").as_str(), "/tools/switch-over");
        assert_eq!(prefix("/").as_str(), "");
        assert_eq!(prefix("").as_str(), "");
        for bad in [
            "tools", "//tools", "/to ols", "/a//b", "/..", "/a/./b", "/a?b", "/a\"b",
        ] {
            assert!(bad.parse::<PathPrefix>().is_err(), "{bad}");
        }
    }

    #[test]
    fn a_prefix_is_taken_off_where_it_stands_whole() {
        let prefix = prefix("/so");
        let inner = |asked: &str| prefix.strip(asked).map(Cow::into_owned);
        assert_eq!(inner("/so/routes?q=a").as_deref(), Some("/routes?q=a"));
        assert_eq!(inner("/so").as_deref(), Some("/"));
        assert_eq!(inner("/so?q=a").as_deref(), Some("/?q=a"));
        assert_eq!(inner("/sound"), None);
        assert_eq!(inner("/routes"), None);
        assert_eq!(PathPrefix::default().strip("/routes"), None);
    }

    #[test]
    fn pages_lead_below_the_prefix() {
        let page = r#"<a href="/a"><img src="/b"><form action="/c" ><a href="https://x/">href=&quot;/d</a>"#;
        assert_eq!(
            prefix("/so").within_page(page.to_owned()),
            r#"<a href="/so/a"><img src="/so/b"><form action="/so/c" ><a href="https://x/">href=&quot;/d</a>"#
        );
        assert_eq!(PathPrefix::default().within_page(page.to_owned()), page);
    }
}
