//! Promotions on record, with the approvals that they counted. The engine itself refuses one that
//! counts an approval of its promoter.

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use switchover::Stage;

use crate::domain::approval::Approval;
use crate::domain::rollout::Rollout;
use crate::store::rows::time;
use crate::store::schema::{promotion_approvals, promotions};
use crate::store::{StoreError, Tx};

/// A promotion that is about to be.
#[derive(Clone, Copy, Debug)]
pub struct NewPromotion<'a> {
    /// Of which rollout.
    pub rollout: &'a Rollout,
    /// To which stage.
    pub to: Stage,
    /// By whom.
    pub promoter: &'a str,
    /// Whether gates were passed over on purpose.
    pub break_glass: bool,
    /// The approvals that counted.
    pub approvals: &'a [&'a Approval],
    /// When.
    pub at: DateTime<Utc>,
}

impl Tx<'_> {
    /// Puts a promotion on record.
    ///
    /// # Errors
    /// When the promoter is among the approvers, or the database cannot be used.
    pub fn add_promotion(&mut self, promotion: &NewPromotion<'_>) -> Result<(), StoreError> {
        let id = uuid::Uuid::now_v7().to_string();
        diesel::insert_into(promotions::table)
            .values((
                promotions::id.eq(&id),
                promotions::route.eq(promotion.rollout.route.as_str()),
                promotions::environment.eq(promotion.rollout.environment.as_str()),
                promotions::to_stage.eq(promotion.to.name()),
                promotions::promoter.eq(promotion.promoter),
                promotions::break_glass.eq(promotion.break_glass),
                promotions::created_at.eq(time(promotion.at)),
            ))
            .execute(self.connection)?;
        for approval in promotion.approvals {
            diesel::insert_into(promotion_approvals::table)
                .values((
                    promotion_approvals::promotion.eq(&id),
                    promotion_approvals::promoter.eq(promotion.promoter),
                    promotion_approvals::approval.eq(&approval.id),
                    promotion_approvals::approver.eq(&approval.approver),
                ))
                .execute(self.connection)?;
        }
        Ok(())
    }
}
