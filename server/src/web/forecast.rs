//! What an upgrade from one release to another changes for an installation.

use std::sync::Arc;

use actix_web::http::StatusCode;
use actix_web::web::Data;
use actix_web::{HttpRequest, HttpResponse, ResponseError as _, get, post};
use askama::Template;
use serde::Deserialize;
use switchover::{EnvironmentKind, Overrides, Path};

use crate::domain::environment::EnvironmentKey;
use crate::domain::forecast::{Fate, Outlook, Standing, forecast};
use crate::domain::release::in_order;
use crate::domain::variables;
use crate::http::App;
use crate::http::error::{Code, Problem};
use crate::http::extract::{Query, Viewer};
use crate::http::releases::{read_environment, read_optional};
use crate::service::{Failure, Services};
use crate::web::fields::Fields;
use crate::web::releases::{MOST_RELEASES, read, shell};
use crate::web::session::Session;
use crate::web::words::StageMark;
use crate::web::{Shell, Signed, Submitted, Trouble, answer};

/// The upgrade that is asked about.
#[derive(Clone, Default, Deserialize)]
pub(crate) struct Asked {
    #[serde(default)]
    environment: String,
    #[serde(default)]
    from: String,
    #[serde(default)]
    to: String,
    /// The installation's environment variables. They may hold secrets, so they are in no address.
    #[serde(skip)]
    variables: String,
}

/// Something that can be chosen, and whether it is.
type Choice = (String, bool);

/// What would change.
struct Told {
    /// Routes that change, and those whose variable is set.
    rows: Vec<Outlook>,
    routes: usize,
    changing: usize,
    /// Overrides that stop working.
    stopping: usize,
}

#[derive(Template)]
#[template(path = "forecast.html")]
struct ForecastPage {
    shell: Shell,
    asked: Asked,
    environments: Vec<Choice>,
    /// Newest first.
    from: Vec<Choice>,
    to: Vec<Choice>,
    told: Option<Told>,
    complaint: Option<String>,
}

#[get("/forecast")]
pub(crate) async fn show(
    app: Data<Arc<App>>,
    signed: Signed<Viewer>,
    query: Query<Asked>,
    request: HttpRequest,
) -> Result<HttpResponse, Trouble> {
    page(&app, &signed.session, query.0, &request).await
}

/// The same with environment variables: they may be secret, so they are sent as a form.
#[post("/forecast")]
pub(crate) async fn ask(
    app: Data<Arc<App>>,
    sent: Submitted<Viewer>,
    request: HttpRequest,
) -> Result<HttpResponse, Trouble> {
    let of = |fields: &Fields, name: &str| fields.get(name).to_owned();
    let asked = Asked {
        environment: of(&sent.fields, "environment"),
        from: of(&sent.fields, "from"),
        to: of(&sent.fields, "to"),
        variables: of(&sent.fields, "variables"),
    };
    page(&app, &sent.session, asked, &request).await
}

async fn page(
    app: &Arc<App>,
    session: &Session,
    mut asked: Asked,
    request: &HttpRequest,
) -> Result<HttpResponse, Trouble> {
    let (environments, releases) = app
        .blocking(|services| {
            Ok((
                services.environments()?,
                in_order(services.releases(None, None, MOST_RELEASES)?),
            ))
        })
        .await?;
    let installations = environments
        .iter()
        .filter(|(environment, _)| environment.kind == EnvironmentKind::OnPrem)
        .map(|(environment, _)| environment.key.to_string());
    let installations: Vec<String> = installations.collect();
    if asked.environment.is_empty() {
        asked.environment = installations.first().cloned().unwrap_or_default();
    }
    let here: Vec<_> = releases
        .iter()
        .filter(|release| release.environment.as_str() == asked.environment)
        .collect();
    if asked.to.is_empty() {
        asked.to = here.last().map(|r| r.name.to_string()).unwrap_or_default();
    }
    if asked.from.is_empty() {
        // What it comes after is what runs until then.
        let to = here
            .iter()
            .find(|release| release.name.as_str() == asked.to);
        let before = to.and_then(|release| release.after.as_ref());
        asked.from = before.map(ToString::to_string).unwrap_or_default();
    }
    let choices = |chosen: &str| {
        let newest_first = here.iter().rev().map(|release| release.name.to_string());
        newest_first
            .map(|name| (name.clone(), name == chosen))
            .collect()
    };
    let (from, to) = (choices(&asked.from), choices(&asked.to));
    let question = asked.clone();
    let told = if asked.from.is_empty() || asked.to.is_empty() {
        Ok(None)
    } else {
        app.blocking(move |services| tell(services, &question))
            .await
            .map(Some)
    };
    let (status, told, complaint) = match told {
        Ok(told) => (StatusCode::OK, told, None),
        Err(problem) if problem.is(Code::Invalid) || problem.is(Code::NotFound) => {
            (problem.status_code(), None, Some(told_of(&problem)))
        }
        Err(problem) => return Err(Trouble::from(problem)),
    };
    let page = ForecastPage {
        shell: shell(app, session),
        environments: installations
            .into_iter()
            .map(|key| (key.clone(), key == asked.environment))
            .collect(),
        asked,
        from,
        to,
        told,
        complaint,
    };
    answer(request, status, &page)
}

fn told_of(problem: &Problem) -> String {
    let complaints = problem.complaints();
    let details: Vec<&str> = complaints.iter().map(|one| one.detail.as_str()).collect();
    if details.is_empty() {
        problem.detail().to_owned()
    } else {
        details.join("; ")
    }
}

fn tell(services: &Services, asked: &Asked) -> Result<Told, Failure> {
    let environment = read_environment(&asked.environment)?;
    let variables = variables::parse(&asked.variables).map_err(|line| {
        let detail = format!("line {line} is no NAME=value, or its quotes do not end");
        Failure::invalid("variables", detail)
    })?;
    let overrides: Overrides = variables.into_iter().collect();
    let from = manifest(services, &environment, "from", &asked.from)?;
    let to = manifest(services, &environment, "to", &asked.to)?;
    let outlooks = forecast(from.table(), to.table(), &overrides);
    let routes = outlooks.len();
    let changing = outlooks.iter().filter(|outlook| outlook.changes()).count();
    let stopping = outlooks.iter().filter(|one| one.loses_override()).count();
    let is_shown = |outlook: &Outlook| outlook.changes() || outlook.variable.is_some();
    let mut rows: Vec<Outlook> = outlooks.into_iter().filter(is_shown).collect();
    rows.sort_by_key(|outlook| !outlook.loses_override());
    Ok(Told {
        rows,
        routes,
        changing,
        stopping,
    })
}

fn manifest(
    services: &Services,
    environment: &EnvironmentKey,
    field: &str,
    name: &str,
) -> Result<switchover::Manifest, Failure> {
    let name = read_optional(field, Some(name))?
        .ok_or_else(|| Failure::invalid(field, "names a release"))?;
    read(&services.manifest(environment, &name)?)
}

/// The value that a variable asks for a path with.
const fn asked_value(path: Option<Path>) -> &'static str {
    match path {
        Some(Path::New) => "1",
        Some(Path::Old) => "0",
        None => "…",
    }
}

fn same_path(outlook: &Outlook) -> bool {
    let path = |standing: &Option<Standing>| standing.as_ref().map(|found| found.path.clone());
    path(&outlook.from) == path(&outlook.to)
}
