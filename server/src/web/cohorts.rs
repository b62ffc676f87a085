//! Cohorts with a name, and what the keys of ramp groups are.

use std::sync::Arc;

use actix_web::http::StatusCode;
use actix_web::web::Data;
use actix_web::{HttpRequest, HttpResponse, get, post};
use askama::Template;

use crate::domain::cohort::{Name, RampGroup};
use crate::http::App;
use crate::http::cohorts::{CohortPatchBody, NewCohortBody};
use crate::http::error::Problem;
use crate::http::extract::{Operator, Viewer, in_path};
use crate::http::respond::empty_receipt;
use crate::http::rollouts::read_reason;
use crate::service::{CohortView, Failure, Services, cohort_tag};
use crate::web::fields::Fields;
use crate::web::form::{Form, Input};
use crate::web::session::Session;
use crate::web::{Section, Shell, Signed, Submitted, Trouble, answer, done};

const LIST: &str = "/cohorts";
/// Keys, and rollouts, that a page lists.
const MOST_LISTED: usize = 200;

#[derive(Template)]
#[template(path = "cohorts.html")]
struct CohortsPage {
    shell: Shell,
    cohorts: Vec<CohortView>,
    groups: Vec<(RampGroup, Vec<String>)>,
}

#[derive(Template)]
#[template(path = "cohort.html")]
struct CohortPage {
    shell: Shell,
    view: CohortView,
    /// The first of its keys.
    keys: Vec<String>,
}

#[get("/cohorts")]
pub(crate) async fn list(
    app: Data<Arc<App>>,
    signed: Signed<Viewer>,
    request: HttpRequest,
) -> Result<HttpResponse, Trouble> {
    let (cohorts, groups) = app
        .blocking(|services| Ok((services.cohorts()?, services.ramp_groups()?)))
        .await?;
    let page = CohortsPage {
        shell: shell(&app, &signed.session),
        cohorts,
        groups,
    };
    answer(&request, StatusCode::OK, &page)
}

#[get("/cohorts/{cohort}")]
pub(crate) async fn show(
    app: Data<Arc<App>>,
    signed: Signed<Viewer>,
    request: HttpRequest,
) -> Result<HttpResponse, Trouble> {
    let view = found(&app, &request).await?;
    let keys = view.cohort.keys.iter().take(MOST_LISTED);
    let page = CohortPage {
        shell: shell(&app, &signed.session),
        keys: keys.map(ToString::to_string).collect(),
        view,
    };
    answer(&request, StatusCode::OK, &page)
}

#[get("/new/cohort")]
pub(crate) async fn ask(
    app: Data<Arc<App>>,
    signed: Signed<Operator>,
    request: HttpRequest,
) -> Result<HttpResponse, Trouble> {
    new_form().show(&request, shell(&app, &signed.session), &Fields::default())
}

#[post("/new/cohort")]
pub(crate) async fn create(
    app: Data<Arc<App>>,
    sent: Submitted<Operator>,
    request: HttpRequest,
) -> Result<HttpResponse, Trouble> {
    let asked = NewCohortBody {
        name: sent.fields.get("name").to_owned(),
        keys: sent.fields.keys("keys"),
        description: sent.fields.get("description").to_owned(),
        reason: sent.fields.get("reason").to_owned(),
    };
    let ctx = sent.ctx;
    let to = format!("{LIST}/{}", asked.name);
    let made = app
        .blocking(move |services| {
            let (new, reason) = asked.read()?;
            services.create_cohort(&ctx, &new, &reason, &|_| empty_receipt())
        })
        .await;
    match made {
        Ok(_) => Ok(done(
            &request,
            &to,
            "The cohort is there. It treats nobody apart until a rollout uses it.",
        )),
        Err(problem) => {
            new_form().refuse(&request, shell(&app, &sent.session), &sent.fields, problem)
        }
    }
}

#[get("/cohorts/{cohort}/change")]
pub(crate) async fn ask_to_change(
    app: Data<Arc<App>>,
    signed: Signed<Operator>,
    request: HttpRequest,
) -> Result<HttpResponse, Trouble> {
    let (view, guarded) = found_and_guarded(&app, &request).await?;
    let keys: Vec<&str> = view.cohort.keys.iter().map(AsRef::as_ref).collect();
    let first = Fields::default()
        .with("keys", keys.join("\n"))
        .with("description", view.cohort.description.clone());
    change_form(&view, guarded).show(&request, shell(&app, &signed.session), &first)
}

#[post("/cohorts/{cohort}/change")]
pub(crate) async fn change(
    app: Data<Arc<App>>,
    sent: Submitted<Operator>,
    request: HttpRequest,
) -> Result<HttpResponse, Trouble> {
    let name: Name = in_path(&request, "cohort", "cohort")?;
    let asked = CohortPatchBody {
        keys: sent.fields.keys("keys"),
        description: Some(sent.fields.get("description").to_owned()),
        reason: sent.fields.get("reason").to_owned(),
    };
    let ctx = sent.ctx;
    let to = format!("{LIST}/{name}");
    let typed = sent.fields.get("confirm") == name.as_str();
    let changed = app
        .blocking(move |services| {
            let (patch, reason) = asked.read()?;
            if !typed && is_guarded(services, &services.cohort(&name)?)? {
                let detail =
                    "type the cohort's name: users outside the team feel its change at once";
                return Err(Failure::invalid("confirm", detail));
            }
            services.put_cohort(&ctx, &name, &patch, &reason, &|_| empty_receipt())
        })
        .await;
    match changed {
        Ok(_) => Ok(done(
            &request,
            &to,
            "The cohort is changed, and with it every rollout that uses it.",
        )),
        Err(problem) => {
            let (view, guarded) = found_and_guarded(&app, &request).await?;
            let form = change_form(&view, guarded);
            form.refuse(&request, shell(&app, &sent.session), &sent.fields, problem)
        }
    }
}

#[get("/cohorts/{cohort}/delete")]
pub(crate) async fn ask_to_delete(
    app: Data<Arc<App>>,
    signed: Signed<Operator>,
    request: HttpRequest,
) -> Result<HttpResponse, Trouble> {
    let form = delete_form(&found(&app, &request).await?);
    form.show(&request, shell(&app, &signed.session), &Fields::default())
}

#[post("/cohorts/{cohort}/delete")]
pub(crate) async fn delete(
    app: Data<Arc<App>>,
    sent: Submitted<Operator>,
    request: HttpRequest,
) -> Result<HttpResponse, Trouble> {
    let name: Name = in_path(&request, "cohort", "cohort")?;
    let (reason, ctx) = (sent.fields.get("reason").to_owned(), sent.ctx);
    let deleted = app
        .blocking(move |services| {
            services.delete_cohort(&ctx, &name, &read_reason(&reason)?, &|()| empty_receipt())
        })
        .await;
    match deleted {
        Ok(_) => Ok(done(&request, LIST, "The cohort is deleted.")),
        Err(problem) => {
            let form = delete_form(&found(&app, &request).await?);
            form.refuse(&request, shell(&app, &sent.session), &sent.fields, problem)
        }
    }
}

fn shell(app: &App, session: &Session) -> Shell {
    Shell::of(session, Section::Cohorts, app.services.now())
}

async fn found(app: &Arc<App>, request: &HttpRequest) -> Result<CohortView, Problem> {
    let name: Name = in_path(request, "cohort", "cohort")?;
    app.blocking(move |services| services.cohort(&name)).await
}

async fn found_and_guarded(
    app: &Arc<App>,
    request: &HttpRequest,
) -> Result<(CohortView, bool), Problem> {
    let name: Name = in_path(request, "cohort", "cohort")?;
    app.blocking(move |services| {
        let view = services.cohort(&name)?;
        let guarded = is_guarded(services, &view)?;
        Ok((view, guarded))
    })
    .await
}

/// Whether it is used where people who are not in the team feel a change.
fn is_guarded(services: &Services, view: &CohortView) -> Result<bool, Failure> {
    let environments = services.environments()?;
    let mut guarded = environments
        .iter()
        .filter(|(environment, _)| environment.is_guarded());
    Ok(guarded.any(|(environment, _)| {
        let mut users = view.used_by.iter();
        users.any(|user| user.environment == environment.key)
    }))
}

fn keys() -> Input {
    Input::lines("keys", "Keys", 10)
        .hint("One a line; at most 1,000, of 1 to 256 bytes each, and 64 KiB in all.")
        .optional()
}

fn description() -> Input {
    Input::line("description", "Description").optional()
}

fn new_form() -> Form {
    Form::new("Make a cohort", "/new/cohort", LIST, "Make it")
        .says("Keys that rollouts treat apart by one name: included on the new path, or excluded.")
        .asks(
            Input::line("name", "Name")
                .hint("A lower-case letter, then up to 62 lower-case letters, digits or underscores. It stays."),
        )
        .asks(keys())
        .asks(description())
        .asks(Input::reason())
}

fn change_form(view: &CohortView, is_guarded: bool) -> Form {
    let name = &view.cohort.name;
    let used = match view.used_by.len() {
        0 => "No rollout uses it now.".to_owned(),
        1 => "One rollout uses it, and is published anew.".to_owned(),
        many => format!("{many} rollouts use it, and are published anew."),
    };
    let form = Form::new(
        format!("Change {name}"),
        format!("{LIST}/{name}/change"),
        format!("{LIST}/{name}"),
        "Change it",
    )
    .says(format!(
        "{used} Each is judged as if its own keys were changed: when one may not change, nothing does."
    ))
    .of(cohort_tag(&view.cohort))
    .asks(keys().hint("They replace those that it has. One a line; at most 1,000."))
    .asks(description())
    .asks(Input::reason());
    if is_guarded {
        form.asks(Input::line("confirm", "Type the cohort's name to go on").hint(
            "It is used in production or on premises, where keys that join or leave it take another path at once.",
        ))
    } else {
        form
    }
}

fn delete_form(view: &CohortView) -> Form {
    let name = &view.cohort.name;
    Form::new(
        format!("Delete {name}"),
        format!("{LIST}/{name}/delete"),
        format!("{LIST}/{name}"),
        "Delete it",
    )
    .says("Only a cohort that no rollout uses can be deleted. What it was stays on record.")
    .fact("Keys", view.cohort.keys.len().to_string())
    .fact("Used by", view.used_by.len().to_string())
    .of(cohort_tag(&view.cohort))
    .danger()
    .asks(Input::reason())
}
