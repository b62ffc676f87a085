//! A form as a page: what is now, what is asked, what it would do, what is in the way.

use actix_web::http::StatusCode;
use askama::Template;

use crate::domain::gate::{GateReport, GateState};
use crate::http::error::Problem;
use crate::service::{Failure, Services};
use crate::web::Shell;
use crate::web::actions::control::{Control, Shown, concerns};
use crate::web::actions::form::Form;
use crate::web::actions::preview::Preview;
use crate::web::actions::remedies::remedy_form;
use crate::web::actions::scene::Scene;
use crate::web::fields::Fields;

/// One gate, and where something can be done about it.
pub(super) struct Gate {
    pub(super) name: String,
    pub(super) state: String,
    pub(super) detail: String,
    pub(super) remedy: String,
    pub(super) form: Option<(&'static str, String)>,
}

impl Gate {
    fn class(&self) -> &'static str {
        match self.state.as_str() {
            "pass" => "is-good",
            "fail" => "is-bad",
            _ => "is-wait",
        }
    }
}

/// What is wrong.
struct Wrong {
    title: &'static str,
    detail: String,
    /// The complaints that are about no field of the form.
    others: Vec<String>,
}

/// The name that has to be typed.
struct Typed {
    name: String,
    complaint: Option<String>,
}

/// A form, and all that is shown with it.
pub(super) struct View {
    title: &'static str,
    means: &'static str,
    about: String,
    back: String,
    address: String,
    facts: Vec<(&'static str, String)>,
    controls: Vec<Shown>,
    gates: Vec<Gate>,
    preview: Option<Preview>,
    wrong: Option<Wrong>,
    /// What to know before it is sent again.
    caution: Option<String>,
    typed: Option<Typed>,
    /// Stands for what was filled in when it was tried out.
    seen: String,
    tag: String,
    is_danger: bool,
    /// Whether it is tried out before it is done.
    is_tried: bool,
}

/// What is shown with a form, besides its fields.
#[derive(Default)]
pub(super) struct Besides {
    pub(super) preview: Option<Preview>,
    pub(super) problem: Option<Problem>,
    pub(super) caution: Option<String>,
    pub(super) seen: String,
    /// Whether the name has to be typed, and was typed wrongly.
    pub(super) typed: Option<bool>,
}

impl View {
    pub(super) fn of<F: Form>(
        (scene, services): (&F::On, &Services),
        (controls, fields): (Vec<Control>, &Fields),
        besides: Besides,
    ) -> Result<View, Failure> {
        let complaints = besides.problem.as_ref().map(Problem::complaints);
        let complaints = complaints.unwrap_or_default();
        let names: Vec<&str> = controls.iter().map(|control| control.name).collect();
        let others = complaints.iter().filter(|complaint| {
            let mut names = names.iter();
            !names.any(|name| concerns(&complaint.field, name))
        });
        let others = others
            .map(|it| format!("{}: {}", it.field, it.detail))
            .collect();
        let gates = gates::<F>(scene, services, besides.problem.as_ref())?;
        let tag = match &besides.preview {
            Some(preview) => preview.tag.clone(),
            None if F::IS_TAGGED => scene.tag().to_owned(),
            None => String::new(),
        };
        Ok(View {
            title: F::TITLE,
            means: F::MEANS,
            about: scene.title(),
            back: scene.address(),
            address: format!("{}/{}", scene.address(), F::SLUG),
            facts: scene.facts(),
            controls: controls
                .into_iter()
                .map(|control| control.shown(fields, &complaints))
                .collect(),
            gates,
            preview: besides.preview,
            wrong: besides.problem.map(|problem| Wrong {
                title: problem.title(),
                detail: problem.detail().to_owned(),
                others,
            }),
            caution: besides.caution,
            typed: besides.typed.map(|is_wrong| Typed {
                name: scene.route().to_string(),
                complaint: is_wrong.then(|| format!("type {} to go on", scene.route())),
            }),
            seen: besides.seen,
            tag,
            is_danger: F::IS_DANGER,
            is_tried: F::IS_TRIED,
        })
    }
}

/// What the refusal names, or else all that the form has to pass.
fn gates<F: Form>(
    scene: &F::On,
    services: &Services,
    problem: Option<&Problem>,
) -> Result<Vec<Gate>, Failure> {
    let refused = problem.map(Problem::gates).unwrap_or_default();
    let target = scene.target();
    let form = |gate: &str, remedy: &str| remedy_form(gate, remedy, target?);
    if !refused.is_empty() {
        let lines = refused.into_iter().map(|line| Gate {
            form: form(&line.gate, &line.remedy),
            name: line.gate,
            state: line.state,
            detail: line.detail,
            remedy: line.remedy,
        });
        return Ok(lines.collect());
    }
    let reports = F::gates(scene, services)?;
    let lines = reports.into_iter().map(|report: GateReport| Gate {
        form: match report.state {
            GateState::Pass => None,
            GateState::Fail | GateState::Insufficient => form(report.gate, &report.remedy),
        },
        name: report.gate.to_owned(),
        state: match report.state {
            GateState::Pass => "pass",
            GateState::Fail => "fail",
            GateState::Insufficient => "insufficient",
        }
        .to_owned(),
        detail: report.detail,
        remedy: report.remedy,
    });
    Ok(lines.collect())
}

/// A form as a page.
#[derive(Template)]
#[template(path = "actions/form.html")]
pub(super) struct FormPage {
    pub(super) shell: Shell,
    pub(super) view: View,
}

/// A page again, and how that is answered.
pub(super) struct Again {
    pub(super) status: StatusCode,
    pub(super) view: View,
}
