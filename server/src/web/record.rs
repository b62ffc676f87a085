//! Whether the record is whole, and the signed checkpoints that show it.

use std::sync::Arc;

use actix_web::http::StatusCode;
use actix_web::web::Data;
use actix_web::{HttpRequest, HttpResponse, get, post};
use askama::Template;
use serde::Deserialize;

use crate::http::App;
use crate::http::extract::{Operator, Query, Viewer};
use crate::http::respond::empty_receipt;
use crate::service::Verification;
use crate::store::StoredCheckpoint;
use crate::web::session::Session;
use crate::web::{Section, Shell, Signed, Submitted, Trouble, answer, done};

/// Checkpoints of a page.
const PAGE: usize = 50;

#[derive(Deserialize)]
pub(crate) struct Asked {
    /// Older than this place.
    before: Option<u64>,
}

#[derive(Template)]
#[template(path = "record.html")]
struct RecordPage {
    shell: Shell,
    checkpoints: Vec<StoredCheckpoint>,
    older: Option<u64>,
    verified: Option<Verification>,
}

#[get("/audit/checkpoints")]
pub(crate) async fn show(
    app: Data<Arc<App>>,
    signed: Signed<Viewer>,
    query: Query<Asked>,
    request: HttpRequest,
) -> Result<HttpResponse, Trouble> {
    page(&app, &signed.session, query.0.before, None, &request).await
}

/// Walks the whole chain. It changes nothing, and takes as long as the record is long: so it is asked
/// for by a form.
#[post("/audit/verify")]
pub(crate) async fn verify(
    app: Data<Arc<App>>,
    sent: Submitted<Viewer>,
    request: HttpRequest,
) -> Result<HttpResponse, Trouble> {
    let keys = Arc::clone(&app.keys);
    let found = app
        .blocking(move |services| services.verify_audit(&keys, &[]))
        .await?;
    page(&app, &sent.session, None, Some(found), &request).await
}

#[post("/audit/checkpoints")]
pub(crate) async fn make(
    app: Data<Arc<App>>,
    sent: Submitted<Operator>,
    request: HttpRequest,
) -> Result<HttpResponse, Trouble> {
    let keys = Arc::clone(&app.keys);
    let ctx = sent.ctx;
    app.blocking(move |services| services.make_checkpoint(&ctx, &keys, &|_| empty_receipt()))
        .await?;
    Ok(done(
        &request,
        "/audit/checkpoints",
        "The record is signed as it is now. Keep the newest checkpoint elsewhere, too.",
    ))
}

async fn page(
    app: &Arc<App>,
    session: &Session,
    before: Option<u64>,
    verified: Option<Verification>,
    request: &HttpRequest,
) -> Result<HttpResponse, Trouble> {
    let mut checkpoints = app
        .blocking(move |services| services.checkpoints(before, PAGE + 1))
        .await?;
    let is_more = checkpoints.len() > PAGE;
    checkpoints.truncate(PAGE);
    let older = checkpoints.last().filter(|_| is_more).map(|last| last.seq);
    let page = RecordPage {
        shell: Shell::of(session, Section::Audit, app.services.now()),
        checkpoints,
        older,
        verified,
    };
    answer(request, StatusCode::OK, &page)
}
