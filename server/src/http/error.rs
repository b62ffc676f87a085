//! Problem details (RFC 9457), and the one table from failures to codes.

mod code;

use std::fmt;

use actix_web::http::StatusCode;
use actix_web::http::header::{ALLOW, RETRY_AFTER, WWW_AUTHENTICATE};
use actix_web::{HttpResponse, ResponseError};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use utoipa::ToSchema;

use crate::domain::actor::Role;
use crate::domain::field::FieldError;
use crate::domain::refusal::Refusal;
use crate::service::{Existing, Failure, Missing};
use crate::store::StoreError;

pub(crate) use code::Code;

/// An error as a client sees it.
#[derive(Debug)]
pub(crate) struct Problem {
    code: Code,
    detail: String,
    fields: Map<String, Value>,
    header: Option<(actix_web::http::header::HeaderName, String)>,
}

/// The body of every error: problem details (RFC 9457) with a stable code.
#[derive(Serialize, ToSchema)]
#[schema(as = Problem)]
pub(crate) struct ProblemBody {
    /// `urn:switchover:problem:<code>`
    #[schema(example = "urn:switchover:problem:gates_not_met")]
    r#type: String,
    #[schema(example = "Gates do not pass")]
    title: String,
    #[schema(example = 409)]
    status: u16,
    /// What happened, and what to do next.
    #[schema(example = "promotion to opt_in needs: approval")]
    detail: String,
    /// Stable; programs branch on it.
    #[schema(example = "gates_not_met")]
    code: String,
    /// Fields of its own: `gates` of a refused promotion, `errors` of invalid values, `rows` of an
    /// import, `etag` of what has changed.
    #[serde(flatten)]
    #[schema(ignore)]
    fields: Map<String, Value>,
}

/// A gate's answer, as a problem carries it.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct GateLine {
    pub(crate) gate: String,
    /// `pass`, `fail` or `insufficient`.
    pub(crate) state: String,
    pub(crate) detail: String,
    /// What would satisfy it; empty when it passes.
    pub(crate) remedy: String,
}

impl Problem {
    pub(crate) fn new(code: Code, detail: impl Into<String>) -> Problem {
        Problem {
            code,
            detail: detail.into(),
            fields: Map::new(),
            header: None,
        }
    }

    pub(crate) fn unauthenticated(detail: impl Into<String>) -> Problem {
        let problem = Problem::new(Code::Unauthenticated, detail);
        problem.header(WWW_AUTHENTICATE, "Bearer".to_owned())
    }

    pub(crate) fn forbidden(needs: Role, has: Role) -> Problem {
        let detail = format!("this needs the role {needs} or above, and yours is {has}");
        Problem::new(Code::Forbidden, detail).with("needs", json!(needs))
    }

    pub(crate) fn malformed(detail: impl Into<String>) -> Problem {
        Problem::new(Code::MalformedRequest, detail)
    }

    pub(crate) fn not_found(detail: impl Into<String>) -> Problem {
        Problem::new(Code::NotFound, detail)
    }

    pub(crate) fn method_not_allowed(detail: impl Into<String>, allow: String) -> Problem {
        Problem::new(Code::MethodNotAllowed, detail).header(ALLOW, allow)
    }

    pub(crate) fn unavailable(detail: impl Into<String>, retry_after: u32) -> Problem {
        let problem = Problem::new(Code::Unavailable, detail);
        problem.header(RETRY_AFTER, retry_after.to_string())
    }

    pub(crate) fn overloaded() -> Problem {
        Problem::unavailable("the server is overloaded: try again", 1)
    }

    pub(crate) fn is(&self, code: Code) -> bool {
        self.code == code
    }

    /// After how many seconds to try again, where that is known.
    pub(crate) fn retry_after(&self) -> Option<u32> {
        let (name, value) = self.header.as_ref()?;
        (*name == RETRY_AFTER).then(|| value.parse().ok())?
    }

    /// What kind of error it is, in words.
    pub(crate) fn title(&self) -> &'static str {
        self.code.row().2
    }

    /// What happened, and what to do next.
    pub(crate) fn detail(&self) -> &str {
        &self.detail
    }

    /// The gates of a refused promotion.
    pub(crate) fn gates(&self) -> Vec<GateLine> {
        self.read("gates")
    }

    /// The complaints about single fields.
    pub(crate) fn complaints(&self) -> Vec<FieldError> {
        self.read("errors")
    }

    fn read<T: DeserializeOwned>(&self, field: &str) -> Vec<T> {
        let value = self.fields.get(field).cloned();
        // It was written by the same types.
        value
            .and_then(|value| serde_json::from_value(value).ok())
            .unwrap_or_default()
    }

    pub(crate) fn with(mut self, name: &str, value: Value) -> Problem {
        self.fields.insert(name.to_owned(), value);
        self
    }

    pub(crate) fn with_errors(self, errors: &[FieldError]) -> Problem {
        self.with("errors", json!(errors))
    }

    fn header(mut self, name: actix_web::http::header::HeaderName, value: String) -> Problem {
        self.header = Some((name, value));
        self
    }

    fn body(&self) -> ProblemBody {
        let (code, status, title) = self.code.row();
        ProblemBody {
            r#type: format!("urn:switchover:problem:{code}"),
            title: title.to_owned(),
            status: status.as_u16(),
            detail: self.detail.clone(),
            code: code.to_owned(),
            fields: self.fields.clone(),
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.code.row().0, self.detail)
    }
}

impl ResponseError for Problem {
    fn status_code(&self) -> StatusCode {
        self.code.row().1
    }

    fn error_response(&self) -> HttpResponse {
        let mut response = HttpResponse::build(self.status_code());
        response.content_type("application/problem+json");
        if let Some((name, value)) = &self.header {
            response.insert_header((name.clone(), value.as_str()));
        }
        // A struct of strings and JSON values always serialises.
        response.body(serde_json::to_string(&self.body()).unwrap_or_default())
    }
}

impl From<Failure> for Problem {
    fn from(failure: Failure) -> Problem {
        let detail = failure.to_string();
        match failure {
            Failure::Refused(refusal) => refused(refusal, detail),
            Failure::Missing(Missing { what, name }) => Problem::not_found(format!(
                "there is no {what} `{}`",
                name.chars().take(100).collect::<String>()
            )),
            Failure::Exists(Existing { field, detail }) => {
                Problem::new(Code::NameTaken, detail.clone())
                    .with_errors(&[FieldError::new(field, detail)])
            }
            Failure::Invalid(errors) => Problem::new(Code::Invalid, detail).with_errors(&errors),
            Failure::Rows(rows) => {
                let rows: Vec<Value> = rows
                    .iter()
                    .map(|row| json!({ "index": row.index, "errors": row.errors }))
                    .collect();
                Problem::new(Code::ImportRefused, detail).with("rows", Value::Array(rows))
            }
            Failure::Conflict(_) => Problem::new(Code::Conflict, detail),
            Failure::Precondition { current } if current.is_empty() => Problem::new(
                Code::PreconditionFailed,
                format!("{detail}: leave If-Match out"),
            ),
            Failure::Precondition { current } => {
                let detail = format!("{detail}; read it again and decide anew");
                Problem::new(Code::PreconditionFailed, detail).with("etag", json!(current))
            }
            Failure::IdempotencyMismatch => Problem::new(Code::IdempotencyMismatch, detail),
            Failure::JustDone => Problem::unavailable(
                "this request was just carried out: ask again for its answer",
                1,
            ),
            Failure::NoManifestKey(_) => Problem::new(Code::NoManifestKey, detail),
            Failure::UnderWay(_) => Problem::unavailable(format!("{detail}: try again"), 2),
            Failure::Store(error) => stored(&error),
        }
    }
}

fn refused(refusal: Refusal, detail: String) -> Problem {
    match refusal {
        Refusal::InvalidTransition(_) => Problem::new(Code::InvalidTransition, detail),
        Refusal::GatesNotMet { to, gates } => Problem::new(Code::GatesNotMet, detail)
            .with("to", json!(to))
            .with("gates", json!(gates)),
        Refusal::Forbidden { needs, .. } => {
            Problem::new(Code::Forbidden, detail).with("needs", json!(needs))
        }
        Refusal::Halted(_) => Problem::new(Code::Halted, detail),
        Refusal::Mandatory(_) => Problem::new(Code::Mandatory, detail),
        Refusal::Retired(_) => Problem::new(Code::Retired, detail),
        Refusal::NotReady(_) => Problem::new(Code::NotReady, detail),
        Refusal::Frozen(_) => Problem::new(Code::Frozen, detail),
        Refusal::GuardBreach(_) => Problem::new(Code::GuardBreach, detail),
        Refusal::FlipUnderWay(_) => Problem::new(Code::FlipUnderWay, detail),
        Refusal::FlipBlocked(_) => Problem::new(Code::FlipBlocked, detail),
        Refusal::StoresDiffer { gates, .. } => {
            Problem::new(Code::StoresDiffer, detail).with("gates", json!(gates))
        }
        Refusal::LossRisk { risk, .. } => {
            Problem::new(Code::LossRisk, detail).with("loss_risk", json!(risk))
        }
        Refusal::OldStoreNeeded { lacking, .. } => {
            Problem::new(Code::OldStoreNeeded, detail).with("lacking", json!(lacking))
        }
        Refusal::StillReferenced { lacking, .. } => {
            Problem::new(Code::StillReferenced, detail).with("lacking", json!(lacking))
        }
        Refusal::WindowNeeded(_) => Problem::new(Code::WindowNeeded, detail),
        Refusal::Dependents { ahead, .. } => {
            let ahead: Vec<Value> = ahead
                .iter()
                .map(|(route, stage)| json!({ "route": route, "stage": stage }))
                .collect();
            Problem::new(Code::DependentsAhead, detail).with("ahead", Value::Array(ahead))
        }
        Refusal::OutOfOrder { missing, .. } => {
            Problem::new(Code::OutOfOrder, detail).with("missing", json!(missing))
        }
        Refusal::Invalid { field, detail } => Problem::new(Code::Invalid, detail.clone())
            .with_errors(&[FieldError::new(field, detail)]),
    }
}

/// What the engine says stays in the log: it may hold addresses, names and rows.
fn stored(error: &StoreError) -> Problem {
    match error {
        StoreError::Busy => Problem::unavailable("the database is busy: try again", 1),
        StoreError::Stale | StoreError::Duplicate => Problem::new(
            Code::PreconditionFailed,
            "somebody else has just changed it: read it again and decide anew",
        ),
        StoreError::Unavailable(_) => {
            tracing::error!(%error, "the database cannot be used");
            Problem::unavailable(
                "the database cannot be used right now; nothing has changed",
                5,
            )
        }
        StoreError::OutcomeUnknown(_) => {
            tracing::error!(%error, "a commit's outcome is not known");
            Problem::unavailable(
                "the database was lost at the commit: read again whether it was made, or send it \
                 again with the same Idempotency-Key",
                5,
            )
        }
        StoreError::Corrupt(_) => {
            tracing::error!(%error, "a row cannot be understood");
            Problem::new(
                Code::Internal,
                "a record cannot be understood; the server's log says which",
            )
        }
    }
}
