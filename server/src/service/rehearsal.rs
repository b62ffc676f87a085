//! What a change would do: carried out by the very rules that would do it, and taken back.

use std::convert::Infallible;

use crate::domain::cohort::Uses;
use crate::domain::text::Reason;
use crate::service::cohort::apply_uses;
use crate::service::observed::Observed;
use crate::service::rollout::{Change, Changed, Target, apply};
use crate::service::work::Work;
use crate::service::{Ctx, Failure, Services};
use crate::store::StoreError;

/// How a rehearsal ends: never by a commit.
enum Undone<T> {
    Seen(Box<T>),
    Failed(Failure),
}

impl<T> From<StoreError> for Undone<T> {
    fn from(error: StoreError) -> Undone<T> {
        Undone::Failed(Failure::Store(error))
    }
}

impl Services {
    /// What a change of a rollout would do now. Nothing has changed then: nothing is on record or
    /// published, and a change with the same idempotency key is still carried out.
    ///
    /// # Errors
    /// Those of the change itself.
    pub fn rehearse(&self, ctx: &Ctx, change: &Change) -> Result<Changed, Failure> {
        let observed = if change.command.is_urgent() {
            Observed::default()
        } else {
            self.observe_change(ctx, change)?
        };
        self.rehearsed(ctx, |work| {
            work.observed = observed;
            apply(work, change)
        })
    }

    /// What other cohorts would do to a rollout now.
    ///
    /// # Errors
    /// Those of [`Services::use_cohorts`].
    pub fn rehearse_cohorts(
        &self,
        ctx: &Ctx,
        target: &Target,
        uses: &Uses,
        reason: &Reason,
    ) -> Result<Changed, Failure> {
        self.rehearsed(ctx, |work| apply_uses(work, target, uses, reason))
    }

    /// Runs a change in a transaction that is rolled back.
    fn rehearsed<T>(
        &self,
        ctx: &Ctx,
        work: impl FnOnce(&mut Work<'_, '_>) -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        let undone = self.store.write_quietly::<Infallible, Undone<T>>(|tx| {
            let mut unit = Work::new(tx, ctx, &self.clock, &self.telemetry);
            Err(match work(&mut unit) {
                Ok(seen) => Undone::Seen(Box::new(seen)),
                Err(failure) => Undone::Failed(failure),
            })
        });
        match undone {
            Ok(never) => match never {},
            Err(Undone::Seen(seen)) => Ok(*seen),
            Err(Undone::Failed(failure)) => Err(failure),
        }
    }
}
