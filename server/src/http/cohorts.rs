//! Cohorts with a name: keys that several rollouts treat apart.

use std::collections::BTreeSet;
use std::sync::Arc;

use actix_web::http::StatusCode;
use actix_web::web::Data;
use actix_web::{HttpRequest, HttpResponse, delete, get, post, put};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::domain::cohort::Name;
use crate::domain::text::{Reason, bounded};
use crate::http::App;
use crate::http::error::Problem;
use crate::http::extract::{By, Change, Operator, Order, Query, Viewer, in_path, without_tag};
use crate::http::markdown::ReasonQuery;
use crate::http::respond::{self, Page, answer};
use crate::http::rollouts::{read_cohort, read_reason};
use crate::service::{CohortPatch, CohortView, Failure, NewCohort, cohort_tag};
use crate::store::Receipt;

/// A cohort to be.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NewCohort)]
pub(crate) struct NewCohortBody {
    /// A lower-case letter, then up to 62 lower-case letters, digits or underscores.
    #[schema(example = "beta_testers")]
    pub(crate) name: String,
    /// At most 1,000, 1 to 256 bytes each.
    #[schema(example = json!(["7", "42"]))]
    pub(crate) keys: Vec<String>,
    #[serde(default)]
    #[schema(max_length = 1000)]
    pub(crate) description: String,
    #[schema(example = "those who asked for it", min_length = 1, max_length = 1000)]
    pub(crate) reason: String,
}

/// A cohort's keys from now on.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = CohortChange)]
pub(crate) struct CohortPatchBody {
    /// They replace those that it has; at most 1,000, 1 to 256 bytes each.
    #[schema(example = json!(["7", "42", "43"]))]
    pub(crate) keys: Vec<String>,
    /// As it was when left out.
    #[schema(max_length = 1000)]
    pub(crate) description: Option<String>,
    #[schema(example = "one more asked for it", min_length = 1, max_length = 1000)]
    pub(crate) reason: String,
}

impl NewCohortBody {
    /// What is asked for, and why.
    pub(crate) fn read(self) -> Result<(NewCohort, Reason), Failure> {
        let new = NewCohort {
            name: read_name("name", &self.name)?,
            keys: read_cohort("keys", self.keys)?,
            description: read_description(&self.description)?,
        };
        Ok((new, read_reason(&self.reason)?))
    }
}

impl CohortPatchBody {
    /// What is asked for, and why.
    pub(crate) fn read(self) -> Result<(CohortPatch, Reason), Failure> {
        let description = self.description.as_deref().map(read_description);
        let patch = CohortPatch {
            keys: read_cohort("keys", self.keys)?,
            description: description.transpose()?,
        };
        Ok((patch, read_reason(&self.reason)?))
    }
}

/// A cohort, and who uses it.
#[derive(Serialize, ToSchema)]
#[schema(as = Cohort)]
struct CohortBody {
    #[schema(example = "beta_testers")]
    name: String,
    keys: BTreeSet<Box<str>>,
    description: String,
    revision: u64,
    changed_at: DateTime<Utc>,
    /// The rollouts that use it.
    used_by: Vec<CohortUserBody>,
    /// What somebody may not have meant, such as a cohort without keys.
    warnings: Vec<String>,
}

/// A rollout that uses a cohort.
#[derive(Serialize, ToSchema)]
#[schema(as = CohortUser)]
struct CohortUserBody {
    route: String,
    environment: String,
}

impl From<&CohortView> for CohortBody {
    fn from(view: &CohortView) -> CohortBody {
        let cohort = view.cohort.clone();
        let used_by = view.used_by.iter().map(|user| CohortUserBody {
            route: user.route.to_string(),
            environment: user.environment.to_string(),
        });
        CohortBody {
            name: cohort.name.to_string(),
            keys: cohort.keys,
            description: cohort.description,
            revision: cohort.revision,
            changed_at: cohort.changed_at,
            used_by: used_by.collect(),
            warnings: view.warnings.clone(),
        }
    }
}

/// A cohort's name, or the complaint about it.
pub(super) fn read_name(field: &'static str, name: &str) -> Result<Name, Failure> {
    name.parse()
        .map_err(|detail: &str| Failure::invalid(field, detail))
}

/// What something is for; nothing, too.
pub(super) fn read_description(text: &str) -> Result<String, Failure> {
    if text.trim().is_empty() {
        return Ok(String::new());
    }
    bounded(text, 1_000)
        .ok_or_else(|| Failure::invalid("description", "is at most 1,000 printable characters"))
}

fn shown(status: StatusCode, view: &CohortView) -> Receipt {
    respond::receipt(
        status,
        Some(cohort_tag(&view.cohort)),
        &CohortBody::from(view),
    )
}

/// Lists cohorts by name.
#[utoipa::path(
    tag = "cohorts",
    responses((status = 200, body = Page<CohortBody>)),
    security(("token" = ["viewer"]))
)]
#[get("/cohorts")]
pub(crate) async fn list(
    app: Data<Arc<App>>,
    _by: By<Viewer>,
    request: HttpRequest,
) -> Result<HttpResponse, Problem> {
    let found = app.blocking(|services| services.cohorts()).await?;
    let page = Page {
        items: found.iter().map(CohortBody::from).collect(),
        next_cursor: None,
    };
    Ok(respond::resource(&request, None, &page))
}

/// One cohort, with its keys and who uses it.
#[utoipa::path(
    tag = "cohorts",
    params(("cohort" = String, Path, example = "beta_testers")),
    responses((status = 200, body = CohortBody)),
    security(("token" = ["viewer"]))
)]
#[get("/cohorts/{cohort}")]
pub(crate) async fn show(
    app: Data<Arc<App>>,
    _by: By<Viewer>,
    request: HttpRequest,
) -> Result<HttpResponse, Problem> {
    let name: Name = in_path(&request, "cohort", "cohort")?;
    let view = app.blocking(move |services| services.cohort(&name)).await?;
    // Who uses it changes without it.
    Ok(respond::always(
        &cohort_tag(&view.cohort),
        &CohortBody::from(&view),
    ))
}

/// Makes a cohort. It treats nobody apart until a rollout uses it.
#[utoipa::path(
    tag = "cohorts",
    request_body = NewCohortBody,
    responses((status = 201, body = CohortBody)),
    security(("token" = ["operator"]))
)]
#[post("/cohorts")]
pub(crate) async fn create(
    app: Data<Arc<App>>,
    change: Change<Operator, NewCohortBody>,
) -> Result<HttpResponse, Problem> {
    without_tag(&change.ctx)?;
    let body = change.body;
    app.blocking(move |services| {
        let (new, reason) = body.read()?;
        services.create_cohort(&change.ctx, &new, &reason, &|view| {
            shown(StatusCode::CREATED, view)
        })
    })
    .await
    .map(answer)
}

/// Gives a cohort other keys. Every rollout that uses it is published anew with it, judged as if its
/// own keys had been changed: when one of them may not change, nothing does.
#[utoipa::path(
    tag = "cohorts",
    params(("cohort" = String, Path, example = "beta_testers")),
    request_body = CohortPatchBody,
    responses((status = 200, body = CohortBody)),
    security(("token" = ["operator"]))
)]
#[put("/cohorts/{cohort}")]
pub(crate) async fn replace(
    app: Data<Arc<App>>,
    change: Change<Operator, CohortPatchBody>,
    request: HttpRequest,
) -> Result<HttpResponse, Problem> {
    let name: Name = in_path(&request, "cohort", "cohort")?;
    let body = change.body;
    app.blocking(move |services| {
        let (patch, reason) = body.read()?;
        services.put_cohort(&change.ctx, &name, &patch, &reason, &|view| {
            shown(StatusCode::OK, view)
        })
    })
    .await
    .map(answer)
}

/// Deletes a cohort that nothing uses; 409 names what does.
#[utoipa::path(
    tag = "cohorts",
    params(("cohort" = String, Path, example = "beta_testers"), ReasonQuery),
    responses((status = 204)),
    security(("token" = ["operator"]))
)]
#[delete("/cohorts/{cohort}")]
pub(crate) async fn delete(
    app: Data<Arc<App>>,
    order: Order<Operator>,
    query: Query<ReasonQuery>,
    request: HttpRequest,
) -> Result<HttpResponse, Problem> {
    let name: Name = in_path(&request, "cohort", "cohort")?;
    app.blocking(move |services| {
        let reason = query.0.read()?;
        services.delete_cohort(&order.ctx, &name, &reason, &|()| respond::empty_receipt())
    })
    .await
    .map(answer)
}
