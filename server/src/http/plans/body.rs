//! A plan as it stands, in JSON.

use chrono::{DateTime, Utc};
use serde::Serialize;
use switchover::Stage;
use utoipa::ToSchema;

use crate::domain::plan::{Code, Plan, Step};
use crate::service::PlanView;

/// A plan as it stands.
#[derive(Serialize, ToSchema)]
#[schema(as = Plan)]
pub(super) struct PlanBody {
    #[schema(example = "count_commits")]
    route: String,
    /// Whether a step can be ticked only when those before it are done.
    ordered: bool,
    /// How many steps there are, parts of steps included.
    #[schema(example = 12)]
    total: usize,
    /// How many of them are done.
    #[schema(example = 3)]
    done: usize,
    sections: Vec<SectionBody>,
    /// Who gave the text.
    put_by: String,
    put_at: DateTime<Utc>,
    revision: u64,
}

/// A heading with the steps below it. The first may be what comes before any heading.
#[derive(Serialize, ToSchema)]
#[schema(as = PlanSection)]
struct SectionBody {
    /// Stays the same while its title and those above it do.
    #[schema(example = "8be2f0a91c")]
    id: String,
    #[schema(example = "Before opt-in")]
    title: String,
    /// 1 to 6; 0 before the first heading.
    level: u8,
    /// The stage whose promotion waits for its steps: its own, or that of the section around it.
    gate: Option<Stage>,
    total: usize,
    done: usize,
    /// Code that no step comes before.
    code: Vec<CodeBody>,
    steps: Vec<StepBody>,
}

/// A step, with the steps that are parts of it.
#[derive(Serialize, ToSchema)]
#[schema(as = PlanStep)]
struct StepBody {
    /// Stays the same while its text and what is around it do.
    #[schema(example = "0c1f22d9ab")]
    id: String,
    #[schema(example = "Back up the database")]
    text: String,
    #[schema(example = "DevOps")]
    owner: Option<String>,
    done: bool,
    /// Who ticked it; null where the text itself says that it is done.
    done_by: Option<String>,
    done_at: Option<DateTime<Utc>>,
    note: Option<String>,
    /// The steps that have to be done before, by their ids.
    after: Vec<String>,
    code: Vec<CodeBody>,
    #[schema(no_recursion)]
    steps: Vec<StepBody>,
}

/// Fenced code.
#[derive(Serialize, ToSchema)]
#[schema(as = PlanCode)]
struct CodeBody {
    #[schema(example = "sh")]
    language: String,
    text: String,
}

impl PlanBody {
    pub(super) fn of(view: &PlanView) -> PlanBody {
        let plan = &view.plan;
        // How many steps each section has, and how many of them are done.
        let mut counts = vec![(0, 0); plan.document.sections().len()];
        for step in plan.document.steps() {
            if let Some((total, done)) = counts.get_mut(step.section) {
                *total += 1;
                *done += usize::from(plan.is_done(step));
            }
        }
        let sections = plan.document.sections().iter().zip(plan.bound_to());
        let sections = sections.zip(counts.iter().zip(by_section(plan))).map(
            |((section, gate), ((total, done), steps))| SectionBody {
                id: section.id.clone(),
                title: section.title.clone(),
                level: section.level,
                gate,
                total: *total,
                done: *done,
                code: section.code.iter().map(CodeBody::of).collect(),
                steps,
            },
        );
        PlanBody {
            route: view.route.to_string(),
            ordered: plan.is_ordered(),
            total: plan.document.steps().len(),
            done: counts.iter().map(|(_, done)| done).sum(),
            // Nothing before the first heading is no section.
            sections: sections
                .filter(|section| {
                    section.level > 0
                        || section.gate.is_some()
                        || !section.steps.is_empty()
                        || !section.code.is_empty()
                })
                .collect(),
            put_by: plan.put_by.clone(),
            put_at: plan.put_at,
            revision: plan.revision,
        }
    }
}

/// The steps of each section. From the last to the first, so that the parts of a step are known when
/// it is its turn.
fn by_section(plan: &Plan) -> Vec<Vec<StepBody>> {
    let steps = plan.document.steps();
    let mut sections: Vec<Vec<StepBody>> = Vec::new();
    sections.resize_with(plan.document.sections().len(), Vec::new);
    let mut parts: Vec<Vec<StepBody>> = Vec::new();
    parts.resize_with(steps.len(), Vec::new);
    for (place, step) in steps.iter().enumerate().rev() {
        let mut own = parts.get_mut(place).map(std::mem::take).unwrap_or_default();
        own.reverse();
        let body = StepBody::of(plan, step, own);
        let siblings = match step.parent {
            Some(parent) => parts.get_mut(parent),
            None => sections.get_mut(step.section),
        };
        if let Some(siblings) = siblings {
            siblings.push(body);
        }
    }
    for section in &mut sections {
        section.reverse();
    }
    sections
}

impl StepBody {
    fn of(plan: &Plan, step: &Step, parts: Vec<StepBody>) -> StepBody {
        let state = plan.state(&step.id);
        let tick = state.tick.filter(|tick| tick.done);
        StepBody {
            id: step.id.clone(),
            text: step.text.clone(),
            owner: step.owner.clone(),
            done: plan.is_done(step),
            done_at: tick.as_ref().map(|tick| tick.at),
            done_by: tick.map(|tick| tick.by),
            note: state.note,
            after: plan.after(step).to_vec(),
            code: step.code.iter().map(CodeBody::of).collect(),
            steps: parts,
        }
    }
}

impl CodeBody {
    fn of(code: &Code) -> CodeBody {
        CodeBody {
            language: code.language.clone(),
            text: code.text.clone(),
        }
    }
}
