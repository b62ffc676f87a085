//! The plan of a route, whose steps can be ticked.

use std::sync::Arc;

use actix_web::http::StatusCode;
use actix_web::web::Data;
use actix_web::{HttpRequest, HttpResponse, ResponseError as _, get, post};
use askama::Template;
use chrono::{DateTime, Utc};
use switchover::RouteKey;

use crate::domain::plan::{Code, LONGEST_NOTE, Plan, Step};
use crate::domain::text::Reason;
use crate::http::App;
use crate::http::error::Problem;
use crate::http::extract::{Operator, Viewer, in_path};
use crate::http::rollouts::read_reason;
use crate::service::{Failure, Missing, PlanView, StepPatch};
use crate::store::Receipt;
use crate::web::route::overview::Progress;
use crate::web::words::{When, stage_name};
use crate::web::{Section, Shell, Signed, Submitted, Trouble, answer, done};

#[derive(Template)]
#[template(path = "plan/plan.html")]
struct PlanPage {
    shell: Shell,
    route: String,
    /// `None` where the route has no plan.
    plan: Option<Whole>,
    /// What was wrong with the form that was sent.
    complaint: Option<Complaint>,
    /// In characters.
    longest_note: usize,
}

/// A plan as it stands.
struct Whole {
    progress: Progress,
    is_ordered: bool,
    put_by: String,
    put_at: When,
    sections: Vec<SectionView>,
}

/// A heading with its steps.
struct SectionView {
    id: String,
    title: String,
    /// The level of its heading in the page: 2 to 6.
    level: u8,
    /// The stage whose promotion waits for its steps.
    gate: Option<&'static str>,
    progress: Option<Progress>,
    code: Vec<Code>,
    steps: Vec<StepView>,
}

/// A step.
struct StepView {
    id: String,
    /// How deep it is nested, from 0; at most 5 is shown.
    depth: usize,
    text: String,
    owner: Option<String>,
    is_done: bool,
    /// Who ticked it, or took the tick away.
    by: Option<String>,
    at: Option<When>,
    note: String,
    code: Vec<Code>,
    /// What has to be done before; empty when it can be ticked.
    waits: Vec<String>,
}

/// What was wrong with a form.
struct Complaint {
    /// The step that it was about.
    step: String,
    text: String,
    /// What was typed as a note.
    note: String,
}

impl Whole {
    fn of(view: &PlanView, now: DateTime<Utc>) -> Whole {
        let plan = &view.plan;
        let document = &plan.document;
        let sections = document.sections().iter().zip(plan.bound_to()).enumerate();
        // Headings of a page leave no level out, whatever the document does.
        let mut above = 1;
        let sections = sections.map(|(place, (section, gate))| {
            let steps: Vec<&Step> = document
                .steps()
                .iter()
                .filter(|step| step.section == place)
                .collect();
            let done = steps.iter().filter(|step| plan.is_done(step)).count();
            let level = section.level.saturating_add(1).clamp(2, above + 1).min(6);
            above = level;
            SectionView {
                id: section.id.clone(),
                title: section.title.clone(),
                level,
                gate: gate.map(stage_name),
                progress: (!steps.is_empty()).then(|| Progress::of_steps(done, steps.len())),
                code: section.code.clone(),
                steps: steps.iter().map(|step| step_of(plan, step, now)).collect(),
            }
        });
        Whole {
            progress: Progress::of(plan),
            is_ordered: plan.is_ordered(),
            put_by: plan.put_by.clone(),
            put_at: When::of(plan.put_at, now),
            // Nothing before the first heading is no section.
            sections: sections
                .filter(|section| {
                    !(section.title.is_empty()
                        && section.steps.is_empty()
                        && section.code.is_empty())
                })
                .collect(),
        }
    }
}

fn step_of(plan: &Plan, step: &Step, now: DateTime<Utc>) -> StepView {
    let state = plan.state(&step.id);
    let is_done = plan.is_done(step);
    let waits = if is_done {
        Vec::new()
    } else {
        plan.missing(step)
            .iter()
            .map(|open| open.text.clone())
            .collect()
    };
    StepView {
        id: step.id.clone(),
        depth: depth(plan, step).min(5),
        text: step.text.clone(),
        owner: step.owner.clone(),
        is_done,
        by: state.tick.as_ref().map(|tick| tick.by.clone()),
        at: state.tick.as_ref().map(|tick| When::of(tick.at, now)),
        note: state.note.unwrap_or_default(),
        code: step.code.clone(),
        waits,
    }
}

fn depth(plan: &Plan, step: &Step) -> usize {
    let steps = plan.document.steps();
    let above = |step: &Step| step.parent.and_then(|parent| steps.get(parent));
    std::iter::successors(above(step), |step| above(step)).count()
}

/// The page of a plan, or of a route that has none.
async fn page(
    app: &Arc<App>,
    shell: Shell,
    key: RouteKey,
    complaint: Option<Complaint>,
) -> Result<PlanPage, Problem> {
    let (asked, now) = (key.clone(), shell.now);
    let found = app
        .blocking(move |services| match services.plan(&asked) {
            Ok(view) => Ok(Some(view)),
            Err(Failure::Missing(Missing { what: "plan", .. })) => Ok(None),
            Err(failure) => Err(failure),
        })
        .await?;
    Ok(PlanPage {
        shell,
        route: key.to_string(),
        plan: found.map(|view| Whole::of(&view, now)),
        complaint,
        longest_note: LONGEST_NOTE,
    })
}

/// The plan of a route.
#[get("/routes/{route}/plan")]
pub(super) async fn show(
    app: Data<Arc<App>>,
    signed: Signed<Viewer>,
    request: HttpRequest,
) -> Result<HttpResponse, Trouble> {
    let key: RouteKey = in_path(&request, "route", "route")?;
    let shell = Shell::of(&signed.session, Section::Board, app.services.now());
    let page = page(&app, shell, key, None).await?;
    answer(&request, StatusCode::OK, &page)
}

/// Ticks a step, or takes the tick away, and notes something.
#[post("/routes/{route}/plan/steps/{step}")]
pub(super) async fn change_step(
    app: Data<Arc<App>>,
    form: Submitted<Operator>,
    request: HttpRequest,
) -> Result<HttpResponse, Trouble> {
    let key: RouteKey = in_path(&request, "route", "route")?;
    let step: String = in_path(&request, "step", "step")?;
    let (fields, ctx, changed) = (form.fields, form.ctx, (key.clone(), step.clone()));
    let is_done = match fields.get("done") {
        "1" => Some(true),
        "0" => Some(false),
        _ => None,
    };
    let note = fields.all("note").next().map(str::to_owned);
    let patch = StepPatch {
        done: is_done,
        note: note.clone(),
        after: None,
    };
    let note = note.unwrap_or_default();
    let reason = match (is_done, note.is_empty()) {
        (_, false) => note.chars().take(Reason::LONGEST).collect(),
        (Some(true), true) => "done".to_owned(),
        (Some(false), true) => "not done".to_owned(),
        (None, true) => "the note is taken away".to_owned(),
    };
    // A reason is one line; a note may have several.
    let reason = reason.replace('\n', " ");
    let made = app
        .blocking(move |services| {
            let (key, step) = changed;
            let reason = read_reason(&reason)?;
            services.patch_plan_step(&ctx, &key, &step, &patch, &reason, &made)
        })
        .await;
    let problem = match made {
        Ok(_) => {
            let told = match is_done {
                Some(true) => "The step is done.",
                Some(false) => "The step is open again.",
                None => "The note is kept.",
            };
            let to = format!("/routes/{key}/plan#step-{step}");
            return Ok(done(&request, &to, told));
        }
        Err(problem) => problem,
    };
    let status = problem.status_code();
    let complaint = Complaint {
        text: complained(&problem),
        note,
        step,
    };
    let shell = Shell::of(&form.session, Section::Board, app.services.now());
    let page = page(&app, shell, key, Some(complaint)).await?;
    answer(&request, status, &page)
}

/// All that was wrong.
fn complained(problem: &Problem) -> String {
    let complaints = problem.complaints();
    let details = complaints.iter().map(|complaint| complaint.detail.as_str());
    let details: Vec<&str> = details.collect();
    match details.is_empty() {
        true => problem.detail().to_owned(),
        false => details.join("; "),
    }
}

/// Nothing is shown of it: the page is loaded anew.
fn made(_: &PlanView) -> Receipt {
    Receipt {
        status: StatusCode::OK.as_u16(),
        etag: None,
        body: String::new(),
    }
}
