//! Why does a caller get that?

use std::collections::BTreeMap;
use std::sync::Arc;

use actix_web::web::Data;
use actix_web::{HttpResponse, post};
use serde::{Deserialize, Serialize};
use switchover::{Overrides, Path, Reason, Rule, Source};
use utoipa::ToSchema;

use crate::http::App;
use crate::http::error::Problem;
use crate::http::extract::{Ask, Viewer, in_path};
use crate::service::{Explained, Failure};

/// The caller that is asked about.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = ExplainRequest)]
pub(crate) struct ExplainBody {
    /// The call's key; none when left out.
    #[schema(example = "42", max_length = 4096)]
    pub(crate) key: Option<String>,
    /// The process's environment variables, as far as they matter; at most 100.
    #[serde(default)]
    #[schema(example = json!({"GITALY_COUNT_COMMITS": "0"}))]
    pub(crate) env: BTreeMap<String, String>,
}

impl ExplainBody {
    /// The key and the variables that are asked about.
    pub(crate) fn read(self) -> Result<(Option<String>, Overrides), Failure> {
        if self.env.len() > 100 {
            return Err(Failure::invalid("env", "has at most 100 variables"));
        }
        if self.key.as_ref().is_some_and(|key| key.len() > 4_096) {
            return Err(Failure::invalid("key", "has at most 4,096 bytes"));
        }
        Ok((self.key, self.env.into_iter().collect()))
    }
}

/// A decision with everything that led to it.
#[derive(Serialize, ToSchema)]
#[schema(as = Explanation)]
struct ExplanationBody {
    path: Path,
    reason: Reason,
    /// Where the facts came from; null for a route that is not published.
    source: Option<Source>,
    /// Every rule, first to last; the first that applies decides.
    chain: Vec<LayerBody>,
    /// What somebody has set in vain, or against advice.
    warnings: Vec<String>,
    /// The environment's version that this was decided from.
    version: String,
}

/// One rule of a decision.
#[derive(Serialize, ToSchema)]
#[schema(as = Layer)]
struct LayerBody {
    rule: Rule,
    /// Its row in the rule table.
    number: u8,
    /// Whether it applies.
    applies: bool,
    /// The path it would choose; null when it does not apply.
    path: Option<Path>,
    reason: Option<Reason>,
    #[schema(example = "halted: every key takes the old path")]
    says: String,
    /// The lower rules that apply too, and are not heard.
    hides: Vec<Rule>,
}

impl From<Explained> for ExplanationBody {
    fn from(explained: Explained) -> ExplanationBody {
        let explanation = explained.explanation;
        ExplanationBody {
            path: explanation.decision.path,
            reason: explanation.decision.reason,
            source: explanation.decision.source,
            chain: explanation
                .chain
                .into_iter()
                .map(|layer| LayerBody {
                    rule: layer.rule,
                    number: layer.rule.number(),
                    applies: layer.verdict.is_some(),
                    path: layer.verdict.map(|verdict| verdict.path),
                    reason: layer.verdict.map(|verdict| verdict.reason),
                    says: layer.says,
                    hides: layer.hides,
                })
                .collect(),
            warnings: explanation
                .warnings
                .iter()
                .map(ToString::to_string)
                .chain(explained.warnings)
                .collect(),
            version: explained.version.to_string(),
        }
    }
}

/// Explains what a caller with this key and these environment variables gets, by the same function
/// that decides in the SDK. A route that is not published is explained too.
#[utoipa::path(
    tag = "rollouts",
    params(("route" = String, Path, example = "count_commits"), ("environment" = String, Path, example = "production")),
    request_body = ExplainBody,
    responses((status = 200, body = ExplanationBody)),
    security(("token" = ["viewer"]))
)]
#[post("/routes/{route}/environments/{environment}/explain")]
pub(crate) async fn explain(
    app: Data<Arc<App>>,
    ask: Ask<Viewer, ExplainBody>,
    request: actix_web::HttpRequest,
) -> Result<HttpResponse, Problem> {
    let environment = in_path(&request, "environment", "environment")?;
    let route = request.match_info().query("route").to_owned();
    let body = ask.body;
    let explained = app
        .blocking(move |services| {
            let (key, overrides) = body.read()?;
            services.explain(&route, &environment, key.as_deref(), &overrides)
        })
        .await?;
    Ok(HttpResponse::Ok().json(ExplanationBody::from(explained)))
}
