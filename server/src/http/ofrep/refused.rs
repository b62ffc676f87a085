//! Errors in the protocol's form. Clients read `errorCode` and `errorDetails` whatever the status is,
//! and `key` of a single flag, so all are always there.

use std::fmt;

use actix_web::http::StatusCode;
use actix_web::http::header::{RETRY_AFTER, WWW_AUTHENTICATE};
use actix_web::{HttpRequest, HttpResponse, ResponseError};
use serde::Serialize;
use utoipa::ToSchema;

use crate::http::error::Problem;

/// Why a flag was not evaluated.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct EvaluationFailure {
    /// The flag, where one was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(required = false, value_type = String, example = "count_commits")]
    key: Option<String>,
    #[schema(inline)]
    error_code: ErrorCode,
    /// What happened, and what to do next.
    #[schema(example = "`targetingKey` is text or a whole number")]
    error_details: String,
}

/// OpenFeature's code.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub(crate) enum ErrorCode {
    /// The body is no JSON object.
    ParseError,
    /// The context is not one.
    InvalidContext,
    /// There is no such flag.
    FlagNotFound,
    /// Anything else.
    General,
}

/// A refusal.
#[derive(Clone, Debug)]
pub(crate) struct Refused {
    status: StatusCode,
    failure: EvaluationFailure,
    /// Whole seconds: clients read nothing else.
    retry_after: Option<u32>,
}

impl Refused {
    pub(super) fn new(
        status: StatusCode,
        error_code: ErrorCode,
        details: impl Into<String>,
    ) -> Refused {
        let failure = EvaluationFailure {
            key: None,
            error_code,
            error_details: details.into(),
        };
        Refused {
            status,
            failure,
            retry_after: None,
        }
    }

    pub(super) fn unauthenticated(details: impl Into<String>) -> Refused {
        Refused::new(StatusCode::UNAUTHORIZED, ErrorCode::General, details)
    }

    pub(super) fn parse_error(details: impl Into<String>) -> Refused {
        Refused::new(StatusCode::BAD_REQUEST, ErrorCode::ParseError, details)
    }

    pub(super) fn invalid_context(details: impl Into<String>) -> Refused {
        Refused::new(StatusCode::BAD_REQUEST, ErrorCode::InvalidContext, details)
    }

    /// The same with the flag that the request names, if it names one.
    pub(super) fn of(mut self, request: &HttpRequest) -> Refused {
        self.failure.key = request.match_info().get("key").map(str::to_owned);
        self
    }
}

/// What the rest of the interface refuses with, in this form.
impl From<Problem> for Refused {
    fn from(problem: Problem) -> Refused {
        let mut refused = Refused::new(
            problem.status_code(),
            ErrorCode::General,
            problem.detail().to_owned(),
        );
        refused.retry_after = problem.retry_after();
        refused
    }
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.failure.error_details)
    }
}

impl ResponseError for Refused {
    fn status_code(&self) -> StatusCode {
        self.status
    }

    fn error_response(&self) -> HttpResponse {
        let mut response = HttpResponse::build(self.status);
        if self.status == StatusCode::UNAUTHORIZED {
            response.insert_header((WWW_AUTHENTICATE, "Bearer"));
        }
        if let Some(seconds) = self.retry_after {
            response.insert_header((RETRY_AFTER, seconds.to_string()));
        }
        response.json(&self.failure)
    }
}
