//! Many rollouts halted in one step: when what all of them need is down, nobody halts route by route.

use std::sync::Arc;

use actix_web::http::StatusCode;
use actix_web::web::Data;
use actix_web::{HttpRequest, HttpResponse, get, post};

use crate::http::App;
use crate::http::error::{Code, Problem};
use crate::http::extract::Operator;
use crate::http::halts::{HaltManyBody, read_selection};
use crate::service::{Ctx, Failure, Services, Switched};
use crate::store::Receipt;
use crate::web::fields::Fields;
use crate::web::form::{Form, Input};
use crate::web::session::Session;
use crate::web::words::count;
use crate::web::{Section, Shell, Signed, Submitted, Trouble, done};

#[get("/new/halts")]
pub(crate) async fn ask(
    app: Data<Arc<App>>,
    signed: Signed<Operator>,
    request: HttpRequest,
) -> Result<HttpResponse, Trouble> {
    let environments = app.blocking(environments).await?;
    let first = Fields::default().with("reason", "halted by hand");
    form(environments).show(&request, shell(&app, &signed.session), &first)
}

#[post("/new/halts")]
pub(crate) async fn halt(
    app: Data<Arc<App>>,
    sent: Submitted<Operator>,
    request: HttpRequest,
) -> Result<HttpResponse, Trouble> {
    let some = |name: &str| sent.fields.some(name).map(str::to_owned);
    let asked = HaltManyBody {
        environment: sent.fields.get("environment").to_owned(),
        owner: some("owner"),
        label: some("label"),
        routes: None,
        reason: sent.fields.get("reason").to_owned(),
        accept_loss: false,
    };
    // A halt is done as often as it is asked for.
    let ctx = Ctx {
        idempotency: None,
        ..sent.ctx
    };
    let halted = app
        .blocking(move |services| {
            let (environment, selection, reason) = read_selection(asked)?;
            services.halt_many(&ctx, &environment, &selection, &reason, &|switched| {
                Receipt {
                    status: StatusCode::OK.as_u16(),
                    etag: None,
                    body: told(switched),
                }
            })
        })
        .await;
    match halted {
        Ok(answer) => Ok(done(&request, "/?halted=yes", &answer.receipt.body)),
        Err(problem) => {
            // What there is not was typed here, and not in the address.
            let problem = match problem.is(Code::NotFound) {
                true => Problem::new(Code::Invalid, problem.detail()),
                false => problem,
            };
            let environments = app.blocking(environments).await?;
            let shell = shell(&app, &sent.session);
            form(environments).refuse(&request, shell, &sent.fields, problem)
        }
    }
}

fn told(switched: &Switched) -> String {
    let number = |routes: usize| count(u64::try_from(routes).unwrap_or(u64::MAX));
    let mut told = format!(
        "{} routes take the old path in {} now.",
        number(switched.changed.len()),
        switched.environment
    );
    if !switched.already.is_empty() {
        told += &format!(" {} did already.", number(switched.already.len()));
    }
    if !switched.mandatory.is_empty() {
        let mandatory = number(switched.mandatory.len());
        told += &format!(" {mandatory} are mandatory, and stay on the new path.");
    }
    if !switched.refused.is_empty() {
        let names: Vec<String> = switched
            .refused
            .iter()
            .map(|(key, _)| key.to_string())
            .collect();
        told += &format!(
            " Not halted, because going back would lose data: {}.",
            names.join(", ")
        );
    }
    told
}

fn form(environments: Vec<(String, String)>) -> Form {
    Form::new("Halt many", "/new/halts", "/", "Halt them")
        .says("Everything that is chosen takes the old path, at once, until somebody resumes it.")
        .danger()
        .asks(Input::choice("environment", "Environment", environments))
        .asks(
            Input::line("owner", "Owner")
                .hint("Only routes of this owner.")
                .optional(),
        )
        .asks(
            Input::line("label", "Label")
                .hint("Only routes with this label: name or name=value.")
                .optional(),
        )
        .asks(Input::reason())
}

/// Where a halt takes effect at once comes first, and what matters most before all.
fn environments(services: &Services) -> Result<Vec<(String, String)>, Failure> {
    let mut found = services.environments()?;
    found.sort_by_key(|(environment, _)| !environment.production);
    let names = found
        .into_iter()
        .map(|(environment, _)| environment.key.to_string());
    Ok(names.map(|name| (name.clone(), name)).collect())
}

fn shell(app: &App, session: &Session) -> Shell {
    Shell::of(session, Section::Board, app.services.now())
}
