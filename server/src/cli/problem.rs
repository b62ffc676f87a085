//! A refusal as the server words it, and as people read it.

use std::fmt;

use serde::Deserialize;

use crate::cli::wire::Gate;

/// Problem details (RFC 9457) with this product's fields.
#[derive(Debug, Deserialize)]
pub(crate) struct Problem {
    pub(crate) status: u16,
    /// Stable; programs branch on it.
    pub(crate) code: String,
    detail: String,
    /// What to do next, in this program's own words.
    #[serde(skip)]
    pub(crate) hint: Option<String>,
    /// The answer as it came.
    #[serde(skip)]
    pub(crate) raw: String,
    #[serde(default)]
    pub(crate) gates: Vec<Gate>,
    #[serde(default)]
    errors: Vec<FieldError>,
    #[serde(default)]
    rows: Vec<RowErrors>,
    #[serde(default)]
    ahead: Vec<Ahead>,
}

#[derive(Debug, Deserialize)]
struct FieldError {
    field: String,
    detail: String,
}

/// What is wrong with one row of an import.
#[derive(Debug, Deserialize)]
struct RowErrors {
    index: usize,
    errors: Vec<FieldError>,
}

/// A route that would be ahead of what it requires.
#[derive(Debug, Deserialize)]
struct Ahead {
    route: String,
    stage: String,
}

impl Problem {
    /// Whether it is that there is no such `what`.
    pub(crate) fn is_missing(&self, what: &str) -> bool {
        let said = self.detail.strip_prefix("there is no ");
        self.status == 404 && said.is_some_and(|said| said.starts_with(&format!("{what} ")))
    }

    /// Whether it is that the token was good once.
    pub(crate) fn is_expired(&self) -> bool {
        self.status == 401 && self.detail.contains("expired")
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.detail)?;
        for gate in &self.gates {
            write!(f, "\n  {}: {}: {}", gate.gate, gate.state, gate.detail)?;
            if !gate.remedy.is_empty() {
                write!(f, "\n    to pass: {}", gate.remedy)?;
            }
        }
        // One complaint is what the detail says already.
        if self.errors.len() > 1 {
            for error in &self.errors {
                write!(f, "\n  {error}")?;
            }
        }
        for row in &self.rows {
            for error in &row.errors {
                // People count from one.
                write!(f, "\n  row {}: {error}", row.index + 1)?;
            }
        }
        for ahead in &self.ahead {
            write!(f, "\n  {} is at {}", ahead.route, ahead.stage)?;
        }
        if self.status == 401 {
            f.write_str("\n  pass it with --token or SWITCHOVER_TOKEN")?;
        }
        match &self.hint {
            Some(hint) => write!(f, "\n  {hint}"),
            None => Ok(()),
        }
    }
}

impl fmt::Display for FieldError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.field.is_empty() {
            f.write_str(&self.detail)
        } else {
            write!(f, "{}: {}", self.field, self.detail)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_says_every_gate_and_its_remedy() {
        let problem: Problem = serde_json::from_str(
            r#"{"type": "x", "title": "x", "status": 409, "code": "gates_not_met",
                "detail": "promotion to opt_in needs: order, approval",
                "gates": [
                  {"gate": "order", "state": "fail", "detail": "not in dev", "remedy": "promote there"},
                  {"gate": "approval", "state": "insufficient", "detail": "0 of 1", "remedy": ""}
                ]}"#,
        )
        .unwrap();
        insta::assert_snapshot!(problem, @r"
        promotion to opt_in needs: order, approval
          order: fail: not in dev
            to pass: promote there
          approval: insufficient: 0 of 1
        ");
    }

    #[test]
    fn rows_count_from_one() {
        let problem: Problem = serde_json::from_str(
            r#"{"status": 422, "code": "import_refused", "detail": "2 rows cannot be imported",
                "rows": [{"index": 0, "errors": [{"field": "key", "detail": "is taken"}]},
                         {"index": 4, "errors": [{"field": "", "detail": "is no object"}]}]}"#,
        )
        .unwrap();
        insta::assert_snapshot!(problem, @r"
        2 rows cannot be imported
          row 1: key: is taken
          row 5: is no object
        ");
    }
}
