//! A backfill, as it is shown.

use chrono::{DateTime, Duration, Utc};

use crate::domain::backfill::{Backfill, Standing};
use crate::web::chart::short;
use crate::web::route::Badge;
use crate::web::words::{When, count, exact, share, span};

/// A backfill, and how far it is.
pub(crate) struct BackfillView {
    pub(crate) badge: Badge,
    /// The width of the bar in percent; `None` where nobody knows how many keys there are.
    pub(crate) width: Option<String>,
    pub(crate) told: String,
    /// Keys per second.
    pub(crate) rate: Option<String>,
    /// When it is done, if it goes on like that.
    pub(crate) left: Option<String>,
    pub(crate) copied: String,
    pub(crate) failed: String,
    pub(crate) begun: When,
    pub(crate) ended: Option<When>,
    pub(crate) runner: String,
    pub(crate) heard: When,
    /// Who paused or reset it, and why.
    pub(crate) said: Option<String>,
}

impl BackfillView {
    pub(crate) fn of(backfill: &Backfill, now: DateTime<Utc>) -> BackfillView {
        let (keys, total) = (backfill.keys, backfill.total);
        // A total is an estimate: what is done is never more than the whole.
        let whole = total.map(|total| match backfill.state {
            Standing::Complete => keys.max(1),
            _ => total.max(keys).max(1),
        });
        let tenths = whole.map(|whole| u128::from(keys) * 1_000 / u128::from(whole));
        let told = match (backfill.state, total) {
            (Standing::Complete, _) | (_, None) => format!("{} keys", count(keys)),
            (_, Some(total)) => format!(
                "{} of about {} keys, {}",
                count(keys),
                count(total),
                share(keys, total.max(keys))
            ),
        };
        let told_left = |left: f64| {
            let left = std::time::Duration::try_from_secs_f64(left).ok()?;
            Some(format!(
                "about {} left",
                span(Duration::from_std(left).ok()?)
            ))
        };
        BackfillView {
            badge: match backfill.state {
                Standing::Running => Badge::new("is-new", "running"),
                Standing::Paused => Badge::new("is-wait", "paused"),
                Standing::Complete => Badge::new("is-good", "complete"),
                Standing::Reset => Badge::new("is-off", "void: to be run again"),
            },
            width: tenths.map(|tenths| format!("{}.{}", tenths / 10, tenths % 10)),
            told,
            rate: backfill
                .rate(now)
                .map(|rate| format!("{} keys per second", short(rate))),
            left: backfill.seconds_left(now).and_then(told_left),
            copied: count(backfill.copied),
            failed: count(backfill.failed),
            begun: When::of(backfill.begun_at, now),
            ended: backfill.ended_at.map(|at| When::of(at, now)),
            runner: backfill.runner.clone(),
            heard: When::of(backfill.heard_at, now),
            said: backfill
                .said
                .as_ref()
                .map(|said| format!("{}, {}: {}", said.by, exact(said.at), said.reason)),
        }
    }
}
