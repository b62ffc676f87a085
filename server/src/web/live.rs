//! What the script of a page listens to.

use std::sync::Arc;

use actix_web::web::Data;
use actix_web::{HttpRequest, HttpResponse, get};

use crate::http::App;
use crate::http::events::{EventsQuery, Listener, open};
use crate::http::extract::{Query, Viewer};
use crate::web::{Signed, Trouble};

/// The stream of `/api/v1/events`, for who is signed in.
#[get("/events")]
pub(crate) async fn stream(
    app: Data<Arc<App>>,
    signed: Signed<Viewer>,
    query: Query<EventsQuery>,
    request: HttpRequest,
) -> Result<HttpResponse, Trouble> {
    let listener = Listener {
        jti: signed.session.jti,
        until: signed.session.ends_at,
    };
    Ok(open(&app, listener, &request, query.0.after).await?)
}
