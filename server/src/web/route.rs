//! The pages of a route: in every environment at a glance, in one environment with all about it, and
//! its plan.

mod cards;
mod data;
mod gates;
mod overview;
mod plan;
mod ramp;
mod references;
mod rollout;
mod running;
mod snippet;
mod stepper;
mod timeline;

use actix_web::web::ServiceConfig;
use serde::Deserialize;

use crate::service::TimelinePart;

/// The entries of the timeline on one page.
const ENTRIES: usize = 25;

/// The pages of a route.
pub(crate) fn serve(config: &mut ServiceConfig) {
    config
        .service(overview::show)
        .service(rollout::show)
        .service(plan::show)
        .service(plan::change_step);
}

/// Which part of what is shown is asked for.
#[derive(Deserialize)]
struct Asked {
    /// How far back charts look.
    #[serde(default)]
    span: String,
    /// Entries of the timeline that are older than this one.
    before: Option<u64>,
}

impl Asked {
    fn part(&self) -> TimelinePart {
        TimelinePart {
            before: self.before,
            most: ENTRIES,
        }
    }
}

/// A short word with a colour and a sign.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Badge {
    /// `is-good`, `is-bad`, `is-wait`, `is-off`, `is-new`, `is-old`, or nothing.
    class: &'static str,
    text: String,
}

impl Badge {
    fn new(class: &'static str, text: impl Into<String>) -> Badge {
        Badge {
            class,
            text: text.into(),
        }
    }
}

/// `1 step`, `2 steps`.
fn many(count: usize, one: &str) -> String {
    match count {
        1 => format!("1 {one}"),
        count => format!("{count} {one}s"),
    }
}
