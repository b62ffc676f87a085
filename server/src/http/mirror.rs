//! What also runs on the other path: shadow reads and dual writes.

use std::sync::Arc;

use actix_web::http::StatusCode;
use actix_web::web::Data;
use actix_web::{HttpResponse, put};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use switchover::{Mirror, Percent};
use utoipa::ToSchema;

use crate::domain::lifecycle::Command;
use crate::domain::rollout::Mirroring;
use crate::http::App;
use crate::http::error::Problem;
use crate::http::extract::{Change, OfRollout, Operator};
use crate::http::rollouts::{TransitionBody, change_rollout, read_reason};
use crate::service::{self, Failure, Target};

/// A mirror to be.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = MirrorChange)]
pub(crate) struct MirrorRequest {
    /// The share of the reads that also run on the other path, to be compared.
    #[schema(value_type = f64, example = 1, minimum = 0, maximum = 100)]
    read_percent: Percent,
    /// The share of the keys whose writes are copied to the other side.
    #[schema(value_type = f64, example = 100, minimum = 0, maximum = 100)]
    write_percent: Percent,
    #[schema(
        example = "shadow reads before opt-in",
        min_length = 1,
        max_length = 1000
    )]
    reason: String,
}

impl MirrorRequest {
    /// What it asks for.
    ///
    /// # Errors
    /// When there is no reason.
    pub(crate) fn read(self, target: Target) -> Result<service::Change, Failure> {
        Ok(service::Change {
            target,
            command: Command::SetMirror(Mirror {
                read: self.read_percent,
                write: self.write_percent,
            }),
            reason: read_reason(&self.reason)?,
            cascade: false,
        })
    }
}

/// What also runs on the other path.
#[derive(Serialize, ToSchema)]
#[schema(as = Mirror)]
pub(crate) struct MirrorBody {
    #[schema(value_type = f64, example = 1)]
    read_percent: Percent,
    #[schema(value_type = f64, example = 100)]
    write_percent: Percent,
    /// Why it was stopped, until somebody sets it again.
    stopped: Option<StoppedBody>,
}

/// Since when, by whom and why a mirror does not run.
#[derive(Serialize, ToSchema)]
#[schema(as = MirrorStop)]
struct StoppedBody {
    at: DateTime<Utc>,
    by: String,
    reason: String,
}

impl From<&Mirroring> for MirrorBody {
    fn from(mirror: &Mirroring) -> MirrorBody {
        MirrorBody {
            read_percent: mirror.shares.read,
            write_percent: mirror.shares.write,
            stopped: mirror.stopped.as_ref().map(|stopped| StoppedBody {
                at: stopped.at,
                by: stopped.by.clone(),
                reason: stopped.reason.clone(),
            }),
        }
    }
}

/// Sets what also runs on the other path; 0 and 0 is nothing. Routes of the operation `call` have no
/// mirror.
#[utoipa::path(
    tag = "rollouts",
    params(("route" = String, Path, example = "count_commits"), ("environment" = String, Path, example = "production")),
    request_body = MirrorRequest,
    responses((status = 200, body = TransitionBody)),
    security(("token" = ["operator"]))
)]
#[put("/routes/{route}/environments/{environment}/mirror")]
pub(crate) async fn put(
    app: Data<Arc<App>>,
    target: OfRollout,
    change: Change<Operator, MirrorRequest>,
) -> Result<HttpResponse, Problem> {
    let body = change.body;
    change_rollout(&app, change.ctx, StatusCode::OK, move || {
        body.read(target.0)
    })
    .await
}
