//! Key and flag of a route, derived from its endpoint.
//!
//! `gitaly.CommitService/CountCommits` gives `count_commits` and `GITALY_COUNT_COMMITS`: the first
//! package segment in capitals, and the method in snake case. Acronyms stay in one piece:
//! `GetLFSPointers` gives `GET_LFS_POINTERS`.

use std::fmt;
use std::str::FromStr;

use serde::Serialize;
use switchover::{FlagName, RouteKey};

/// The address of a new implementation: `package.Service/Method`, at most 200 characters.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Endpoint(Box<str>);

impl Endpoint {
    /// The address as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The route key that follows from it; `None` where the method makes no legal key.
    #[must_use]
    pub fn key(&self) -> Option<RouteKey> {
        snake(self.method()).parse().ok()
    }

    /// The flag that follows from it; `None` where that makes no legal flag.
    #[must_use]
    pub fn flag(&self) -> Option<FlagName> {
        let package = self.0.split(['.', '/']).next().unwrap_or_default();
        let flag = format!("{}_{}", snake(package), snake(self.method()));
        flag.to_ascii_uppercase().parse().ok()
    }

    fn method(&self) -> &str {
        self.0.rsplit('/').next().unwrap_or_default()
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl FromStr for Endpoint {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, &'static str> {
        let identifier = |part: &str| {
            part.bytes().next().is_some_and(|b| b.is_ascii_alphabetic())
                && part.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
        };
        let (service, method) = text.split_once('/').unwrap_or((text, ""));
        if text.len() <= 200 && service.split('.').all(identifier) && identifier(method) {
            Ok(Endpoint(text.into()))
        } else {
            Err(
                "an endpoint is package.Service/Method in letters, digits and underscores, at \
                 most 200 characters",
            )
        }
    }
}

/// Words begin at an upper-case letter after a lower-case one or a digit, and at the last
/// upper-case letter of a run that a lower-case one follows.
fn snake(camel: &str) -> String {
    let letters: Vec<char> = camel.chars().collect();
    let mut snake = String::with_capacity(camel.len() + 8);
    for (index, letter) in letters.iter().enumerate() {
        let before = index.checked_sub(1).and_then(|before| letters.get(before));
        let after = letters.get(index + 1);
        let begins = letter.is_ascii_uppercase()
            && before.is_some_and(|before| {
                before.is_ascii_lowercase()
                    || before.is_ascii_digit()
                    || before.is_ascii_uppercase()
                        && after.is_some_and(|after| after.is_ascii_lowercase())
            });
        if begins {
            snake.push('_');
        }
        snake.push(letter.to_ascii_lowercase());
    }
    snake
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_follow_from_the_endpoint() {
        for (endpoint, key, flag) in [
            (
                "gitaly.CommitService/CountCommits",
                "count_commits",
                "GITALY_COUNT_COMMITS",
            ),
            (
                "gitaly.BlobService/GetLFSPointers",
                "get_lfs_pointers",
                "GITALY_GET_LFS_POINTERS",
            ),
            (
                "gitaly.RefService/FindAllTags",
                "find_all_tags",
                "GITALY_FIND_ALL_TAGS",
            ),
            (
                "gitaly.SSHService/SSHUploadPack",
                "ssh_upload_pack",
                "GITALY_SSH_UPLOAD_PACK",
            ),
            ("a.b.C/GetHTTP2URL", "get_http2_url", "A_GET_HTTP2_URL"),
            (
                "gearStore.Items/find_items",
                "find_items",
                "GEAR_STORE_FIND_ITEMS",
            ),
        ] {
            let endpoint: Endpoint = endpoint.parse().unwrap();
            assert_eq!(endpoint.key().unwrap().as_str(), key);
            assert_eq!(endpoint.flag().unwrap().as_str(), flag);
        }
    }

    #[test]
    fn what_is_no_endpoint_is_refused() {
        for bad in [
            "",
            "CountCommits",
            "gitaly.CommitService/",
            "/X",
            "a..B/C",
            "a.B/C/D",
            "ä.B/C",
            "a.B/C d",
        ] {
            assert!(bad.parse::<Endpoint>().is_err(), "{bad}");
        }
        assert!(
            format!("a.B/{}", "C".repeat(200))
                .parse::<Endpoint>()
                .is_err()
        );
    }
}
