//! Flips, as rollouts show them.

use chrono::{DateTime, Utc};
use serde::Serialize;
use utoipa::ToSchema;

use crate::domain::doubling::{Doubling, FlipEnd, Hold, Outcome};

/// Keys that are about to move between the two stores of a route: announced, and made when every
/// process that writes has let go of them.
#[derive(Serialize, ToSchema)]
#[schema(as = Hold)]
pub(crate) struct HoldBody {
    /// What is to happen.
    #[schema(example = "ramp_advance")]
    action: &'static str,
    by: String,
    reason: String,
    since: DateTime<Utc>,
    /// When it is given up at the latest.
    until: DateTime<Utc>,
}

/// How the last announcement ended.
#[derive(Serialize, ToSchema)]
#[schema(as = FlipEnd)]
pub(crate) struct FlipEndBody {
    at: DateTime<Utc>,
    /// The generation that was announced.
    #[schema(example = 7)]
    generation: u64,
    /// What was to happen.
    #[schema(example = "ramp_advance")]
    action: String,
    /// `made`, or `abandoned`: then nothing has changed.
    #[schema(example = "made")]
    outcome: &'static str,
    /// Why it was given up; empty where it was made.
    detail: String,
    /// How long writes of the keys that move had to wait at the most.
    #[schema(example = 84)]
    waited_ms: u64,
}

impl HoldBody {
    pub(super) fn of(data: &Doubling) -> Option<HoldBody> {
        data.hold.as_deref().map(|hold: &Hold| HoldBody {
            action: hold.command.action(),
            by: hold.actor.subject.clone(),
            reason: hold.reason.clone(),
            since: hold.since,
            until: hold.until,
        })
    }
}

impl FlipEndBody {
    pub(super) fn of(data: &Doubling) -> Option<FlipEndBody> {
        data.last_flip.as_ref().map(|end: &FlipEnd| FlipEndBody {
            at: end.at,
            generation: end.generation,
            action: end.action.clone(),
            outcome: match end.outcome {
                Outcome::Made => "made",
                Outcome::Abandoned => "abandoned",
            },
            detail: end.detail.clone(),
            waited_ms: end.waited_ms,
        })
    }
}
