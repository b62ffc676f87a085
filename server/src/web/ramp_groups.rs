//! What the keys of ramp groups are: stated, and taken back. They are listed with the cohorts.

use std::sync::Arc;

use actix_web::web::Data;
use actix_web::{HttpRequest, HttpResponse, get, post};
use serde::Deserialize;

use crate::domain::cohort::Name;
use crate::http::App;
use crate::http::extract::{Operator, Query, in_path};
use crate::http::ramp_groups::RampGroupRequest;
use crate::http::respond::empty_receipt;
use crate::http::rollouts::read_reason;
use crate::web::fields::Fields;
use crate::web::form::{Form, Input};
use crate::web::session::Session;
use crate::web::{Section, Shell, Signed, Submitted, Trouble, done};

const LIST: &str = "/cohorts";

/// Which group the form is to begin with.
#[derive(Deserialize)]
pub(crate) struct Asked {
    #[serde(default)]
    group: String,
}

#[get("/new/ramp-group")]
pub(crate) async fn ask(
    app: Data<Arc<App>>,
    signed: Signed<Operator>,
    query: Query<Asked>,
    request: HttpRequest,
) -> Result<HttpResponse, Trouble> {
    let named = query.0.group;
    let group = named.clone();
    let known = app
        .blocking(move |services| {
            let mut groups = services.ramp_groups()?.into_iter();
            Ok(groups.find(|(known, _)| known.name.as_str() == group))
        })
        .await?;
    let first = Fields::default().with("group", named);
    let first = match known {
        Some((known, _)) => first
            .with("keys", known.keys)
            .with("description", known.description),
        None => first,
    };
    form().show(&request, shell(&app, &signed.session), &first)
}

#[post("/new/ramp-group")]
pub(crate) async fn put(
    app: Data<Arc<App>>,
    sent: Submitted<Operator>,
    request: HttpRequest,
) -> Result<HttpResponse, Trouble> {
    let name = sent.fields.get("group").to_owned();
    let asked = RampGroupRequest {
        keys: sent.fields.get("keys").to_owned(),
        description: sent.fields.get("description").to_owned(),
        reason: sent.fields.get("reason").to_owned(),
    };
    let ctx = sent.ctx;
    let put = app
        .blocking(move |services| {
            let (group, reason) = asked.read(&name)?;
            services.put_ramp_group(&ctx, &group, &reason, &|_| empty_receipt())
        })
        .await;
    match put {
        Ok(_) => Ok(done(
            &request,
            LIST,
            "It is stated what the group's keys are.",
        )),
        Err(problem) => form().refuse(&request, shell(&app, &sent.session), &sent.fields, problem),
    }
}

#[get("/ramp-groups/{group}/delete")]
pub(crate) async fn ask_to_delete(
    app: Data<Arc<App>>,
    signed: Signed<Operator>,
    request: HttpRequest,
) -> Result<HttpResponse, Trouble> {
    let name: Name = in_path(&request, "group", "ramp group")?;
    delete_form(&name).show(&request, shell(&app, &signed.session), &Fields::default())
}

#[post("/ramp-groups/{group}/delete")]
pub(crate) async fn delete(
    app: Data<Arc<App>>,
    sent: Submitted<Operator>,
    request: HttpRequest,
) -> Result<HttpResponse, Trouble> {
    let name: Name = in_path(&request, "group", "ramp group")?;
    let (group, ctx) = (name.clone(), sent.ctx);
    let reason = sent.fields.get("reason").to_owned();
    let deleted = app
        .blocking(move |services| {
            services.delete_ramp_group(&ctx, &group, &read_reason(&reason)?, &|()| empty_receipt())
        })
        .await;
    match deleted {
        Ok(_) => Ok(done(&request, LIST, "The statement is deleted.")),
        Err(problem) => {
            let form = delete_form(&name);
            form.refuse(&request, shell(&app, &sent.session), &sent.fields, problem)
        }
    }
}

fn shell(app: &App, session: &Session) -> Shell {
    Shell::of(session, Section::Cohorts, app.services.now())
}

fn form() -> Form {
    Form::new(
        "State what a ramp group's keys are",
        "/new/ramp-group",
        LIST,
        "State it",
    )
    .says(
        "Routes of one ramp group move the same keys together, so all their callers have to pass \
         the same kind of key. Explain says so where one is missing.",
    )
    .asks(Input::line("group", "Ramp group"))
    .asks(Input::line("keys", "Keys").hint("What they are, such as project."))
    .asks(Input::line("description", "Description").optional())
    .asks(Input::reason())
}

fn delete_form(name: &Name) -> Form {
    Form::new(
        format!("Delete what {name} states"),
        format!("/ramp-groups/{name}/delete"),
        LIST,
        "Delete it",
    )
    .says("Only while no route is in the group.")
    .danger()
    .asks(Input::reason())
}
