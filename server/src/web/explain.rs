//! Why a caller gets what it gets: asked by an address that can be passed on, answered by what the
//! SDK decides with.

use std::collections::BTreeMap;
use std::sync::Arc;

use actix_web::http::StatusCode;
use actix_web::web::Data;
use actix_web::{HttpRequest, HttpResponse, ResponseError as _, get};
use askama::Template;
use switchover::{Path, Reason, Rule, Source};

use crate::domain::environment::EnvironmentKey;
use crate::domain::variables;
use crate::http::App;
use crate::http::error::Problem;
use crate::http::explain::ExplainBody;
use crate::http::extract::Viewer;
use crate::service::{Explained, Failure, Services};
use crate::web::{Section, Shell, Signed, Trouble, answer};

/// Routes that the field for one suggests.
const MOST_SUGGESTED: usize = 1_000;

/// What is asked about.
#[derive(Clone, Default)]
struct Asked {
    route: String,
    environment: String,
    key: String,
    /// `NAME=value`, one a line.
    variables: String,
}

impl Asked {
    /// Reads an address. Other queries have no line ends in them; this one does.
    fn read(query: &str) -> Asked {
        let mut asked = Asked::default();
        for (name, value) in form_urlencoded::parse(query.as_bytes()) {
            let value = value.replace("\r\n", "\n");
            match &*name {
                "route" => value.trim().clone_into(&mut asked.route),
                "environment" => asked.environment = value,
                "key" => asked.key = value,
                "variables" => asked.variables = value,
                _ => {}
            }
        }
        asked
    }
}

/// One rule of the chain.
struct Step {
    number: u8,
    name: &'static str,
    says: String,
    /// The path it would choose, where it applies.
    path: Option<Path>,
    /// Whether it is the one that decides.
    decides: bool,
    /// Whether a rule above it keeps it from being heard.
    is_hidden: bool,
    /// The lower rules that are not heard because of it.
    hides: Vec<&'static str>,
}

/// The answer.
struct Told {
    path: Path,
    why: &'static str,
    reason: Reason,
    source: &'static str,
    version: String,
    steps: Vec<Step>,
    warnings: Vec<String>,
}

#[derive(Template)]
#[template(path = "explain.html")]
struct ExplainPage {
    shell: Shell,
    asked: Asked,
    environments: Vec<String>,
    routes: Vec<String>,
    told: Option<Told>,
    /// What is wrong with what was asked: with a field, or as a whole.
    complaints: BTreeMap<String, String>,
}

impl ExplainPage {
    fn complaint(&self, field: &str) -> Option<&String> {
        self.complaints.get(field)
    }
}

#[get("/explain")]
pub(crate) async fn show(
    app: Data<Arc<App>>,
    signed: Signed<Viewer>,
    request: HttpRequest,
) -> Result<HttpResponse, Trouble> {
    let mut asked = Asked::read(request.query_string());
    let found = app.blocking(|services| services.environments()).await?;
    let environments: Vec<String> = found
        .iter()
        .map(|(environment, _)| environment.key.to_string())
        .collect();
    if asked.environment.is_empty() {
        // Where most depends on it.
        let hosted = found.iter().rev().find(|(found, _)| found.production);
        let chosen = hosted.map(|(found, _)| found.key.to_string());
        asked.environment = chosen
            .or_else(|| environments.first().cloned())
            .unwrap_or_default();
    }
    let case = asked.clone();
    let (routes, told) = app
        .blocking(move |services| {
            let told = (!case.route.is_empty()).then(|| tell(services, &case));
            Ok((suggested(services, &case.environment), told))
        })
        .await?;
    let mut status = StatusCode::OK;
    let mut complaints = BTreeMap::new();
    let told = match told {
        None => None,
        Some(Ok(told)) => Some(told),
        Some(Err(failure)) => {
            let problem = Problem::from(failure);
            status = problem.status_code();
            for complaint in problem.complaints() {
                complaints.insert(complaint.field, complaint.detail);
            }
            if complaints.is_empty() {
                complaints.insert(String::new(), problem.detail().to_owned());
            }
            None
        }
    };
    let page = ExplainPage {
        shell: Shell::of(&signed.session, Section::Explain, app.services.now()),
        asked,
        environments,
        routes,
        told,
        complaints,
    };
    answer(&request, status, &page)
}

fn tell(services: &Services, asked: &Asked) -> Result<Told, Failure> {
    let environment: EnvironmentKey = asked
        .environment
        .parse()
        .map_err(|detail: &str| Failure::invalid("environment", detail))?;
    let variables = variables::parse(&asked.variables)
        .map_err(|line| Failure::invalid("variables", format!("line {line} is no NAME=value")))?;
    let question = ExplainBody {
        // Callers without a key are asked about by leaving it empty.
        key: Some(asked.key.clone()).filter(|key| !key.is_empty()),
        env: variables.into_iter().collect(),
    };
    let (key, overrides) = question.read().map_err(|failure| match failure {
        Failure::Invalid(mut errors) => {
            for error in errors.iter_mut().filter(|error| error.field == "env") {
                error.field = "variables".to_owned();
            }
            Failure::Invalid(errors)
        }
        other => other,
    })?;
    let explained = services.explain(&asked.route, &environment, key.as_deref(), &overrides)?;
    Ok(Told::from(explained))
}

impl From<Explained> for Told {
    fn from(explained: Explained) -> Told {
        let explanation = explained.explanation;
        let mut is_decided = false;
        let steps = explanation.chain.into_iter().map(|layer| {
            let applies = layer.verdict.is_some();
            let decides = applies && !is_decided;
            let is_hidden = applies && is_decided;
            is_decided |= applies;
            Step {
                number: layer.rule.number(),
                name: rule_name(layer.rule),
                says: layer.says,
                path: layer.verdict.map(|verdict| verdict.path),
                decides,
                is_hidden,
                hides: layer.hides.into_iter().map(rule_name).collect(),
            }
        });
        let decision = explanation.decision;
        let own = explanation.warnings.iter().map(ToString::to_string);
        Told {
            path: decision.path,
            why: reason_name(decision.reason),
            reason: decision.reason,
            source: decision.source.map_or("nowhere", source_name),
            version: explained.version.to_string(),
            steps: steps.collect(),
            warnings: own.chain(explained.warnings).collect(),
        }
    }
}

/// The routes that are published there.
fn suggested(services: &Services, environment: &str) -> Vec<String> {
    let published = environment.parse().ok();
    let table = published
        .and_then(|environment| services.hub().current(&environment))
        .and_then(|published| published.table().ok());
    table.map_or_else(Vec::new, |table| {
        let routes = table.entries().keys().take(MOST_SUGGESTED);
        routes.map(ToString::to_string).collect()
    })
}

const fn path_name(path: Path) -> &'static str {
    match path {
        Path::Old => "Old path",
        Path::New => "New path",
    }
}

const fn source_name(source: Source) -> &'static str {
    match source {
        Source::Live => "what the server publishes",
        Source::Cache => "the last good snapshot on disk",
        Source::Bundled => "the release's manifest",
        Source::Compiled => "the stage in the code",
    }
}

const fn rule_name(rule: Rule) -> &'static str {
    match rule {
        Rule::UnknownRoute => "Unknown route",
        Rule::Mandatory => "Mandatory",
        Rule::Halted => "Halted",
        Rule::Prerequisite => "Required routes",
        Rule::Override => "Environment variable",
        Rule::Off => "Set to off",
        Rule::Cohort => "Cohorts",
        Rule::On => "Set to on",
        Rule::Ramp => "Ramp",
        Rule::EnvDefaultOn => "All features on",
        Rule::DefaultOn => "On by its stage",
        Rule::DefaultOff => "Off by its stage",
    }
}

const fn reason_name(reason: Reason) -> &'static str {
    match reason {
        Reason::UnknownRoute => "nobody knows the route",
        Reason::Mandatory => "the stage is mandatory",
        Reason::Halted => "the rollout is halted",
        Reason::Prerequisite => "a required route takes the old path",
        Reason::EnvOn => "an environment variable turns it on",
        Reason::EnvOff => "an environment variable turns it off",
        Reason::Off => "it is set to off",
        Reason::CohortExclude => "the key is in an excluded cohort",
        Reason::CohortInclude => "the key is in an included cohort",
        Reason::On => "it is set to on",
        Reason::RampIn => "the key is within the ramp",
        Reason::RampOut => "the key is not within the ramp yet",
        Reason::NoKey => "a ramp is set, and the call gives no key",
        Reason::EnvDefaultOn => "all features are turned on by a variable",
        Reason::DefaultOn => "its stage has it on",
        Reason::DefaultOff => "its stage has it off",
        Reason::Breaker => "the process's own breaker is open",
    }
}
