//! Whether the record is whole.

use std::sync::Arc;

use actix_web::web::Data;
use actix_web::{HttpResponse, post};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::domain::checkpoint::Verdict;
use crate::http::App;
use crate::http::error::Problem;
use crate::http::extract::{AskOptionally, Viewer};
use crate::service::Verification;
use crate::token::SignedStatement;

/// What to compare the record with, besides itself.
#[derive(Default, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
#[schema(as = AuditVerificationRequest)]
struct RequestBody {
    /// Checkpoints that were kept elsewhere, at most 100: the `signed` of each.
    checkpoints: Vec<String>,
}

/// Whether the record is whole.
#[derive(Serialize, ToSchema)]
#[schema(as = AuditVerification)]
struct VerificationBody {
    /// Whether every entry vouches for the one before it, and no signed checkpoint says otherwise.
    intact: bool,
    /// How many entries fit.
    entries: u64,
    /// The first place that does not fit.
    broken_at: Option<u64>,
    /// In what way.
    detail: Option<String>,
    /// How many stored checkpoints fit.
    checkpoints: usize,
    /// What somebody should know of the stored checkpoints.
    notes: Vec<String>,
    /// How the given checkpoints fit, in their order; empty when the chain itself is broken.
    given: Vec<GivenBody>,
}

/// How a checkpoint fits that was kept elsewhere.
#[derive(Serialize, ToSchema)]
#[schema(as = GivenCheckpoint)]
struct GivenBody {
    /// The place that it speaks of.
    seq: u64,
    /// The epoch of the database at that time.
    epoch: String,
    at: DateTime<Utc>,
    /// `fits`, `contradicts`, or `restored`: a restore that is on record explains the difference.
    #[schema(example = "fits")]
    verdict: &'static str,
    detail: Option<String>,
    /// Whether its signature was checked: not when it is that of a key which this server does not
    /// have.
    signature_checked: bool,
}

/// Walks the whole chain and names the first entry that does not fit. Compares it with the stored
/// checkpoints and with the given ones, which show also that its end was cut off.
#[utoipa::path(
    tag = "audit",
    request_body = Option<RequestBody>,
    responses((status = 200, body = VerificationBody)),
    security(("token" = ["viewer"]))
)]
#[post("/audit/verify")]
pub(crate) async fn verify(
    app: Data<Arc<App>>,
    ask: AskOptionally<Viewer, RequestBody>,
) -> Result<HttpResponse, Problem> {
    let keys = Arc::clone(&app.keys);
    let given = ask.body.checkpoints;
    let found = app
        .blocking(move |services| services.verify_audit(&keys, &given))
        .await?;
    Ok(HttpResponse::Ok().json(VerificationBody::from(found)))
}

impl From<Verification> for VerificationBody {
    fn from(found: Verification) -> VerificationBody {
        VerificationBody {
            intact: found.broken.is_none(),
            entries: found.entries,
            broken_at: found.broken.as_ref().map(|broken| broken.seq),
            detail: found.broken.map(|broken| broken.detail),
            checkpoints: found.checkpoints,
            notes: found.notes,
            given: found.given.into_iter().map(GivenBody::from).collect(),
        }
    }
}

impl From<(SignedStatement, Verdict)> for GivenBody {
    fn from((signed, verdict): (SignedStatement, Verdict)) -> GivenBody {
        let (verdict, detail) = match verdict {
            Verdict::Fits => ("fits", None),
            Verdict::Contradicts(detail) => ("contradicts", Some(detail)),
            Verdict::Restored(detail) => ("restored", Some(detail)),
        };
        let SignedStatement {
            statement, checked, ..
        } = signed;
        GivenBody {
            seq: statement.seq,
            epoch: statement.epoch,
            at: statement.at,
            verdict,
            detail,
            signature_checked: checked,
        }
    }
}
