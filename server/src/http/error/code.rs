//! The one table from codes to statuses and titles.

use actix_web::http::StatusCode;

/// Every code that an answer may carry. `docs/api.md` explains each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Code {
    BodyTimeout,
    Conflict,
    DependentsAhead,
    FlipBlocked,
    FlipUnderWay,
    Forbidden,
    Frozen,
    GatesNotMet,
    GuardBreach,
    Halted,
    IdempotencyMismatch,
    ImportRefused,
    Internal,
    Invalid,
    InvalidTransition,
    LossRisk,
    MalformedRequest,
    Mandatory,
    MethodNotAllowed,
    NameTaken,
    NoManifestKey,
    NotFound,
    NotReady,
    OldStoreNeeded,
    OutOfOrder,
    PayloadTooLarge,
    PreconditionFailed,
    Retired,
    StillReferenced,
    StoresDiffer,
    Unauthenticated,
    Unavailable,
    UnsupportedMediaType,
    WindowNeeded,
}

impl Code {
    /// Name, status, title.
    pub(super) const fn row(self) -> (&'static str, StatusCode, &'static str) {
        match self {
            Code::BodyTimeout => (
                "body_timeout",
                StatusCode::REQUEST_TIMEOUT,
                "The body came too slowly",
            ),
            Code::Conflict => (
                "conflict",
                StatusCode::CONFLICT,
                "Contradicts what is on record",
            ),
            Code::DependentsAhead => (
                "dependents_ahead",
                StatusCode::CONFLICT,
                "Routes that require this one would be ahead of it",
            ),
            Code::FlipBlocked => (
                "flip_blocked",
                StatusCode::CONFLICT,
                "Keys cannot move between the stores now",
            ),
            Code::LossRisk => (
                "loss_risk",
                StatusCode::CONFLICT,
                "Going back would lose data",
            ),
            Code::OldStoreNeeded => (
                "old_store_needed",
                StatusCode::CONFLICT,
                "The old store cannot go out of use",
            ),
            Code::StillReferenced => (
                "still_referenced",
                StatusCode::CONFLICT,
                "The code may still ask for the route",
            ),
            Code::StoresDiffer => (
                "stores_differ",
                StatusCode::CONFLICT,
                "The two stores do not hold the same",
            ),
            Code::FlipUnderWay => (
                "flip_under_way",
                StatusCode::CONFLICT,
                "Keys are about to move between the stores",
            ),
            Code::Forbidden => (
                "forbidden",
                StatusCode::FORBIDDEN,
                "Your role does not allow this",
            ),
            Code::Frozen => ("frozen", StatusCode::CONFLICT, "A change freeze is open"),
            Code::GatesNotMet => ("gates_not_met", StatusCode::CONFLICT, "Gates do not pass"),
            Code::GuardBreach => ("guard_breach", StatusCode::CONFLICT, "A guard is in breach"),
            Code::Halted => ("halted", StatusCode::CONFLICT, "The rollout is halted"),
            Code::IdempotencyMismatch => (
                "idempotency_mismatch",
                StatusCode::UNPROCESSABLE_ENTITY,
                "The idempotency key was used for another request",
            ),
            Code::ImportRefused => (
                "import_refused",
                StatusCode::UNPROCESSABLE_ENTITY,
                "Rows cannot be imported, so none was",
            ),
            Code::Internal => (
                "internal",
                StatusCode::INTERNAL_SERVER_ERROR,
                "The server failed",
            ),
            Code::Invalid => (
                "invalid",
                StatusCode::UNPROCESSABLE_ENTITY,
                "Values are not valid",
            ),
            Code::InvalidTransition => (
                "invalid_transition",
                StatusCode::CONFLICT,
                "The lifecycle has no such step from here",
            ),
            Code::MalformedRequest => (
                "malformed_request",
                StatusCode::BAD_REQUEST,
                "The request cannot be read",
            ),
            Code::Mandatory => ("mandatory", StatusCode::CONFLICT, "The route is mandatory"),
            Code::MethodNotAllowed => (
                "method_not_allowed",
                StatusCode::METHOD_NOT_ALLOWED,
                "This address does not know the method",
            ),
            Code::NameTaken => ("name_taken", StatusCode::CONFLICT, "The name is taken"),
            Code::NoManifestKey => (
                "no_manifest_key",
                StatusCode::CONFLICT,
                "The server has no key to sign manifests with",
            ),
            Code::NotFound => ("not_found", StatusCode::NOT_FOUND, "There is no such thing"),
            Code::NotReady => (
                "not_ready",
                StatusCode::CONFLICT,
                "The route is still being prepared",
            ),
            Code::OutOfOrder => (
                "out_of_order",
                StatusCode::CONFLICT,
                "Steps that come before are not done",
            ),
            Code::PayloadTooLarge => (
                "payload_too_large",
                StatusCode::PAYLOAD_TOO_LARGE,
                "The body is too large",
            ),
            Code::PreconditionFailed => (
                "precondition_failed",
                StatusCode::PRECONDITION_FAILED,
                "It has changed in the meantime",
            ),
            Code::Retired => ("retired", StatusCode::CONFLICT, "The route is retired"),
            Code::Unauthenticated => (
                "unauthenticated",
                StatusCode::UNAUTHORIZED,
                "You have to say who you are",
            ),
            Code::Unavailable => (
                "unavailable",
                StatusCode::SERVICE_UNAVAILABLE,
                "Not possible right now",
            ),
            Code::UnsupportedMediaType => (
                "unsupported_media_type",
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                "The body is of another kind",
            ),
            Code::WindowNeeded => (
                "window_needed",
                StatusCode::CONFLICT,
                "Exposure before opt-in needs an acceptance window",
            ),
        }
    }
}
