//! Environments: listed with who runs there and how they drift, added, changed; and change freezes.

use std::collections::BTreeMap;
use std::sync::Arc;

use actix_web::http::StatusCode;
use actix_web::web::Data;
use actix_web::{HttpRequest, HttpResponse, get, post};
use askama::Template;
use switchover::EnvironmentKind;

use crate::domain::environment::{Environment, EnvironmentKey};
use crate::domain::freeze::Freeze;
use crate::http::App;
use crate::http::environments::{EnvironmentPatchBody, NewEnvironmentBody};
use crate::http::error::Problem;
use crate::http::extract::{Admin, Viewer, in_path};
use crate::http::instances::{Drift, InstanceBody};
use crate::http::respond::empty_receipt;
use crate::service::{Failure, Services};
use crate::web::fields::Fields;
use crate::web::form::{Form, Input};
use crate::web::freezes::places;
use crate::web::session::Session;
use crate::web::{Section, Shell, Signed, Submitted, Trouble, answer, done};

const LIST: &str = "/environments";
/// Instances that one look takes in; more are counted as so many and more.
const MOST_INSTANCES: usize = 1_000;
/// Instances that a page lists.
const MOST_LISTED: usize = 200;

/// An environment, and who runs there.
struct Row {
    environment: Environment,
    instances: Crowd,
}

/// The instances of an environment, counted.
#[derive(Default)]
struct Crowd {
    running: usize,
    drifting: usize,
    is_more: bool,
}

struct FreezeRow {
    freeze: Freeze,
    is_open: bool,
    places: String,
}

#[derive(Template)]
#[template(path = "environments.html")]
struct EnvironmentsPage {
    shell: Shell,
    rows: Vec<Row>,
    freezes: Vec<FreezeRow>,
}

#[derive(Template)]
#[template(path = "environment.html")]
struct EnvironmentPage {
    shell: Shell,
    environment: Environment,
    crowd: Crowd,
    instances: Vec<InstanceBody>,
    /// How many differ from what they should be, by what it is.
    drifts: Vec<(&'static str, usize)>,
    freezes: Vec<FreezeRow>,
}

impl Crowd {
    fn of(instances: &[InstanceBody], is_more: bool) -> Crowd {
        let drifting = instances.iter().filter(|found| !found.drift.is_empty());
        Crowd {
            running: instances.len(),
            drifting: drifting.count(),
            is_more,
        }
    }
}

#[get("/environments")]
pub(crate) async fn list(
    app: Data<Arc<App>>,
    signed: Signed<Viewer>,
    request: HttpRequest,
) -> Result<HttpResponse, Trouble> {
    let (rows, freezes) = app
        .blocking(|services| {
            let mut rows = Vec::new();
            for (environment, _) in services.environments()? {
                let (instances, is_more) = instances(services, &environment.key)?;
                let instances = Crowd::of(&instances, is_more);
                rows.push(Row {
                    environment,
                    instances,
                });
            }
            Ok((rows, freezes(services, None)?))
        })
        .await?;
    let page = EnvironmentsPage {
        shell: shell(&app, &signed.session),
        rows,
        freezes,
    };
    answer(&request, StatusCode::OK, &page)
}

#[get("/environments/{environment}")]
pub(crate) async fn show(
    app: Data<Arc<App>>,
    signed: Signed<Viewer>,
    request: HttpRequest,
) -> Result<HttpResponse, Trouble> {
    let key: EnvironmentKey = in_path(&request, "environment", "environment")?;
    let (environment, (mut instances, is_more), freezes) = app
        .blocking(move |services| {
            let (environment, _) = services.environment(&key)?;
            let instances = instances(services, &key)?;
            Ok((environment, instances, freezes(services, Some(&key))?))
        })
        .await?;
    let crowd = Crowd::of(&instances, is_more);
    let mut drifts = BTreeMap::new();
    for drift in instances.iter().flat_map(|found| &found.drift) {
        *drifts.entry(drift_name(*drift)).or_insert(0) += 1;
    }
    // Those that are not as they should be come first; the rest is told by its number.
    instances.sort_by_key(|found| found.drift.is_empty());
    instances.truncate(MOST_LISTED);
    let page = EnvironmentPage {
        shell: shell(&app, &signed.session),
        environment,
        crowd,
        instances,
        drifts: drifts.into_iter().collect(),
        freezes,
    };
    answer(&request, StatusCode::OK, &page)
}

#[get("/new/environment")]
pub(crate) async fn ask(
    app: Data<Arc<App>>,
    signed: Signed<Admin>,
    request: HttpRequest,
) -> Result<HttpResponse, Trouble> {
    let first = Fields::default().with("kind", "hosted");
    new_form().show(&request, shell(&app, &signed.session), &first)
}

#[post("/new/environment")]
pub(crate) async fn create(
    app: Data<Arc<App>>,
    sent: Submitted<Admin>,
    request: HttpRequest,
) -> Result<HttpResponse, Trouble> {
    let (fields, ctx) = (sent.fields.clone(), sent.ctx);
    let made = app
        .blocking(move |services| {
            let asked = NewEnvironmentBody {
                key: fields.get("key").to_owned(),
                kind: read_kind(fields.get("kind"))?,
                position: read_position(&fields)?,
                production: read_production(&fields),
            };
            services.create_environment(&ctx, &asked.read(services)?, &|_| empty_receipt())
        })
        .await;
    match made {
        Ok(_) => Ok(done(&request, LIST, "The environment is there.")),
        Err(problem) => {
            new_form().refuse(&request, shell(&app, &sent.session), &sent.fields, problem)
        }
    }
}

#[get("/environments/{environment}/change")]
pub(crate) async fn ask_to_change(
    app: Data<Arc<App>>,
    signed: Signed<Admin>,
    request: HttpRequest,
) -> Result<HttpResponse, Trouble> {
    let (environment, tag) = found(&app, &request).await?;
    let production = if environment.production { "yes" } else { "no" };
    let first = Fields::default()
        .with("position", environment.position.to_string())
        .with("production", production);
    change_form(&environment, tag).show(&request, shell(&app, &signed.session), &first)
}

#[post("/environments/{environment}/change")]
pub(crate) async fn change(
    app: Data<Arc<App>>,
    sent: Submitted<Admin>,
    request: HttpRequest,
) -> Result<HttpResponse, Trouble> {
    let (environment, tag) = found(&app, &request).await?;
    let (key, fields, ctx) = (environment.key.clone(), sent.fields.clone(), sent.ctx);
    let changed = app
        .blocking(move |services| {
            let asked = EnvironmentPatchBody {
                position: Some(read_position(&fields)?),
                production: read_production(&fields),
                reason: fields.get("reason").to_owned(),
            };
            let (patch, reason) = asked.read()?;
            services.patch_environment(&ctx, &key, patch, &reason, &|_| empty_receipt())
        })
        .await;
    match changed {
        Ok(_) => {
            let to = format!("{LIST}/{}", environment.key);
            Ok(done(&request, &to, "The environment is changed."))
        }
        Err(problem) => {
            let form = change_form(&environment, tag);
            form.refuse(&request, shell(&app, &sent.session), &sent.fields, problem)
        }
    }
}

fn shell(app: &App, session: &Session) -> Shell {
    Shell::of(session, Section::Environments, app.services.now())
}

async fn found(app: &Arc<App>, request: &HttpRequest) -> Result<(Environment, String), Problem> {
    let key: EnvironmentKey = in_path(request, "environment", "environment")?;
    app.blocking(move |services| services.environment(&key))
        .await
}

fn instances(
    services: &Services,
    environment: &EnvironmentKey,
) -> Result<(Vec<InstanceBody>, bool), Failure> {
    let found = services.instances(environment, false, "", MOST_INSTANCES + 1)?;
    let processes = found.processes.iter().take(MOST_INSTANCES);
    let bodies = processes.map(|process| InstanceBody::new(process, &found, None));
    Ok((bodies.collect(), found.processes.len() > MOST_INSTANCES))
}

/// The freezes that are open or still to come: all, or those that apply somewhere.
fn freezes(
    services: &Services,
    environment: Option<&EnvironmentKey>,
) -> Result<Vec<FreezeRow>, Failure> {
    let found = services.freezes(false)?.into_iter();
    let applies =
        |freeze: &Freeze| environment.is_none_or(|environment| freeze.covers(environment));
    Ok(found
        .filter(|(freeze, _)| applies(freeze))
        .map(|(freeze, is_open)| FreezeRow {
            places: places(&freeze),
            is_open,
            freeze,
        })
        .collect())
}

/// How an instance differs, in words.
const fn drift_name(drift: Drift) -> &'static str {
    match drift {
        Drift::Behind => "behind",
        Drift::NotLive => "not live",
        Drift::Override => "override",
        Drift::LacksCode => "lacks code",
        Drift::BreakerOpen => "breaker open",
    }
}

const fn kind_name(kind: EnvironmentKind) -> &'static str {
    match kind {
        EnvironmentKind::Hosted => "hosted",
        EnvironmentKind::OnPrem => "on-prem",
    }
}

fn read_kind(text: &str) -> Result<EnvironmentKind, Failure> {
    match text {
        "hosted" => Ok(EnvironmentKind::Hosted),
        "on_prem" => Ok(EnvironmentKind::OnPrem),
        _ => Err(Failure::invalid("kind", "is hosted or on-prem")),
    }
}

fn read_position(fields: &Fields) -> Result<i32, Failure> {
    fields
        .get("position")
        .parse()
        .map_err(|_| Failure::invalid("position", "is a whole number"))
}

fn read_production(fields: &Fields) -> Option<bool> {
    match fields.get("production") {
        "yes" => Some(true),
        "no" => Some(false),
        _ => None,
    }
}

fn named(choices: &[(&str, &str)]) -> Vec<(String, String)> {
    let choices = choices.iter();
    choices
        .map(|(value, name)| ((*value).to_owned(), (*name).to_owned()))
        .collect()
}

fn position() -> Input {
    Input::line("position", "Position").hint(
        "0 to 1,000,000. A route reaches a stage in environments with a lower position first.",
    )
}

fn new_form() -> Form {
    let kinds = named(&[
        ("hosted", "Hosted: callers talk to this server"),
        (
            "on_prem",
            "On-prem: installations of others, with manifests",
        ),
    ]);
    let production = named(&[
        ("", "Where it comes after a production environment"),
        ("yes", "Yes: real users depend on it"),
        ("no", "No"),
    ]);
    Form::new("Add an environment", "/new/environment", LIST, "Add it")
        .says("Each route starts there at the latest stage that a later environment has.")
        .asks(Input::line("key", "Name").hint(
            "A lower-case letter, then up to 31 lower-case letters, digits or hyphens. It stays.",
        ))
        .asks(Input::choice("kind", "Kind", kinds))
        .asks(position())
        .asks(Input::choice("production", "Production", production).optional())
}

fn change_form(environment: &Environment, tag: String) -> Form {
    let address = format!("{LIST}/{}/change", environment.key);
    let back = format!("{LIST}/{}", environment.key);
    let form = Form::new(
        format!("Change {}", environment.key),
        address,
        back,
        "Change it",
    )
    .of(tag)
    .asks(position());
    let production = named(&[("yes", "Yes: only maintainers promote there"), ("no", "No")]);
    match environment.kind {
        EnvironmentKind::Hosted => form.asks(Input::choice("production", "Production", production)),
        EnvironmentKind::OnPrem => form,
    }
    .asks(Input::reason())
}
