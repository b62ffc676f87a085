//! Plans on record.

use std::collections::BTreeMap;

use chrono::{DateTime, NaiveDateTime, Utc};
use diesel::prelude::*;
use switchover::{RouteKey, Stage};

use crate::domain::plan::{Document, Plan, StepState, Tick};
use crate::store::rows::{corrupt, count, counted, from_json, json, read, time};
use crate::store::schema::{plan_gates, plan_steps, plans};
use crate::store::{StoreError, Tx};

#[derive(Queryable, Insertable, AsChangeset)]
#[diesel(table_name = plans, treat_none_as_null = true)]
struct PlanRow {
    route: String,
    source: Option<String>,
    ordered: Option<bool>,
    revision: i64,
    put_by: String,
    put_at: NaiveDateTime,
}

#[derive(Queryable, Insertable)]
#[diesel(table_name = plan_steps)]
struct StepRow {
    route: String,
    step: String,
    done: Option<bool>,
    done_by: Option<String>,
    done_at: Option<NaiveDateTime>,
    note: Option<String>,
    waits_for: Option<String>,
}

impl Tx<'_> {
    /// A route's plan, with everything that is known of it.
    ///
    /// # Errors
    /// When the database cannot be used.
    pub fn plan(&mut self, route: &RouteKey) -> Result<Option<Plan>, StoreError> {
        let row = plans::table
            .filter(plans::route.eq(route.as_str()))
            .first::<PlanRow>(self.connection)
            .optional()?;
        let Some(row) = row else {
            return Ok(None);
        };
        let Some(source) = &row.source else {
            return Ok(None);
        };
        let document = Document::parse(source).map_err(|error| corrupt("plans.source", error))?;
        Ok(Some(Plan {
            document,
            ordered: row.ordered,
            gates: self.plan_gates(route)?,
            states: self.plan_states(route)?,
            revision: counted("plans.revision", row.revision)?,
            put_by: row.put_by,
            put_at: row.put_at.and_utc(),
        }))
    }

    /// The last revision that a plan of this route had; 0 when it never had one.
    ///
    /// # Errors
    /// When the database cannot be used.
    pub fn plan_revision(&mut self, route: &RouteKey) -> Result<u64, StoreError> {
        let revision = plans::table
            .filter(plans::route.eq(route.as_str()))
            .select(plans::revision)
            .first::<i64>(self.connection)
            .optional()?;
        revision.map_or(Ok(0), |revision| counted("plans.revision", revision))
    }

    /// Locks a route's plan for this transaction, if it has one: a route that is not published yet
    /// has no rollouts to lock.
    ///
    /// # Errors
    /// When the database cannot be used.
    pub fn lock_plan(&mut self, route: &RouteKey) -> Result<(), StoreError> {
        diesel::update(plans::table.filter(plans::route.eq(route.as_str())))
            .set(plans::revision.eq(plans::revision))
            .execute(self.connection)?;
        Ok(())
    }

    /// Writes a plan's text, order and revision; what is known of its steps and sections is written
    /// for each of them.
    ///
    /// # Errors
    /// When the database cannot be used.
    pub fn write_plan(&mut self, route: &RouteKey, plan: &Plan) -> Result<(), StoreError> {
        self.write_plan_row(PlanRow {
            route: route.to_string(),
            source: Some(plan.document.source().to_owned()),
            ordered: plan.ordered,
            revision: count(plan.revision),
            put_by: plan.put_by.clone(),
            put_at: time(plan.put_at),
        })
    }

    /// Writes what is known of a step; nothing is kept of one that nothing is known of.
    ///
    /// # Errors
    /// When the database cannot be used.
    pub fn write_plan_step(
        &mut self,
        route: &RouteKey,
        step: &str,
        state: &StepState,
    ) -> Result<(), StoreError> {
        let of_step = plan_steps::table
            .filter(plan_steps::route.eq(route.as_str()))
            .filter(plan_steps::step.eq(step));
        diesel::delete(of_step).execute(self.connection)?;
        if *state == StepState::default() {
            return Ok(());
        }
        let tick = state.tick.as_ref();
        let row = StepRow {
            route: route.to_string(),
            step: step.to_owned(),
            done: tick.map(|tick| tick.done),
            done_by: tick.map(|tick| tick.by.clone()),
            done_at: tick.map(|tick| time(tick.at)),
            note: state.note.clone(),
            waits_for: state.after.as_ref().map(json).transpose()?,
        };
        diesel::insert_into(plan_steps::table)
            .values(&row)
            .execute(self.connection)?;
        Ok(())
    }

    /// Writes what a section is bound to whatever the document says; `None` leaves it to the
    /// document.
    ///
    /// # Errors
    /// When the database cannot be used.
    pub fn write_plan_gate(
        &mut self,
        route: &RouteKey,
        section: &str,
        gate: Option<Option<Stage>>,
    ) -> Result<(), StoreError> {
        let of_section = plan_gates::table
            .filter(plan_gates::route.eq(route.as_str()))
            .filter(plan_gates::section.eq(section));
        diesel::delete(of_section).execute(self.connection)?;
        if let Some(gate) = gate {
            diesel::insert_into(plan_gates::table)
                .values((
                    plan_gates::route.eq(route.as_str()),
                    plan_gates::section.eq(section),
                    plan_gates::gate.eq(gate.map(Stage::name)),
                ))
                .execute(self.connection)?;
        }
        Ok(())
    }

    /// Takes a plan away, and what is known of it. Its revisions are not used again.
    ///
    /// # Errors
    /// When the database cannot be used.
    pub fn delete_plan(
        &mut self,
        route: &RouteKey,
        revision: u64,
        by: &str,
        at: DateTime<Utc>,
    ) -> Result<(), StoreError> {
        diesel::delete(plan_steps::table.filter(plan_steps::route.eq(route.as_str())))
            .execute(self.connection)?;
        diesel::delete(plan_gates::table.filter(plan_gates::route.eq(route.as_str())))
            .execute(self.connection)?;
        self.write_plan_row(PlanRow {
            route: route.to_string(),
            source: None,
            ordered: None,
            revision: count(revision),
            put_by: by.to_owned(),
            put_at: time(at),
        })
    }

    fn write_plan_row(&mut self, row: PlanRow) -> Result<(), StoreError> {
        let updated = diesel::update(plans::table.filter(plans::route.eq(&row.route)))
            .set(&row)
            .execute(self.connection)?;
        if updated == 0 {
            diesel::insert_into(plans::table)
                .values(&row)
                .execute(self.connection)?;
        }
        Ok(())
    }

    fn plan_gates(
        &mut self,
        route: &RouteKey,
    ) -> Result<BTreeMap<String, Option<Stage>>, StoreError> {
        plan_gates::table
            .filter(plan_gates::route.eq(route.as_str()))
            .select((plan_gates::section, plan_gates::gate))
            .load::<(String, Option<String>)>(self.connection)?
            .into_iter()
            .map(|(section, gate)| {
                let gate = gate
                    .map(|gate| read("plan_gates.gate", &gate))
                    .transpose()?;
                Ok((section, gate))
            })
            .collect()
    }

    fn plan_states(&mut self, route: &RouteKey) -> Result<BTreeMap<String, StepState>, StoreError> {
        plan_steps::table
            .filter(plan_steps::route.eq(route.as_str()))
            .load::<StepRow>(self.connection)?
            .into_iter()
            .map(|row| {
                let tick = match (row.done, row.done_by, row.done_at) {
                    (Some(done), Some(by), Some(at)) => Some(Tick {
                        done,
                        by,
                        at: at.and_utc(),
                    }),
                    (None, None, None) => None,
                    _ => return Err(corrupt("plan_steps.done", &row.step)),
                };
                let after = row.waits_for.as_deref();
                let state = StepState {
                    tick,
                    note: row.note,
                    after: after
                        .map(|ids| from_json("plan_steps.waits_for", ids))
                        .transpose()?,
                };
                Ok((row.step, state))
            })
            .collect()
    }
}
