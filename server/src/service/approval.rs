//! Approvals: given and withdrawn.

use serde_json::{Value, json};
use switchover::Stage;

use crate::domain::actor::Actor;
use crate::domain::approval::{Approval, ApprovalDigest};
use crate::domain::lifecycle::Command;
use crate::domain::refusal::Refusal;
use crate::service::proof::proof;
use crate::service::rollout::{Target, expect_tag, load};
use crate::service::shared::Shared;
use crate::service::work::facts;
use crate::service::{Answer, Ctx, Failure, Render, Services};

/// An approval, and whether what it approved is still what is there.
#[derive(Clone, Debug)]
pub struct ApprovalView {
    /// The approval.
    pub approval: Approval,
    /// Whether nothing that it covers has changed since.
    pub valid: bool,
}

impl Services {
    /// Approves a promotion of the rollout as it is. Approving it again changes nothing.
    ///
    /// # Errors
    /// When there is no such rollout, or `to` is not its next stage.
    pub fn approve(
        &self,
        ctx: &Ctx,
        target: &Target,
        to: Stage,
        comment: &str,
        render: Render<'_, ApprovalView>,
    ) -> Result<Answer, Failure> {
        self.change(ctx, render, |work| {
            work.tx
                .lock_rollout(&target.route, &target.environment, None)?;
            expect_tag(work, target)?;
            let (route, environment, rollout) = load(work.tx, target)?;
            if rollout.stage.next() != Some(to) {
                return Err(Failure::Refused(Refusal::InvalidTransition(format!(
                    "`{}` is at {} in {}: only a promotion to the next stage can be approved",
                    target.route, rollout.stage, target.environment
                ))));
            }
            let command = Command::Promote {
                to,
                break_glass: false,
            };
            let facts = work.facts(&route, &environment, &command, comment)?;
            let digest = ApprovalDigest::of(&facts, &rollout, to);
            let approver = &work.ctx.actor.subject;
            let same = work
                .tx
                .approvals(&target.route, &target.environment, Some(to))?
                .into_iter()
                .find(|other| other.approver == *approver && other.digest == digest);
            if let Some(approval) = same {
                return Ok(ApprovalView {
                    approval,
                    valid: true,
                });
            }
            let approval = Approval {
                id: uuid::Uuid::now_v7().to_string(),
                route: target.route.clone(),
                environment: target.environment.clone(),
                to,
                approver: approver.clone(),
                digest,
                comment: comment.to_owned(),
                created_at: work.now,
            };
            work.tx.add_approval(&approval)?;
            let record = (Value::Null, described(&approval));
            let (route, environment) = (Some(&target.route), Some(&target.environment));
            work.record("approve", route, environment, comment, record);
            Ok(ApprovalView {
                approval,
                valid: true,
            })
        })
    }

    /// Withdraws one's own approval.
    ///
    /// # Errors
    /// When there is no such approval of this person.
    pub fn withdraw_approval(
        &self,
        ctx: &Ctx,
        target: &Target,
        id: &str,
        reason: &str,
        render: Render<'_, ()>,
    ) -> Result<Answer, Failure> {
        self.change(ctx, render, |work| {
            work.tx
                .lock_rollout(&target.route, &target.environment, None)?;
            expect_tag(work, target)?;
            let approval = work
                .tx
                .approvals(&target.route, &target.environment, None)?
                .into_iter()
                .find(|approval| approval.id == id && approval.approver == ctx.actor.subject)
                .ok_or_else(|| Failure::missing("approval of yours", id))?;
            work.tx.withdraw_approval(id, work.now)?;
            let record = (described(&approval), Value::Null);
            let (route, environment) = (Some(&target.route), Some(&target.environment));
            work.record("approval_withdraw", route, environment, reason, record);
            Ok(())
        })
    }

    /// The approvals of a rollout that are not withdrawn, void ones included.
    ///
    /// # Errors
    /// When there is no such rollout.
    pub fn approvals(&self, target: &Target) -> Result<Vec<ApprovalView>, Failure> {
        let (ctx, now) = (Ctx::of(Actor::system()), self.now());
        self.store.read(|tx| {
            let (route, environment, rollout) = load(tx, target)?;
            let proof = proof(tx, (&route, &environment), now)?;
            let place = (&route, &environment);
            let facts = facts(
                tx,
                &mut Shared::new(&self.telemetry),
                place,
                (&ctx, "", now),
                proof,
            )?;
            Ok(tx
                .approvals(&target.route, &target.environment, None)?
                .into_iter()
                .map(|approval| ApprovalView {
                    valid: approval.digest == ApprovalDigest::of(&facts, &rollout, approval.to),
                    approval,
                })
                .collect())
        })
    }
}

fn described(approval: &Approval) -> Value {
    json!({
        "id": approval.id,
        "to": approval.to,
        "approver": approval.approver,
        "digest": approval.digest,
        "comment": approval.comment,
    })
}
