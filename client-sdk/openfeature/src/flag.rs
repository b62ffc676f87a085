//! Which route a flag is, and in which form it is asked for.

use open_feature::{EvaluationError, EvaluationErrorCode};

/// What stands behind a route's key in the name of the flag that is the path as text.
const AS_TEXT: &str = ".path";

/// A flag as OpenFeature names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Flag<'a> {
    /// The route's key.
    pub(crate) route: &'a str,
    /// Whether it has one type only: text.
    pub(crate) is_text: bool,
}

impl<'a> Flag<'a> {
    pub(crate) fn of(key: &'a str) -> Flag<'a> {
        match key.strip_suffix(AS_TEXT) {
            Some(route) => Flag {
                route,
                is_text: true,
            },
            None => Flag {
                route: key,
                is_text: false,
            },
        }
    }
}

/// There is no such flag.
pub(crate) fn not_found(key: &str) -> EvaluationError {
    failed(
        EvaluationErrorCode::FlagNotFound,
        format!("no route has the key `{key}`"),
    )
}

/// It has another type.
pub(crate) fn mismatch(key: &str, asked: &str) -> EvaluationError {
    failed(
        EvaluationErrorCode::TypeMismatch,
        format!("`{key}` is not {asked}: a route is a boolean, and a string as `ROUTE.path`"),
    )
}

fn failed(code: EvaluationErrorCode, message: String) -> EvaluationError {
    EvaluationError {
        code,
        message: Some(message),
    }
}

/// The name of an error, as telemetry has it.
pub(crate) fn error_type(error: &EvaluationError) -> &'static str {
    match error.code {
        EvaluationErrorCode::ProviderNotReady => "provider_not_ready",
        EvaluationErrorCode::FlagNotFound => "flag_not_found",
        EvaluationErrorCode::ParseError => "parse_error",
        EvaluationErrorCode::TypeMismatch => "type_mismatch",
        EvaluationErrorCode::TargetingKeyMissing => "targeting_key_missing",
        EvaluationErrorCode::InvalidContext => "invalid_context",
        EvaluationErrorCode::General(_) => "general",
    }
}
