//! Plans: given, ticked, bound, taken away.
//!
//! A promotion may be judged by the plan, so every change of it locks the route everywhere.

use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use switchover::{RouteKey, Stage};

use crate::domain::approval::hex;
use crate::domain::plan::{Document, LONGEST_NOTE, MAX_AFTER, Plan, PlanError, StepState};
use crate::domain::text::{Reason, bounded};
use crate::service::route::lock_rollouts;
use crate::service::work::Work;
use crate::service::{Answer, Ctx, Failure, Render, Services, epoch};
use crate::store::{StoreError, Tx};

/// A plan with its tag.
#[derive(Clone, Debug)]
pub struct PlanView {
    /// The route.
    pub route: RouteKey,
    /// The plan.
    pub plan: Plan,
    /// Its tag.
    pub tag: String,
    /// Whether the route had none before.
    pub created: bool,
}

/// What is to be different about a step; `None` leaves it as it is.
#[derive(Clone, Debug, Default)]
pub struct StepPatch {
    /// Whether it is done.
    pub done: Option<bool>,
    /// What is noted; nothing takes the note away.
    pub note: Option<String>,
    /// The steps that it waits for.
    pub after: Option<Vec<String>>,
}

impl Services {
    /// A route's plan.
    ///
    /// # Errors
    /// When there is no such route, or it has no plan.
    pub fn plan(&self, route: &RouteKey) -> Result<PlanView, Failure> {
        self.store.read(|tx| {
            tx.route(route)?
                .ok_or_else(|| Failure::missing("route", route))?;
            let plan = tx
                .plan(route)?
                .ok_or_else(|| Failure::missing("plan", route))?;
            view(tx, route, plan, false)
        })
    }

    /// Gives a route its plan, or another text for it. The same text again changes nothing.
    ///
    /// # Errors
    /// When the text is no plan; the error names the line.
    pub fn put_plan(
        &self,
        ctx: &Ctx,
        route: &RouteKey,
        source: &str,
        reason: &Reason,
        render: Render<'_, PlanView>,
    ) -> Result<Answer, Failure> {
        let document = Document::parse(source).map_err(refused)?;
        self.change(ctx, render, |work| {
            hold(work, route)?;
            let (by, now) = (work.ctx.actor.subject.clone(), work.now);
            let before = work.tx.plan(route)?;
            let after = match &before {
                Some(before) => {
                    expect_tag(work, before)?;
                    if before.document == document {
                        return view(work.tx, route, before.clone(), false);
                    }
                    before.replaced(document, &by, now).map_err(refused)?
                }
                None => {
                    if work.ctx.if_match.is_some() {
                        // What was seen has been taken away.
                        return Err(Failure::Store(StoreError::Stale));
                    }
                    let mut plan = Plan::new(document, &by, now).map_err(refused)?;
                    plan.revision = work.tx.plan_revision(route)? + 1;
                    plan
                }
            };
            work.tx.write_plan(route, &after)?;
            if let Some(before) = &before {
                forget_what_is_gone(work.tx, route, before, &after)?;
            }
            let record = (
                before.as_ref().map_or(Value::Null, described),
                described(&after),
            );
            work.record("plan_put", Some(route), None, reason.as_str(), record);
            view(work.tx, route, after, before.is_none())
        })
    }

    /// Says whether the steps of a plan are done one after the other.
    ///
    /// # Errors
    /// When a step waits for one that comes later.
    pub fn order_plan(
        &self,
        ctx: &Ctx,
        route: &RouteKey,
        ordered: bool,
        reason: &Reason,
        render: Render<'_, PlanView>,
    ) -> Result<Answer, Failure> {
        self.change_plan(ctx, route, reason, render, |_, plan| {
            let before = json!({ "ordered": plan.is_ordered() });
            if plan.is_ordered() == ordered {
                return Ok(None);
            }
            plan.ordered = Some(ordered);
            plan.check()
                .map_err(|error| Failure::invalid("ordered", error.to_string()))?;
            Ok(Some(Changed {
                action: "plan_order",
                record: (before, json!({ "ordered": ordered })),
            }))
        })
    }

    /// Binds a section to a stage, or frees it, whatever the document says.
    ///
    /// # Errors
    /// When there is no such section.
    pub fn bind_plan_section(
        &self,
        ctx: &Ctx,
        route: &RouteKey,
        section: &str,
        gate: Option<Stage>,
        reason: &Reason,
        render: Render<'_, PlanView>,
    ) -> Result<Answer, Failure> {
        self.change_plan(ctx, route, reason, render, |work, plan| {
            let found = plan.document.sections().iter();
            let found = found.zip(plan.bound_to()).find(|(found, _)| found.id == section);
            let (found, bound) =
                found.ok_or_else(|| Failure::missing("section of the plan", section))?;
            let told = |gate: Option<Stage>| json!({ "section": found.id, "title": brief(&found.title), "gate": gate });
            let record = (told(bound), told(gate));
            if plan.gates.get(section) == Some(&gate) {
                return Ok(None);
            }
            plan.gates.insert(section.to_owned(), gate);
            work.tx.write_plan_gate(route, section, Some(gate))?;
            Ok(Some(Changed {
                action: "plan_bind",
                record,
            }))
        })
    }

    /// Ticks a step or takes the tick away, notes something, or has it wait for others.
    ///
    /// # Errors
    /// When there is no such step, or steps that come before it are not done.
    pub fn patch_plan_step(
        &self,
        ctx: &Ctx,
        route: &RouteKey,
        step: &str,
        patch: &StepPatch,
        reason: &Reason,
        render: Render<'_, PlanView>,
    ) -> Result<Answer, Failure> {
        self.change_plan(ctx, route, reason, render, |work, plan| {
            let text = plan
                .step(step)
                .map(|found| brief(&found.text))
                .ok_or_else(|| Failure::missing("step of the plan", step))?;
            let told = |plan: &Plan| {
                let found = plan.step(step);
                json!({
                    "step": step,
                    "text": text,
                    "done": found.is_some_and(|found| plan.is_done(found)),
                    "note": plan.state(step).note,
                    "after": found.map(|found| plan.after(found)),
                })
            };
            let (known, before) = (plan.state(step), told(plan));
            apply(plan, step, patch)?;
            let ticked = match patch.done {
                Some(done) => plan.tick(step, done, &work.ctx.actor.subject, work.now)?,
                None => false,
            };
            let state = plan.state(step);
            if state == known {
                return Ok(None);
            }
            work.tx.write_plan_step(route, step, &state)?;
            let action = match (ticked, patch.done) {
                (true, Some(true)) => "plan_tick",
                (true, _) => "plan_untick",
                (false, _) => "plan_step",
            };
            Ok(Some(Changed {
                action,
                record: (before, told(plan)),
            }))
        })
    }

    /// Takes a route's plan away, and what is known of its steps.
    ///
    /// # Errors
    /// When it has none.
    pub fn delete_plan(
        &self,
        ctx: &Ctx,
        route: &RouteKey,
        reason: &Reason,
        render: Render<'_, ()>,
    ) -> Result<Answer, Failure> {
        self.change(ctx, render, |work| {
            let plan = held(work, route)?;
            let (by, now) = (work.ctx.actor.subject.clone(), work.now);
            work.tx.delete_plan(route, plan.revision + 1, &by, now)?;
            let record = (described(&plan), Value::Null);
            work.record("plan_delete", Some(route), None, reason.as_str(), record);
            Ok(())
        })
    }

    /// Changes a plan that is there. What is known of single steps and sections is written by
    /// `work`; it says what to put on record, or that nothing has changed.
    fn change_plan(
        &self,
        ctx: &Ctx,
        route: &RouteKey,
        reason: &Reason,
        render: Render<'_, PlanView>,
        change: impl FnOnce(&mut Work<'_, '_>, &mut Plan) -> Result<Option<Changed>, Failure>,
    ) -> Result<Answer, Failure> {
        self.change(ctx, render, |work| {
            let mut plan = held(work, route)?;
            if let Some(changed) = change(work, &mut plan)? {
                plan.revision += 1;
                work.tx.write_plan(route, &plan)?;
                let Changed { action, record } = changed;
                work.record(action, Some(route), None, reason.as_str(), record);
            }
            view(work.tx, route, plan, false)
        })
    }
}

/// What a change did, for the record: before and after.
struct Changed {
    action: &'static str,
    record: (Value, Value),
}

/// Locks a route that must exist, everywhere, and its plan.
fn hold(work: &mut Work<'_, '_>, route: &RouteKey) -> Result<(), Failure> {
    work.route(route)?;
    lock_rollouts(work, route)?;
    Ok(work.tx.lock_plan(route)?)
}

/// The plan of a route, locked, and still what the caller has seen.
fn held(work: &mut Work<'_, '_>, route: &RouteKey) -> Result<Plan, Failure> {
    hold(work, route)?;
    let plan = work
        .tx
        .plan(route)?
        .ok_or_else(|| Failure::missing("plan", route))?;
    expect_tag(work, &plan)?;
    Ok(plan)
}

fn expect_tag(work: &mut Work<'_, '_>, plan: &Plan) -> Result<(), Failure> {
    let tag = tag(work.tx, plan)?;
    work.ctx.expect_tag(tag)
}

fn tag(tx: &mut Tx<'_>, plan: &Plan) -> Result<String, StoreError> {
    Ok(format!("\"{}.{}\"", epoch(tx)?, plan.revision))
}

fn view(tx: &mut Tx<'_>, route: &RouteKey, plan: Plan, created: bool) -> Result<PlanView, Failure> {
    Ok(PlanView {
        route: route.clone(),
        tag: tag(tx, &plan)?,
        plan,
        created,
    })
}

/// Notes, and the steps that a step waits for.
fn apply(plan: &mut Plan, step: &str, patch: &StepPatch) -> Result<(), Failure> {
    if patch.done.is_none() && patch.note.is_none() && patch.after.is_none() {
        let detail = "say what is to be different: `done`, `note` or `after`";
        return Err(Failure::invalid("done", detail));
    }
    let mut state = plan.state(step);
    if let Some(note) = &patch.note {
        let too_long =
            || Failure::invalid("note", format!("has at most {LONGEST_NOTE} characters"));
        state.note = match note.trim() {
            "" => None,
            note => Some(bounded(note, LONGEST_NOTE).ok_or_else(too_long)?),
        };
    }
    if let Some(after) = &patch.after {
        if after.len() > MAX_AFTER {
            let detail = format!("a step waits for at most {MAX_AFTER} others");
            return Err(Failure::invalid("after", detail));
        }
        state.after = Some(after.clone());
    }
    if state != StepState::default() {
        plan.states.insert(step.to_owned(), state);
    } else {
        plan.states.remove(step);
    }
    plan.check()
        .map_err(|error| Failure::invalid("after", error.to_string()))
}

/// What was known of steps and sections that are no longer there, or that the new text overrules.
fn forget_what_is_gone(
    tx: &mut Tx<'_>,
    route: &RouteKey,
    before: &Plan,
    after: &Plan,
) -> Result<(), StoreError> {
    for (step, known) in &before.states {
        let state = after.state(step);
        if state != *known {
            tx.write_plan_step(route, step, &state)?;
        }
    }
    for section in before.gates.keys() {
        if !after.gates.contains_key(section) {
            tx.write_plan_gate(route, section, None)?;
        }
    }
    Ok(())
}

fn refused(error: PlanError) -> Failure {
    let field = error
        .line
        .map_or("plan".to_owned(), |line| format!("line {line}"));
    Failure::invalid(field, error.detail)
}

/// What the record keeps of a plan.
fn described(plan: &Plan) -> Value {
    let steps = plan.document.steps();
    json!({
        "sha256": hex(&Sha256::digest(plan.document.source())),
        "steps": steps.len(),
        "done": steps.iter().filter(|step| plan.is_done(step)).count(),
        "ordered": plan.is_ordered(),
        "revision": plan.revision,
    })
}

/// The beginning of a text, for the record.
fn brief(text: &str) -> String {
    text.lines()
        .next()
        .unwrap_or_default()
        .chars()
        .take(200)
        .collect()
}
