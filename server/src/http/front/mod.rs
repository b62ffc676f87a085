//! How clients reach the server: by TLS or behind a proxy, and below which path.

mod caller;
mod prefix;
mod tls;

use actix_web::body::MessageBody;
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::Uri;
use actix_web::http::header::{HeaderValue, LOCATION};
use actix_web::http::uri::PathAndQuery;
use actix_web::middleware::Next;
use actix_web::web::Data;
use std::sync::Arc;

use crate::http::{App, CorsOrigins};

pub use caller::Proxies;
pub(crate) use caller::{address_of, host_of};
pub use prefix::PathPrefix;
pub use tls::{Certificates, TlsError, TlsFiles};

/// How clients reach the server.
#[derive(Clone, Debug, Default)]
pub struct Front {
    /// The path below which clients see it; nothing by default.
    pub prefix: PathPrefix,
    /// The proxies whose word is taken for who calls.
    pub proxies: Proxies,
    /// The certificate; without one it speaks HTTP.
    pub tls: Option<Arc<Certificates>>,
    /// The pages of other sites that may evaluate flags; none by default.
    pub cors_origins: CorsOrigins,
}

/// Takes the prefix off what is asked for, and puts it before where answers lead to. A proxy may pass
/// the prefix on or take it off itself: both arrive.
pub(crate) async fn under_prefix(
    mut request: ServiceRequest,
    next: Next<impl MessageBody>,
) -> Result<ServiceResponse<impl MessageBody>, actix_web::Error> {
    let prefix = request
        .app_data::<Data<Arc<App>>>()
        .map(|app| app.front.prefix.clone())
        .unwrap_or_default();
    if let Some(inner) = inner_uri(&prefix, request.uri()) {
        request.match_info_mut().get_mut().update(&inner);
        request.head_mut().uri = inner;
    }
    let mut response = next.call(request).await?;
    let leads_to = response.headers().get(LOCATION);
    let within = leads_to
        .and_then(|to| to.to_str().ok())
        .filter(|to| to.starts_with('/') && !to.starts_with("//"))
        .and_then(|to| HeaderValue::from_str(&prefix.before(to)).ok());
    if let Some(within) = within {
        response.headers_mut().insert(LOCATION, within);
    }
    Ok(response)
}

/// What is asked for without the prefix; `None` where it does not stand there.
fn inner_uri(prefix: &PathPrefix, uri: &Uri) -> Option<Uri> {
    let inner = prefix.strip(uri.path_and_query()?.as_str())?;
    let mut parts = uri.clone().into_parts();
    parts.path_and_query = Some(PathAndQuery::try_from(inner.as_ref()).ok()?);
    Uri::from_parts(parts).ok()
}
