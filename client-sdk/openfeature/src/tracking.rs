//! Evaluations as events, by the names of OpenTelemetry's semantic conventions.

use open_feature::{EvaluationError, EvaluationReason};

use crate::answer::Answer;
use crate::flag::error_type;
use crate::provider::NAME;

/// An evaluation has an answer.
pub(crate) fn evaluated(flag: &str, key: Option<&str>, answer: &Answer) {
    tracing::event!(
        name: "feature_flag.evaluation",
        target: "feature_flag",
        tracing::Level::DEBUG,
        feature_flag.key = flag,
        feature_flag.provider.name = NAME,
        feature_flag.result.variant = answer.path(),
        feature_flag.result.value = answer.is_new(),
        feature_flag.result.reason = reason(&answer.reason()),
        feature_flag.context.id = key,
        feature_flag.set.id = answer.environment.as_deref(),
        feature_flag.version = answer.version.as_deref(),
        switchover.reason = answer.decision.reason.name(),
        switchover.stage = answer.stage.map(|stage| stage.name()),
        switchover.source = answer.decision.source.map(|source| source.name()),
        "feature_flag.evaluation"
    );
}

/// An evaluation has none.
pub(crate) fn failed(flag: &str, key: Option<&str>, error: &EvaluationError) {
    tracing::event!(
        name: "feature_flag.evaluation",
        target: "feature_flag",
        tracing::Level::DEBUG,
        feature_flag.key = flag,
        feature_flag.provider.name = NAME,
        feature_flag.result.reason = reason(&EvaluationReason::Error),
        feature_flag.context.id = key,
        error.r#type = error_type(error),
        feature_flag.error.message = error.message.as_deref(),
        "feature_flag.evaluation"
    );
}

/// In lower case, as telemetry has it.
fn reason(reason: &EvaluationReason) -> String {
    reason.to_string().to_lowercase()
}
