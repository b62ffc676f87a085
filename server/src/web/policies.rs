//! Policies: which gates a promotion needs, in which steps a ramp goes up, what guards watch.

mod words;

use std::sync::Arc;

use actix_web::http::StatusCode;
use actix_web::web::Data;
use actix_web::{HttpRequest, HttpResponse, get, post};
use askama::Template;
use serde::Deserialize;

use crate::domain::policy::{Policy, PolicyName, RampStart};
use crate::http::App;
use crate::http::error::Problem;
use crate::http::extract::{Admin, Query, Viewer, in_path};
use crate::http::respond::empty_receipt;
use crate::http::rollouts::read_reason;
use crate::store::{RouteFilter, StoredPolicy};
use crate::web::fields::Fields;
use crate::web::form::{Form, Input};
use crate::web::session::Session;
use crate::web::words::{StageMark, span};
use crate::web::{Section, Shell, Signed, Submitted, Trouble, answer, done};

use words::{GateWords, gate_words, guard_words};

const LIST: &str = "/policies";
/// Routes that a policy's page names.
const MOST_LISTED: usize = 100;
/// What the form for a policy begins with when it begins with none.
const EXAMPLE: &str = r#"{
  "name": "reviewed",
  "description": "Whoever promotes, another looks at it first.",
  "gates": {
    "opt_in": [{ "gate": "approval", "count": 1, "only": "guarded" }],
    "mandatory": [{ "gate": "soak", "days": 14 }]
  },
  "guards": [
    { "name": "errors", "measure": "error_rate", "limit": 0.01, "action": "halt" }
  ]
}"#;

#[derive(Template)]
#[template(path = "policies.html")]
struct PoliciesPage {
    shell: Shell,
    policies: Vec<StoredPolicy>,
}

#[derive(Template)]
#[template(path = "policy.html")]
struct PolicyPage {
    shell: Shell,
    stored: StoredPolicy,
    /// The newest version there is.
    newest: u32,
    /// What a promotion to each stage needs, besides what every promotion needs.
    gates: Vec<(StageMark, Vec<GateWords>)>,
    guards: Vec<String>,
    /// Each step of the ramp, and how long it holds.
    ramp: Vec<(String, String)>,
    starts_by_itself: bool,
    document: String,
    /// Routes that have it; one more than are named where there are more.
    routes: Vec<String>,
    is_built_in: bool,
}

/// An older version, and which policy a new one begins as.
#[derive(Deserialize)]
pub(crate) struct Asked {
    version: Option<u32>,
    #[serde(default)]
    from: String,
}

#[get("/policies")]
pub(crate) async fn list(
    app: Data<Arc<App>>,
    signed: Signed<Viewer>,
    request: HttpRequest,
) -> Result<HttpResponse, Trouble> {
    let policies = app.blocking(|services| services.policies()).await?;
    let page = PoliciesPage {
        shell: shell(&app, &signed.session),
        policies,
    };
    answer(&request, StatusCode::OK, &page)
}

#[get("/policies/{policy}")]
pub(crate) async fn show(
    app: Data<Arc<App>>,
    signed: Signed<Viewer>,
    query: Query<Asked>,
    request: HttpRequest,
) -> Result<HttpResponse, Trouble> {
    let name: PolicyName = in_path(&request, "policy", "policy")?;
    let version = query.0.version;
    let (stored, newest, routes) = app
        .blocking(move |services| {
            let stored = services.policy(&name, version)?;
            let newest = services.policy(&name, None)?.version;
            let filter = RouteFilter {
                policy: Some(name.to_string()),
                ..RouteFilter::default()
            };
            let routes = services.routes(&filter, MOST_LISTED + 1)?;
            Ok((stored, newest, routes))
        })
        .await?;
    let policy = &stored.policy;
    let gates = policy.gates.iter().filter(|(_, rules)| !rules.is_empty());
    let steps = policy.ramp_steps();
    let page = PolicyPage {
        shell: shell(&app, &signed.session),
        newest,
        gates: gates
            .map(|(stage, rules)| {
                (
                    StageMark::of(*stage),
                    rules.iter().map(gate_words).collect(),
                )
            })
            .collect(),
        guards: policy.guards.iter().map(guard_words).collect(),
        ramp: steps
            .iter()
            .map(|step| (step.percent.to_string(), span(step.hold.duration())))
            .collect(),
        starts_by_itself: policy.ramp_start == RampStart::AtPromotion,
        document: pretty(policy),
        routes: routes
            .iter()
            .map(|found| found.route.spec.key.to_string())
            .collect(),
        is_built_in: is_built_in(policy),
        stored,
    };
    answer(&request, StatusCode::OK, &page)
}

#[get("/new/policy")]
pub(crate) async fn ask(
    app: Data<Arc<App>>,
    signed: Signed<Admin>,
    query: Query<Asked>,
    request: HttpRequest,
) -> Result<HttpResponse, Trouble> {
    let document = match query.0.from.parse::<PolicyName>() {
        Err(_) => EXAMPLE.to_owned(),
        Ok(name) => {
            let found = app
                .blocking(move |services| services.policy(&name, None))
                .await?;
            pretty(&found.policy)
        }
    };
    let first = Fields::default().with("policy", document);
    new_form().show(&request, shell(&app, &signed.session), &first)
}

#[post("/new/policy")]
pub(crate) async fn write(
    app: Data<Arc<App>>,
    sent: Submitted<Admin>,
    request: HttpRequest,
) -> Result<HttpResponse, Trouble> {
    let (fields, ctx) = (sent.fields.clone(), sent.ctx);
    let written = app
        .blocking(move |services| {
            let reason = read_reason(fields.get("reason"))?;
            let document = fields.get("policy").as_bytes();
            services.write_policy(&ctx, document, &reason, &|_| empty_receipt())
        })
        .await;
    match written {
        Ok(_) => Ok(done(
            &request,
            LIST,
            "The policy is in force for every route that has it.",
        )),
        Err(problem) => {
            new_form().refuse(&request, shell(&app, &sent.session), &sent.fields, problem)
        }
    }
}

#[get("/policies/{policy}/delete")]
pub(crate) async fn ask_to_delete(
    app: Data<Arc<App>>,
    signed: Signed<Admin>,
    request: HttpRequest,
) -> Result<HttpResponse, Trouble> {
    let form = delete_form(&app, &request).await?;
    form.show(&request, shell(&app, &signed.session), &Fields::default())
}

#[post("/policies/{policy}/delete")]
pub(crate) async fn delete(
    app: Data<Arc<App>>,
    sent: Submitted<Admin>,
    request: HttpRequest,
) -> Result<HttpResponse, Trouble> {
    let name: PolicyName = in_path(&request, "policy", "policy")?;
    let (reason, ctx) = (sent.fields.get("reason").to_owned(), sent.ctx);
    let deleted = app
        .blocking(move |services| {
            services.delete_policy(&ctx, &name, &read_reason(&reason)?, &|()| empty_receipt())
        })
        .await;
    match deleted {
        Ok(_) => Ok(done(&request, LIST, "The policy is deleted.")),
        Err(problem) => {
            let form = delete_form(&app, &request).await?;
            form.refuse(&request, shell(&app, &sent.session), &sent.fields, problem)
        }
    }
}

fn shell(app: &App, session: &Session) -> Shell {
    Shell::of(session, Section::Policies, app.services.now())
}

fn is_built_in(policy: &Policy) -> bool {
    Policy::built_in().iter().any(|own| own.name == policy.name)
}

/// A document as people read it. A policy always serialises.
fn pretty(policy: &Policy) -> String {
    serde_json::to_string_pretty(policy).unwrap_or_default()
}

fn new_form() -> Form {
    Form::new("Write a policy", "/new/policy", LIST, "Write it")
        .says(
            "A name that is there already gets a new version, at once in force for every route that \
             has it. Policies that come with the product stay as they are.",
        )
        .asks(
            Input::lines("policy", "Document", 24)
                .hint("JSON: name, description, gates by stage, ramp, guards.")
                .takes_all(),
        )
        .asks(Input::reason())
}

async fn delete_form(app: &Arc<App>, request: &HttpRequest) -> Result<Form, Problem> {
    let name: PolicyName = in_path(request, "policy", "policy")?;
    let found = app
        .blocking(move |services| services.policy(&name, None))
        .await?;
    let name = found.policy.name;
    Ok(Form::new(
        format!("Delete {name}"),
        format!("{LIST}/{name}/delete"),
        format!("{LIST}/{name}"),
        "Delete it",
    )
    .says("Only a policy that no route has can be deleted. What it was stays on record.")
    .fact("Version", found.version.to_string())
    .danger()
    .asks(Input::reason()))
}
