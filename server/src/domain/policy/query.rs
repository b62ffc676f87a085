//! What a gate or a guard asks Prometheus, and what the answer is held against.

use serde::{Deserialize, Serialize};
use switchover::{FlagName, RouteKey};

use crate::domain::environment::EnvironmentKey;
use crate::domain::text::misleads;

/// The longest query, in bytes.
const LONGEST: usize = 4_000;
/// What is put in its place: the route, the environment, the route's variable.
const PLACEHOLDERS: [&str; 3] = ["{{route}}", "{{environment}}", "{{flag}}"];

/// Limits of numbers that Prometheus answers.
pub(super) const LIMITS: (f64, f64) = (-1e15, 1e15);

/// On which side of its limit a number speaks against the new path.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Worse {
    /// More is worse.
    #[default]
    Above,
    /// Less is worse.
    Below,
}

impl Worse {
    /// The name on the wire.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Worse::Above => "above",
            Worse::Below => "below",
        }
    }
}

/// A question in PromQL whose answer is one number.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Query {
    /// The question; `{{route}}`, `{{environment}}` and `{{flag}}` in it stand for those.
    #[serde(rename = "query")]
    pub text: String,
    /// On which side of the limit the answer is bad.
    pub worse: Worse,
}

impl Query {
    /// Reads a question as people write it.
    ///
    /// # Errors
    /// What it must be.
    pub fn read(text: &str, worse: Worse) -> Result<Query, String> {
        let text = text.trim();
        let is_legible = !text
            .chars()
            .any(|c| misleads(c) && !matches!(c, '\n' | '\t'));
        if text.is_empty() || text.len() > LONGEST || !is_legible {
            return Err(format!("must be 1 to {LONGEST} printable characters"));
        }
        let rest = PLACEHOLDERS.iter();
        let rest = rest.fold(text.to_owned(), |rest, known| rest.replace(known, ""));
        if rest.contains("{{") || rest.contains("}}") {
            let known = PLACEHOLDERS.join(", ");
            return Err(format!(
                "has a placeholder that there is not: there are {known}"
            ));
        }
        Ok(Query {
            text: text.to_owned(),
            worse,
        })
    }

    /// The question about a route in an environment. Their names are plain: nothing has to be quoted.
    #[must_use]
    pub fn about(&self, route: &RouteKey, environment: &EnvironmentKey, flag: &FlagName) -> String {
        let [of_route, of_environment, of_flag] = PLACEHOLDERS;
        self.text
            .replace(of_route, route.as_str())
            .replace(of_environment, environment.as_str())
            .replace(of_flag, flag.as_str())
    }

    /// Whether a number is on the bad side of a limit.
    #[must_use]
    pub fn is_beyond(&self, number: f64, limit: f64) -> bool {
        match self.worse {
            Worse::Above => number > limit,
            Worse::Below => number < limit,
        }
    }

    /// Whether whatever is within `mine` under this is within `theirs` under the other.
    #[must_use]
    pub fn is_as_strict_as(&self, mine: f64, other: &Query, theirs: f64) -> bool {
        // What is exactly at the limit is within it.
        self == other && !self.is_beyond(mine, theirs)
    }
}

/// What Prometheus answered.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Sampled {
    /// One number, which is finite.
    Number(f64),
    /// No number that could be judged by: why, and what to do.
    Nothing(String),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn placeholders_are_those_that_there_are() {
        let asked = r#"sum(rate(x{r="{{route}}",e="{{environment}}",f="{{flag}}"}[5m]))"#;
        let query = Query::read(asked, Worse::Above).unwrap();
        let about = query.about(
            &"a".parse().unwrap(),
            &"on-prem".parse().unwrap(),
            &"GITALY_A".parse().unwrap(),
        );
        assert_eq!(about, r#"sum(rate(x{r="a",e="on-prem",f="GITALY_A"}[5m]))"#);
        for bad in [
            "",
            " \n",
            "{{routes}}",
            "x{a={{ route }}}",
            "a\u{202E}b",
            &"x".repeat(4_001),
        ] {
            assert!(Query::read(bad, Worse::Above).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_limit_is_within() {
        for (worse, number, beyond) in [
            (Worse::Above, 1.5, true),
            (Worse::Above, 1.0, false),
            (Worse::Above, 0.5, false),
            (Worse::Below, 1.5, false),
            (Worse::Below, 1.0, false),
            (Worse::Below, 0.5, true),
        ] {
            let query = Query::read("x", worse).unwrap();
            assert_eq!(query.is_beyond(number, 1.0), beyond, "{worse:?} {number}");
        }
        let above = Query::read("x", Worse::Above).unwrap();
        let below = Query::read("x", Worse::Below).unwrap();
        assert!(
            above.is_as_strict_as(1.0, &above, 2.0) && !above.is_as_strict_as(2.0, &above, 1.0)
        );
        assert!(
            below.is_as_strict_as(2.0, &below, 1.0) && !below.is_as_strict_as(1.0, &below, 2.0)
        );
        assert!(!above.is_as_strict_as(1.0, &below, 1.0));
    }
}
