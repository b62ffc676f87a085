//! What running callers report: taken in, and shown.

use std::collections::BTreeMap;
use std::sync::Arc;

use chrono::{DateTime, Duration, Utc};
use switchover::{Batch, Version};

use crate::domain::environment::EnvironmentKey;
use crate::domain::telemetry::{Process, SEEN_WITHIN_MINUTES, Tallies};
use crate::service::rollout::{Target, load};
use crate::service::{Failure, Services};
use crate::store::StoreError;
use crate::telemetry::{Arrived, Length, TelemetryStore, Which};

/// The most points of a series.
const MOST_POINTS: i64 = 1_000;
/// Where nobody says how long a step is, it is the first of these that gives no more points than
/// this; in seconds.
const STEPS: [i64; 7] = [10, 60, 300, 900, 3_600, 14_400, 86_400];
const FEW_POINTS: i64 = 360;

/// Which span of time, and in how long steps.
#[derive(Clone, Copy, Debug, Default)]
pub struct SeriesSpan {
    /// From when on; an hour before its end when nothing is said.
    pub from: Option<DateTime<Utc>>,
    /// Until when; now when nothing is said.
    pub until: Option<DateTime<Utc>>,
    /// So many seconds until now, in the place of both.
    pub last_seconds: Option<u32>,
    /// The length of a step in seconds.
    pub step_seconds: Option<u32>,
}

/// Both paths of a route, side by side and step by step.
#[derive(Clone, Debug)]
pub struct Series {
    /// From when on.
    pub from: DateTime<Utc>,
    /// Until when.
    pub until: DateTime<Utc>,
    /// The length of a step in seconds.
    pub step_seconds: i64,
    /// What was counted in each step, by its beginning; steps without anything are left out.
    pub points: BTreeMap<DateTime<Utc>, Tallies>,
    /// All of them together.
    pub totals: Tallies,
}

/// The instances of an environment, and what is published there.
#[derive(Clone, Debug)]
pub struct Instances {
    /// The instances, by identity.
    pub processes: Vec<Process>,
    /// The version that they should have.
    pub published: Option<Version>,
    /// Now, by the server's clock.
    pub now: DateTime<Utc>,
}

impl Services {
    /// Where reports are kept.
    #[must_use]
    pub fn telemetry(&self) -> &Arc<TelemetryStore> {
        &self.telemetry
    }

    /// A batch as it is to be counted: without the counts of routes that are not published in the
    /// environment. `None` while nothing is published there.
    #[must_use]
    pub fn arrived(&self, environment: EnvironmentKey, mut batch: Batch) -> Option<Arrived> {
        let published = self.hub.current(&environment)?;
        let before = batch.counts.len();
        batch
            .counts
            .retain(|counts| published.has_route(&counts.route));
        let ignored = before - batch.counts.len();
        if ignored > 0 {
            tracing::debug!(
                %environment,
                instance = batch.instance.name,
                ignored,
                "counts of routes that are not published are left out"
            );
        }
        Some(Arrived {
            environment,
            epoch: published.version().epoch.to_string(),
            batch,
        })
    }

    /// What was counted of a route in an environment.
    ///
    /// # Errors
    /// When there is no such rollout, or no such span.
    pub fn traffic(&self, target: &Target, span: SeriesSpan) -> Result<Series, Failure> {
        self.store
            .read::<_, Failure>(|tx| load(tx, target).map(drop))?;
        let (mut series, length) = plan(span, self.now())?;
        let (from, until) = (series.from, series.until);
        let step = series.step_seconds;
        self.telemetry.read::<_, StoreError>(|tx| {
            let place = (&target.route, &target.environment);
            tx.each_window(place, length, (from, until), |at, path, role, tally| {
                // At whole steps, so that a chart that is drawn again stays as it was.
                let begin = at.timestamp().div_euclid(step) * step;
                let begin = DateTime::from_timestamp(begin, 0).unwrap_or(at);
                let point = series.points.entry(begin).or_default();
                point.of_mut(path, role).merge(tally);
                series.totals.of_mut(path, role).merge(tally);
            })
        })?;
        Ok(series)
    }

    /// The instances of an environment, by identity, after one and at most so many: those that run,
    /// or all that are kept.
    ///
    /// # Errors
    /// When there is no such environment.
    pub fn instances(
        &self,
        environment: &EnvironmentKey,
        all: bool,
        after: &str,
        most: usize,
    ) -> Result<Instances, Failure> {
        self.store.read::<_, Failure>(|tx| {
            tx.environment(environment)?
                .map(drop)
                .ok_or_else(|| Failure::missing("environment", environment))
        })?;
        let now = self.now();
        let which = if all {
            Which::ALL
        } else {
            Which::running_since(now - Duration::minutes(SEEN_WITHIN_MINUTES))
        };
        let processes = self
            .telemetry
            .read::<_, StoreError>(|tx| tx.processes(environment, which, after, most))?;
        let published = self.hub.current(environment);
        Ok(Instances {
            processes,
            published: published.map(|published| published.version().clone()),
            now,
        })
    }

    /// The same, for a route that must be ready there.
    ///
    /// # Errors
    /// When there is no such rollout.
    pub fn instances_for(
        &self,
        target: &Target,
        all: bool,
        after: &str,
        most: usize,
    ) -> Result<Instances, Failure> {
        self.store
            .read::<_, Failure>(|tx| load(tx, target).map(drop))?;
        self.instances(&target.environment, all, after, most)
    }
}

/// A series without anything in it yet, and the windows that it is made from.
fn plan(span: SeriesSpan, now: DateTime<Utc>) -> Result<(Series, Length), Failure> {
    let refuse = |field: &str, detail: String| Err(Failure::invalid(field, detail));
    // The second that runs counts.
    let until = span.until.unwrap_or(now + Duration::seconds(1));
    let back = span.last_seconds.map_or(3_600, i64::from);
    let from = span.from.unwrap_or(until - Duration::seconds(back));
    if from >= until {
        return refuse("from", "must come before the end".to_owned());
    }
    // Of the present hour there are windows of ten seconds. One more is let by: the hour moves on.
    let recent = Length::TenSeconds.kept_seconds() + 60;
    let length = if from >= now - Duration::seconds(recent) {
        Length::TenSeconds
    } else {
        Length::Minute
    };
    let seconds = (until - from).num_seconds().max(1);
    let steps = STEPS
        .into_iter()
        .filter(|step| step % length.seconds() == 0);
    let chosen = steps
        .clone()
        .find(|step| seconds / step <= FEW_POINTS)
        .unwrap_or(86_400);
    let step = span.step_seconds.map_or(chosen, i64::from);
    if step < length.seconds() || step % length.seconds() != 0 {
        let detail = format!(
            "must be a multiple of {}: counts of more than an hour ago are kept by the minute, \
             others by ten seconds",
            length.seconds()
        );
        return refuse("step", detail);
    }
    // One more at either end, where a step is not covered as a whole.
    let points = seconds / step + 2;
    if points > MOST_POINTS {
        let detail = format!(
            "gives {points} points, and there are at most {MOST_POINTS}: take a longer step"
        );
        return refuse("step", detail);
    }
    let begin = from.timestamp().div_euclid(length.seconds()) * length.seconds();
    let series = Series {
        from: DateTime::from_timestamp(begin, 0).unwrap_or(from),
        until,
        step_seconds: step,
        points: BTreeMap::new(),
        totals: Tallies::default(),
    };
    Ok((series, length))
}
