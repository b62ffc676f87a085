//! Approvals on record.

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use switchover::{RouteKey, Stage};

use crate::domain::approval::Approval;
use crate::domain::environment::EnvironmentKey;
use crate::store::rows::{ApprovalRow, time};
use crate::store::schema::approvals;
use crate::store::{StoreError, Tx};

impl Tx<'_> {
    /// The approvals of a rollout that are not withdrawn, oldest first; only those for `to`, when
    /// it is given.
    ///
    /// # Errors
    /// When the database cannot be used.
    pub fn approvals(
        &mut self,
        route: &RouteKey,
        environment: &EnvironmentKey,
        to: Option<Stage>,
    ) -> Result<Vec<Approval>, StoreError> {
        let mut query = approvals::table
            .filter(approvals::route.eq(route.as_str()))
            .filter(approvals::environment.eq(environment.as_str()))
            .filter(approvals::withdrawn_at.is_null())
            .order((approvals::created_at.asc(), approvals::id.asc()))
            .into_boxed();
        if let Some(to) = to {
            query = query.filter(approvals::to_stage.eq(to.name()));
        }
        query
            .load::<ApprovalRow>(self.connection)?
            .into_iter()
            .map(Approval::try_from)
            .collect()
    }

    /// Adds an approval.
    ///
    /// # Errors
    /// When the database cannot be used.
    pub fn add_approval(&mut self, approval: &Approval) -> Result<(), StoreError> {
        diesel::insert_into(approvals::table)
            .values(&ApprovalRow::from(approval))
            .execute(self.connection)?;
        Ok(())
    }

    /// Marks an approval as withdrawn.
    ///
    /// # Errors
    /// When the database cannot be used.
    pub fn withdraw_approval(&mut self, id: &str, at: DateTime<Utc>) -> Result<(), StoreError> {
        diesel::update(approvals::table.filter(approvals::id.eq(id)))
            .set(approvals::withdrawn_at.eq(time(at)))
            .execute(self.connection)?;
        Ok(())
    }
}
