//! Evidence: what was seen in a test, put on record.

use chrono::{DateTime, Duration, DurationRound as _, Utc};
use serde_json::{Value, json};

use crate::domain::evidence::{Evidence, EvidenceKind, Verdict};
use crate::domain::telemetry::described;
use crate::domain::text::Reason;
use crate::service::rollout::{Target, load};
use crate::service::route::lock_rollouts;
use crate::service::{Answer, Ctx, Failure, Render, SeriesSpan, Services};
use crate::store::StoreError;

/// The most pieces of evidence about one route: every promotion reads them.
pub(super) const MOST_EVIDENCE: usize = 1_000;

/// Evidence as somebody gives it.
#[derive(Clone, Debug)]
pub struct NewEvidence {
    /// About what.
    pub kind: EvidenceKind,
    /// What they conclude.
    pub verdict: Verdict,
    /// Where to see it: an http or https address.
    pub url: Option<String>,
    /// What they saw; besides, or in the place of what is drawn from telemetry.
    pub summary: Option<Reason>,
    /// Whether what callers reported is put on record, and from when to when.
    pub telemetry: Option<DrawnFrom>,
}

/// The time that evidence is drawn from.
#[derive(Clone, Copy, Debug, Default)]
pub struct DrawnFrom {
    /// From when on; since the open acceptance window was opened when nothing is said.
    pub from: Option<DateTime<Utc>>,
    /// Until when; now when nothing is said.
    pub until: Option<DateTime<Utc>>,
}

impl Services {
    /// Puts evidence about a route in an environment on record. It voids approvals that were given
    /// without it.
    ///
    /// # Errors
    /// When there is no such rollout, or nothing was reported that could be drawn.
    pub fn add_evidence(
        &self,
        ctx: &Ctx,
        target: &Target,
        new: &NewEvidence,
        render: Render<'_, Evidence>,
    ) -> Result<Answer, Failure> {
        // Read beside the transaction. What is wrong with it does not matter to a request that was
        // carried out before.
        let drawn = new.telemetry.map(|from| self.draw(target, from));
        self.change(ctx, render, |work| {
            let drawn = drawn.transpose()?;
            let said = new.summary.as_ref().map(|said| said.as_str());
            let summary = match (said, drawn.as_deref()) {
                (Some(said), Some(drawn)) => format!("{said}; {drawn}"),
                (said, drawn) => said.or(drawn).unwrap_or_default().to_owned(),
            };
            if summary.is_empty() {
                return Err(Failure::invalid("summary", "say what was seen"));
            }
            lock_rollouts(work, &target.route)?;
            load(work.tx, target)?;
            if work.tx.evidence(&target.route)?.len() >= MOST_EVIDENCE {
                return Err(Failure::Conflict(format!(
                    "`{}` has {MOST_EVIDENCE} pieces of evidence, and more there cannot be",
                    target.route
                )));
            }
            let evidence = Evidence {
                id: uuid::Uuid::now_v7().to_string(),
                route: target.route.clone(),
                environment: target.environment.clone(),
                kind: new.kind,
                verdict: new.verdict,
                url: new.url.clone(),
                summary,
                by: work.ctx.actor.subject.clone(),
                at: work.now,
            };
            work.tx.add_evidence(&evidence)?;
            let record = (Value::Null, json!(evidence));
            let (route, environment) = (Some(&target.route), Some(&target.environment));
            work.record("evidence", route, environment, &evidence.summary, record);
            Ok(evidence)
        })
    }

    /// What was reported of a route, as a sentence.
    fn draw(&self, target: &Target, drawn: DrawnFrom) -> Result<String, Failure> {
        let rollout = self.rollout(target)?.rollout;
        let now = self.now();
        let window = rollout.acceptance.map(|window| window.opened_at);
        let Some(from) = drawn.from.or(window) else {
            let detail = "no acceptance window is open: say from when on";
            return Err(Failure::invalid("telemetry.from", detail));
        };
        let until = drawn.until.unwrap_or(now).min(now);
        if from >= until {
            let detail = "must lie in the past, and before `until`";
            return Err(Failure::invalid("telemetry.from", detail));
        }
        let span = SeriesSpan {
            from: Some(from),
            until: Some(until + Duration::seconds(1)),
            step_seconds: Some(86_400),
            ..SeriesSpan::default()
        };
        let series = self.traffic(target, span)?;
        let of_new = [&series.totals.new, &series.totals.new_mirror];
        if of_new.iter().all(|tally| tally.calls == 0) {
            return Err(Failure::Conflict(format!(
                "no call of `{}` on the new path was reported in {} from {from} to {until}: let \
                 callers take it there in applications whose SDK reports to this server, or say \
                 another time",
                target.route, target.environment
            )));
        }
        let environment = &target.environment;
        // What was used is kept by the minute.
        let begin = from.duration_trunc(Duration::minutes(1)).unwrap_or(from);
        let (before, during) = self.telemetry.read::<_, StoreError>(|tx| {
            let before = tx.used(environment, (begin - (until - begin), begin))?;
            Ok((
                before,
                tx.used(environment, (begin, until + Duration::seconds(1)))?,
            ))
        })?;
        let span = (from, until);
        Ok(described(span, &series.totals, (&before, &during)))
    }

    /// The evidence about a route in an environment, oldest first.
    ///
    /// # Errors
    /// When there is no such rollout.
    pub fn evidence(&self, target: &Target) -> Result<Vec<Evidence>, Failure> {
        self.store.read(|tx| {
            load(tx, target)?;
            let mut evidence = tx.evidence(&target.route)?;
            evidence.retain(|found| found.environment == target.environment);
            Ok(evidence)
        })
    }
}
