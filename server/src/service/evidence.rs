//! Evidence: what was seen in a test, put on record.

use serde_json::{Value, json};

use crate::domain::evidence::{Evidence, EvidenceKind, Verdict};
use crate::domain::text::Reason;
use crate::service::rollout::{Target, load};
use crate::service::route::lock_rollouts;
use crate::service::{Answer, Ctx, Failure, Render, Services};

/// The most pieces of evidence about one route: every promotion reads them.
const MOST_EVIDENCE: usize = 1_000;

/// Evidence as somebody gives it.
#[derive(Clone, Debug)]
pub struct NewEvidence {
    /// About what.
    pub kind: EvidenceKind,
    /// What they conclude.
    pub verdict: Verdict,
    /// Where to see it: an http or https address.
    pub url: Option<String>,
    /// What they saw.
    pub summary: Reason,
}

impl Services {
    /// Puts evidence about a route in an environment on record. It voids approvals that were given
    /// without it.
    ///
    /// # Errors
    /// When there is no such rollout.
    pub fn add_evidence(
        &self,
        ctx: &Ctx,
        target: &Target,
        new: &NewEvidence,
        render: Render<'_, Evidence>,
    ) -> Result<Answer, Failure> {
        self.change(ctx, render, |work| {
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
                summary: new.summary.to_string(),
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
