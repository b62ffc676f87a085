//! Plans: a Markdown checklist attached to a route.
//!
//! The text is kept as it was written. What is ticked, noted, bound and ordered in Switchover is kept
//! beside it by the identities of steps and sections, and shows in the text when it is given out.

mod directive;
mod document;
mod identity;
mod marks;
mod order;
mod reader;

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::json;
use sha2::{Digest as _, Sha256};
use switchover::Stage;

use crate::domain::approval::hex;
use crate::domain::refusal::Refusal;

pub use directive::{MAX_AFTER, gate};
pub use document::{
    Code, DEEPEST_STEP, Document, LONGEST_PLAN, MAX_SECTIONS, MAX_STEPS, PlanError, Section, Step,
};

/// The longest note, in characters.
pub const LONGEST_NOTE: usize = 2_000;

/// A plan with its present state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// The text.
    pub document: Document,
    /// Whether steps are done one after the other; `None` where the document decides.
    pub ordered: Option<bool>,
    /// By section, the stage that it is bound to whatever the document says; `None` unbinds it.
    pub gates: BTreeMap<String, Option<Stage>>,
    /// By step, what is known beyond the document.
    pub states: BTreeMap<String, StepState>,
    /// How often it has changed.
    pub revision: u64,
    /// Who gave the text.
    pub put_by: String,
    /// When.
    pub put_at: DateTime<Utc>,
}

/// What is known of a step beyond the document.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct StepState {
    /// The last time that somebody ticked it, or took the tick away.
    pub tick: Option<Tick>,
    /// What they noted.
    pub note: Option<String>,
    /// The steps that it waits for, whatever the document says.
    pub after: Option<Vec<String>>,
}

/// A tick, or one taken away.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Tick {
    /// Which of the two.
    pub done: bool,
    /// Who.
    pub by: String,
    /// When.
    pub at: DateTime<Utc>,
}

/// A step that is not done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct OpenStep {
    /// Its identity.
    pub id: String,
    /// What is to be done.
    pub text: String,
    /// By whom, where the document says.
    pub owner: Option<String>,
}

/// How the sections that are bound to a stage stand.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct PlanStanding {
    /// Whether a section is bound to the stage.
    pub bound: bool,
    /// How many steps these sections have, parts of steps included.
    pub total: usize,
    /// Those that are not done, in order.
    pub open: Vec<OpenStep>,
}

impl Plan {
    /// A plan as somebody just wrote it.
    ///
    /// # Errors
    /// When its steps wait for one another in a circle, or for what is no step.
    pub fn new(document: Document, by: &str, at: DateTime<Utc>) -> Result<Plan, PlanError> {
        let plan = Plan {
            document,
            ordered: None,
            gates: BTreeMap::new(),
            states: BTreeMap::new(),
            revision: 1,
            put_by: by.to_owned(),
            put_at: at,
        };
        plan.check()?;
        Ok(plan)
    }

    /// The plan with another text. Steps and sections that are still there keep what is known of
    /// them; where the document itself marks a step otherwise than it did, the document is right.
    ///
    /// # Errors
    /// As [`Plan::new`].
    pub fn replaced(
        &self,
        document: Document,
        by: &str,
        at: DateTime<Utc>,
    ) -> Result<Plan, PlanError> {
        let marked: BTreeMap<&str, bool> = self
            .document
            .steps()
            .iter()
            .map(|step| (step.id.as_str(), step.done))
            .collect();
        let ids: BTreeSet<&str> = document
            .steps()
            .iter()
            .map(|step| step.id.as_str())
            .collect();
        let mut states = BTreeMap::new();
        for step in document.steps() {
            let Some(mut state) = self.states.get(&step.id).cloned() else {
                continue;
            };
            let was_marked = marked.get(step.id.as_str()).copied();
            state
                .tick
                .take_if(|tick| step.done != tick.done && was_marked != Some(step.done));
            if let Some(after) = &mut state.after {
                after.retain(|id| ids.contains(id.as_str()));
            }
            if state != StepState::default() {
                states.insert(step.id.clone(), state);
            }
        }
        let mut gates = self.gates.clone();
        gates.retain(|id, _| document.sections().iter().any(|section| section.id == *id));
        let plan = Plan {
            document,
            ordered: self.ordered,
            gates,
            states,
            revision: self.revision + 1,
            put_by: by.to_owned(),
            put_at: at,
        };
        plan.check()?;
        Ok(plan)
    }

    /// The step with this identity.
    #[must_use]
    pub fn step(&self, id: &str) -> Option<&Step> {
        self.document.steps().iter().find(|step| step.id == id)
    }

    /// What is known of a step beyond the document.
    #[must_use]
    pub fn state(&self, id: &str) -> StepState {
        self.states.get(id).cloned().unwrap_or_default()
    }

    /// Whether a step is done.
    #[must_use]
    pub fn is_done(&self, step: &Step) -> bool {
        let state = self.states.get(&step.id);
        let tick = state.and_then(|state| state.tick.as_ref());
        tick.map_or(step.done, |tick| tick.done)
    }

    /// The steps that a step waits for by name.
    #[must_use]
    pub fn after<'a>(&'a self, step: &'a Step) -> &'a [String] {
        let state = self.states.get(&step.id);
        let after = state.and_then(|state| state.after.as_ref());
        after.unwrap_or(&step.after)
    }

    /// Whether steps are done one after the other.
    #[must_use]
    pub fn is_ordered(&self) -> bool {
        self.ordered.unwrap_or_else(|| self.document.ordered())
    }

    /// The stage that each section is bound to, by itself or by the one that it is a part of.
    #[must_use]
    pub fn bound_to(&self) -> Vec<Option<Stage>> {
        let mut bound: Vec<Option<Stage>> = Vec::new();
        for section in self.document.sections() {
            let own = match self.gates.get(&section.id) {
                Some(gate) => Some(*gate),
                None => section.gate.map(Some),
            };
            let above = section.parent.and_then(|parent| *bound.get(parent)?);
            bound.push(own.unwrap_or(above));
        }
        bound
    }

    /// How the sections that are bound to this stage stand.
    #[must_use]
    pub fn standing(&self, stage: Stage) -> PlanStanding {
        let bound = self.bound_to();
        let here = |section: usize| bound.get(section).copied().flatten() == Some(stage);
        let steps = self.document.steps().iter();
        let steps: Vec<&Step> = steps.filter(|step| here(step.section)).collect();
        PlanStanding {
            bound: bound.contains(&Some(stage)),
            total: steps.len(),
            open: steps
                .iter()
                .filter(|step| !self.is_done(step))
                .map(|step| OpenStep::of(step))
                .collect(),
        }
    }

    /// SHA-256, in hexadecimal, over what an approval covers: the text, what is bound, the order and
    /// what is done.
    #[must_use]
    pub fn digest(&self) -> String {
        let done = self.document.steps().iter();
        let done = done.filter(|step| self.is_done(step)).map(|step| &step.id);
        let after = self.document.steps().iter().map(|step| self.after(step));
        let covered = json!({
            "source": self.document.source(),
            "gates": self.bound_to(),
            "ordered": self.is_ordered(),
            "after": after.collect::<Vec<_>>(),
            "done": done.collect::<Vec<_>>(),
        });
        hex(&Sha256::digest(covered.to_string()))
    }

    /// The text with every step marked as it stands. Where nobody ticked anything, it is byte for
    /// byte what was given.
    #[must_use]
    pub fn render(&self) -> String {
        marks::render(&self.document, |step| self.is_done(step))
    }

    /// Ticks a step, or takes its tick away; whether anything changed.
    ///
    /// # Errors
    /// [`Refusal::OutOfOrder`] when steps that come before it are not done.
    pub fn tick(
        &mut self,
        id: &str,
        done: bool,
        by: &str,
        at: DateTime<Utc>,
    ) -> Result<bool, Refusal> {
        let Some(step) = self.step(id) else {
            return Ok(false);
        };
        if self.is_done(step) == done {
            return Ok(false);
        }
        if done {
            let missing = self.missing(step);
            if !missing.is_empty() {
                return Err(Refusal::OutOfOrder {
                    step: id.to_owned(),
                    missing,
                });
            }
        }
        let by = by.to_owned();
        self.states.entry(id.to_owned()).or_default().tick = Some(Tick { done, by, at });
        Ok(true)
    }
}

impl OpenStep {
    /// Its identity and the beginning of its text.
    #[must_use]
    pub fn brief(&self) -> String {
        let line = self.text.lines().next().unwrap_or_default();
        let mut text: String = line.chars().take(60).collect();
        if text.len() < line.len() {
            text.push('…');
        }
        format!("`{}` {text}", self.id)
    }

    fn of(step: &Step) -> OpenStep {
        OpenStep {
            id: step.id.clone(),
            text: step.text.clone(),
            owner: step.owner.clone(),
        }
    }
}

#[cfg(test)]
mod tests;
