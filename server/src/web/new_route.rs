//! A route to be.

use std::sync::Arc;

use actix_web::http::StatusCode;
use actix_web::web::Data;
use actix_web::{HttpRequest, HttpResponse, get, post};

use crate::domain::preparation::Preparation;
use crate::domain::route::{Links, Operation, RawRoute};
use crate::http::App;
use crate::http::extract::Operator;
use crate::service::{Failure, NewRoute};
use crate::store::Receipt;
use crate::web::board::policy_names;
use crate::web::fields::Fields;
use crate::web::form::{Form, Input};
use crate::web::session::Session;
use crate::web::{Section, Shell, Signed, Submitted, Trouble, done};

const ADDRESS: &str = "/new/route";

#[get("/new/route")]
pub(crate) async fn ask(
    app: Data<Arc<App>>,
    signed: Signed<Operator>,
    request: HttpRequest,
) -> Result<HttpResponse, Trouble> {
    let policies = app.blocking(policy_names).await?;
    let first = Fields::default().with("policy", "gitaly");
    form(policies).show(&request, shell(&app, &signed.session), &first)
}

#[post("/new/route")]
pub(crate) async fn create(
    app: Data<Arc<App>>,
    sent: Submitted<Operator>,
    request: HttpRequest,
) -> Result<HttpResponse, Trouble> {
    let (ctx, fields) = (sent.ctx, sent.fields.clone());
    let made = app
        .blocking(move |services| {
            let new = read(&fields)?;
            services.create_route(&ctx, new, &|found| Receipt {
                status: StatusCode::CREATED.as_u16(),
                etag: None,
                body: found.route.spec.key.to_string(),
            })
        })
        .await;
    match made {
        Ok(answer) => {
            let to = format!("/routes/{}", answer.receipt.body);
            Ok(done(
                &request,
                &to,
                "The route is there. Nothing takes the new path yet.",
            ))
        }
        Err(problem) => {
            let policies = app.blocking(policy_names).await?;
            let shell = shell(&app, &sent.session);
            form(policies).refuse(&request, shell, &sent.fields, problem)
        }
    }
}

fn read(fields: &Fields) -> Result<NewRoute, Failure> {
    let some = |name: &str| fields.some(name).map(str::to_owned);
    let operation = match fields.get("operation") {
        "read" => Operation::Read,
        "write" => Operation::Write,
        "call" => Operation::Call,
        _ => return Err(Failure::invalid("operation", "say what a call does")),
    };
    let preparation = match fields.get("start") {
        "analysis" => Some(Preparation::begin(None, None, false).map_err(Failure::Invalid)?),
        _ => None,
    };
    let raw = RawRoute {
        endpoint: fields.get("endpoint").to_owned(),
        key: some("key"),
        flag: some("flag"),
        operation,
        owner: fields.get("owner").to_owned(),
        policy: some("policy"),
        policy_numbers: Default::default(),
        requires: fields.lines("requires"),
        ramp_group: None,
        labels: Default::default(),
        contacts: Default::default(),
        description: fields.get("description").to_owned(),
        links: Links {
            runbook: some("links.runbook"),
            dashboard: some("links.dashboard"),
            alert: some("links.alert"),
            issue: some("links.issue"),
        },
    };
    Ok(NewRoute { raw, preparation })
}

fn form(policies: Vec<String>) -> Form {
    let policies = policies.into_iter().map(|name| (name.clone(), name));
    let of = |values: &[(&str, &str)]| {
        let pairs = values
            .iter()
            .map(|(value, name)| ((*value).to_owned(), (*name).to_owned()));
        pairs.collect()
    };
    let operations = [
        ("read", "reads: it may run on both paths and be compared"),
        ("write", "writes: it has two stores that are kept equal"),
        ("call", "neither, or both"),
    ];
    let starts = [
        ("ready", "at once: ready for testing everywhere"),
        (
            "analysis",
            "with its preparation: in analysis, published later",
        ),
    ];
    Form::new("Add a route", ADDRESS, "/", "Add it")
        .says("One endpoint that moves from an old implementation to a new one.")
        .asks(
            Input::line("endpoint", "Endpoint")
                .hint("The new implementation's address, such as gitaly.CommitService/CountCommits."),
        )
        .asks(Input::choice("operation", "What a call does", of(&operations)))
        .asks(Input::line("owner", "Owner").hint("Who answers for it."))
        .asks(Input::choice("policy", "Policy", policies.collect()).hint("Which gates its promotions need."))
        .asks(Input::choice("start", "It begins", of(&starts)))
        .asks(
            Input::line("key", "Key")
                .hint("Follows from the endpoint where it is empty: count_commits. It stays.")
                .optional(),
        )
        .asks(
            Input::line("flag", "Flag")
                .hint("The environment variable of on-prem installations; follows from the endpoint too.")
                .optional(),
        )
        .asks(
            Input::lines("requires", "Requires", 2)
                .hint("Keys of routes that must be at least as far, one a line.")
                .optional(),
        )
        .asks(Input::lines("description", "Description", 3).optional())
        .asks(Input::line("links.runbook", "Runbook").hint("An http or https address.").optional())
        .asks(Input::line("links.dashboard", "Dashboard").optional())
        .asks(Input::line("links.alert", "Alert").optional())
        .asks(Input::line("links.issue", "Issue").optional())
}

fn shell(app: &App, session: &Session) -> Shell {
    Shell::of(session, Section::Board, app.services.now())
}
