//! Approvals: given, listed, withdrawn.

use std::sync::Arc;

use actix_web::http::StatusCode;
use actix_web::web::Data;
use actix_web::{HttpRequest, HttpResponse, delete, get, post};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use switchover::Stage;
use utoipa::ToSchema;

use crate::http::App;
use crate::http::error::Problem;
use crate::http::extract::{By, Change, Maintainer, OfRollout, Order, Viewer};
use crate::http::respond::{self, Page, answer};
use crate::service::{ApprovalView, Failure};

/// An approval to be.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NewApproval)]
pub(crate) struct NewApprovalBody {
    /// The stage that is approved: the next one.
    to: Stage,
    #[serde(default)]
    #[schema(example = "evidence, alerts and runbook are good", max_length = 1000)]
    comment: String,
}

impl NewApprovalBody {
    /// What it approves, and what is said of that.
    ///
    /// # Errors
    /// When the comment is too long.
    pub(crate) fn read(self) -> Result<(Stage, String), Failure> {
        let comment = if self.comment.trim().is_empty() {
            "approved".to_owned()
        } else {
            crate::domain::text::bounded(&self.comment, 1_000)
                .ok_or_else(|| Failure::invalid("comment", "has at most 1,000 characters"))?
        };
        Ok((self.to, comment))
    }
}

/// An approval of exactly one promotion.
#[derive(Serialize, ToSchema)]
#[schema(as = Approval)]
struct ApprovalBody {
    id: String,
    route: String,
    environment: String,
    to: Stage,
    approver: String,
    comment: String,
    /// SHA-256 over what was approved: a change of any of it voids the approval.
    digest: String,
    /// Whether it still counts.
    valid: bool,
    created_at: DateTime<Utc>,
}

impl From<&ApprovalView> for ApprovalBody {
    fn from(view: &ApprovalView) -> ApprovalBody {
        let approval = view.approval.clone();
        ApprovalBody {
            id: approval.id,
            route: approval.route.to_string(),
            environment: approval.environment.to_string(),
            to: approval.to,
            approver: approval.approver,
            comment: approval.comment,
            digest: approval.digest.as_str().to_owned(),
            valid: view.valid,
            created_at: approval.created_at,
        }
    }
}

/// Lists the approvals of a rollout, void ones included.
#[utoipa::path(
    tag = "rollouts",
    params(("route" = String, Path, example = "count_commits"), ("environment" = String, Path, example = "production")),
    responses((status = 200, body = Page<ApprovalBody>)),
    security(("token" = ["viewer"]))
)]
#[get("/routes/{route}/environments/{environment}/approvals")]
pub(crate) async fn list(
    app: Data<Arc<App>>,
    _by: By<Viewer>,
    target: OfRollout,
    request: HttpRequest,
) -> Result<HttpResponse, Problem> {
    let found = app
        .blocking(move |services| services.approvals(&target.0))
        .await?;
    let page = Page {
        items: found.iter().map(ApprovalBody::from).collect(),
        next_cursor: None,
    };
    Ok(respond::resource(&request, None, &page))
}

/// Approves the promotion of a rollout as it is now. A later change of what is approved voids it.
#[utoipa::path(
    tag = "rollouts",
    params(("route" = String, Path, example = "count_commits"), ("environment" = String, Path, example = "production")),
    request_body = NewApprovalBody,
    responses((status = 201, body = ApprovalBody)),
    security(("token" = ["maintainer"]))
)]
#[post("/routes/{route}/environments/{environment}/approvals")]
pub(crate) async fn approve(
    app: Data<Arc<App>>,
    target: OfRollout,
    change: Change<Maintainer, NewApprovalBody>,
) -> Result<HttpResponse, Problem> {
    let body = change.body;
    app.blocking(move |services| {
        let (to, comment) = body.read()?;
        services.approve(&change.ctx, &target.0, to, &comment, &|view| {
            respond::receipt(StatusCode::CREATED, None, &ApprovalBody::from(view))
        })
    })
    .await
    .map(answer)
}

/// Withdraws your own approval.
#[utoipa::path(
    tag = "rollouts",
    params(("route" = String, Path, example = "count_commits"), ("environment" = String, Path, example = "production"), ("id" = String, Path)),
    responses((status = 204, description = "Withdrawn")),
    security(("token" = ["maintainer"]))
)]
#[delete("/routes/{route}/environments/{environment}/approvals/{id}")]
pub(crate) async fn withdraw(
    app: Data<Arc<App>>,
    target: OfRollout,
    order: Order<Maintainer>,
    request: HttpRequest,
) -> Result<HttpResponse, Problem> {
    let id: String = request.match_info().query("id").to_owned();
    app.blocking(move |services| {
        services.withdraw_approval(&order.ctx, &target.0, &id, "withdrawn", &|()| {
            respond::empty_receipt()
        })
    })
    .await
    .map(answer)
}
