//! What the guards of a rollout answer.

use std::sync::Arc;

use actix_web::web::Data;
use actix_web::{HttpRequest, HttpResponse, get};
use serde::Serialize;
use serde_json::{Map, Value};
use utoipa::ToSchema;

use crate::domain::guard::GuardReport;
use crate::http::App;
use crate::http::error::Problem;
use crate::http::extract::{By, OfRollout, Viewer};
use crate::http::respond;

/// The guards of a rollout, and what they answer.
#[derive(Serialize, ToSchema)]
#[schema(as = Guards)]
struct GuardsBody {
    #[schema(example = "count_commits")]
    route: String,
    #[schema(example = "production")]
    environment: String,
    /// Counts begin anew with each: another form of the rollout, other limits, another version of the
    /// application. 0 before the first report.
    #[schema(example = 3)]
    epoch: u64,
    guards: Vec<GuardBody>,
}

/// A guard's answer.
#[derive(Serialize, ToSchema)]
#[schema(as = GuardAnswer)]
struct GuardBody {
    #[schema(example = "errors")]
    name: String,
    /// `error_rate`, `error_ratio`, `p99_ms`, `mismatches_per_hour`, `mirror_failure_rate`,
    /// `mirror_p99_ms`, `inconsistency` or `prometheus`.
    #[schema(value_type = String, example = "error_rate")]
    measure: &'static str,
    #[schema(example = 0.01)]
    limit: f64,
    /// `notify`, `pause`, `stop_mirror` or `halt`.
    #[schema(value_type = String, example = "halt")]
    action: &'static str,
    /// `pass`, `breach` or `insufficient`.
    #[schema(value_type = String, example = "pass")]
    state: &'static str,
    #[schema(example = "3 of 5200 calls failed (0.058 %), limit 1 %")]
    detail: String,
    /// The facts it answered from; their names say the units.
    #[schema(value_type = Object, example = json!({ "trials": 5200, "violations": 3 }))]
    numbers: Map<String, Value>,
    /// The one instance that carries what was seen past the limit, where one does.
    instance: Option<String>,
}

impl From<GuardReport> for GuardBody {
    fn from(report: GuardReport) -> GuardBody {
        GuardBody {
            measure: report.guard.measure.name(),
            action: report.guard.action.name(),
            state: report.state.name(),
            name: report.guard.name,
            limit: report.guard.limit,
            detail: report.detail,
            numbers: report.numbers,
            instance: report.instance,
        }
    }
}

/// What the guards of a rollout answer now.
#[utoipa::path(
    tag = "rollouts",
    params(("route" = String, Path, example = "count_commits"), ("environment" = String, Path, example = "production")),
    responses((status = 200, body = GuardsBody)),
    security(("token" = ["viewer"]))
)]
#[get("/routes/{route}/environments/{environment}/guards")]
pub(crate) async fn list(
    app: Data<Arc<App>>,
    _by: By<Viewer>,
    target: OfRollout,
    request: HttpRequest,
) -> Result<HttpResponse, Problem> {
    let target = target.0;
    let (route, environment) = (target.route.to_string(), target.environment.to_string());
    let (epoch, answers) = app
        .blocking(move |services| services.guard_answers(&target))
        .await?;
    let body = GuardsBody {
        route,
        environment,
        epoch,
        guards: answers.into_iter().map(GuardBody::from).collect(),
    };
    Ok(respond::resource(&request, None, &body))
}
