//! Evidence: given and listed.

use std::sync::Arc;

use actix_web::http::StatusCode;
use actix_web::web::Data;
use actix_web::{HttpRequest, HttpResponse, get, post};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::domain::evidence::{Evidence, EvidenceKind, Verdict};
use crate::domain::route::is_address;
use crate::domain::text::Reason;
use crate::http::App;
use crate::http::error::Problem;
use crate::http::extract::{By, Change, OfRollout, Operator, Viewer, without_tag};
use crate::http::respond::{self, Page, answer};
use crate::http::rollouts::read_moment;
use crate::service::{DrawnFrom, Failure, NewEvidence};

/// Evidence to be.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NewEvidence)]
pub(crate) struct NewEvidenceBody {
    kind: KindBody,
    verdict: VerdictBody,
    /// Where to see it: an http or https address.
    #[schema(example = "https://dashboards.example.com/d/gitaly?from=now-1h")]
    url: Option<String>,
    /// What was seen; it is recorded as the reason. It can be left out where telemetry says it.
    #[schema(
        example = "p99 of the new path is 18 ms against 25 ms of the old, over an hour",
        min_length = 1,
        max_length = 1000
    )]
    summary: Option<String>,
    /// Adds what callers reported: both paths side by side, and what the instances used before and
    /// during.
    telemetry: Option<DrawnFromBody>,
}

impl NewEvidenceBody {
    /// What it puts on record.
    ///
    /// # Errors
    /// When a value cannot be.
    pub(crate) fn read(self) -> Result<NewEvidence, Failure> {
        if self.url.as_deref().is_some_and(|url| !is_address(url)) {
            let detail = "must be an http or https address of at most 2,000 bytes";
            return Err(Failure::invalid("url", detail));
        }
        Ok(NewEvidence {
            kind: self.kind.into(),
            verdict: match self.verdict {
                VerdictBody::Pass => Verdict::Pass,
                VerdictBody::Fail => Verdict::Fail,
            },
            url: self.url,
            summary: self
                .summary
                .as_deref()
                .map(Reason::new)
                .transpose()
                .map_err(|detail| Failure::invalid("summary", detail))?,
            telemetry: self.telemetry.as_ref().map(read_time).transpose()?,
        })
    }
}

/// The time that evidence is drawn from.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = EvidenceTime)]
struct DrawnFromBody {
    /// From when on; since the open acceptance window was opened when nothing is said.
    from: Option<DateTime<Utc>>,
    /// Until when; now when nothing is said.
    until: Option<DateTime<Utc>>,
}

/// What evidence is about. An acceptance test needs the first three to pass in every hosted
/// environment, in their order.
#[derive(Clone, Copy, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = EvidenceKind)]
enum KindBody {
    Performance,
    Resources,
    ErrorRate,
    Consistency,
    Backup,
    Archive,
    ArchiveDeleted,
    Other,
}

/// What was concluded.
#[derive(Clone, Copy, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = Verdict)]
enum VerdictBody {
    Pass,
    Fail,
}

/// Evidence on record. It is never changed: a newer one stands against it.
#[derive(Serialize, ToSchema)]
#[schema(as = Evidence)]
struct EvidenceBody {
    id: String,
    route: String,
    environment: String,
    kind: KindBody,
    verdict: VerdictBody,
    url: Option<String>,
    summary: String,
    created_by: String,
    created_at: DateTime<Utc>,
}

impl From<KindBody> for EvidenceKind {
    fn from(body: KindBody) -> EvidenceKind {
        match body {
            KindBody::Performance => EvidenceKind::Performance,
            KindBody::Resources => EvidenceKind::Resources,
            KindBody::ErrorRate => EvidenceKind::ErrorRate,
            KindBody::Consistency => EvidenceKind::Consistency,
            KindBody::Backup => EvidenceKind::Backup,
            KindBody::Archive => EvidenceKind::Archive,
            KindBody::ArchiveDeleted => EvidenceKind::ArchiveDeleted,
            KindBody::Other => EvidenceKind::Other,
        }
    }
}

impl From<&Evidence> for EvidenceBody {
    fn from(evidence: &Evidence) -> EvidenceBody {
        EvidenceBody {
            id: evidence.id.clone(),
            route: evidence.route.to_string(),
            environment: evidence.environment.to_string(),
            kind: match evidence.kind {
                EvidenceKind::Performance => KindBody::Performance,
                EvidenceKind::Resources => KindBody::Resources,
                EvidenceKind::ErrorRate => KindBody::ErrorRate,
                EvidenceKind::Consistency => KindBody::Consistency,
                EvidenceKind::Backup => KindBody::Backup,
                EvidenceKind::Archive => KindBody::Archive,
                EvidenceKind::ArchiveDeleted => KindBody::ArchiveDeleted,
                EvidenceKind::Other => KindBody::Other,
            },
            verdict: match evidence.verdict {
                Verdict::Pass => VerdictBody::Pass,
                Verdict::Fail => VerdictBody::Fail,
            },
            url: evidence.url.clone(),
            summary: evidence.summary.clone(),
            created_by: evidence.by.clone(),
            created_at: evidence.at,
        }
    }
}

/// Lists the evidence about a route in an environment, oldest first.
#[utoipa::path(
    tag = "rollouts",
    params(("route" = String, Path, example = "count_commits"), ("environment" = String, Path, example = "production")),
    responses((status = 200, body = Page<EvidenceBody>)),
    security(("token" = ["viewer"]))
)]
#[get("/routes/{route}/environments/{environment}/evidence")]
pub(crate) async fn list(
    app: Data<Arc<App>>,
    _by: By<Viewer>,
    target: OfRollout,
    request: HttpRequest,
) -> Result<HttpResponse, Problem> {
    let found = app
        .blocking(move |services| services.evidence(&target.0))
        .await?;
    let page = Page {
        items: found.iter().map(EvidenceBody::from).collect(),
        next_cursor: None,
    };
    Ok(respond::resource(&request, None, &page))
}

fn read_time(body: &DrawnFromBody) -> Result<DrawnFrom, Failure> {
    let read = |field, at: Option<DateTime<Utc>>| at.map(|at| read_moment(field, at)).transpose();
    Ok(DrawnFrom {
        from: read("telemetry.from", body.from)?,
        until: read("telemetry.until", body.until)?,
    })
}

/// Puts evidence on record. Approvals that were given without it are void.
#[utoipa::path(
    tag = "rollouts",
    params(("route" = String, Path, example = "count_commits"), ("environment" = String, Path, example = "production")),
    request_body = NewEvidenceBody,
    responses((status = 201, body = EvidenceBody)),
    security(("token" = ["operator"]))
)]
#[post("/routes/{route}/environments/{environment}/evidence")]
pub(crate) async fn add(
    app: Data<Arc<App>>,
    target: OfRollout,
    change: Change<Operator, NewEvidenceBody>,
) -> Result<HttpResponse, Problem> {
    without_tag(&change.ctx)?;
    let body = change.body;
    app.blocking(move |services| {
        let new = body.read()?;
        services.add_evidence(&change.ctx, &target.0, &new, &|made| {
            respond::receipt(StatusCode::CREATED, None, &EvidenceBody::from(made))
        })
    })
    .await
    .map(answer)
}
