//! Who asks as an SDK.

use actix_web::dev::Payload;
use actix_web::{FromRequest, HttpRequest};

use super::{app, bearer};
use crate::domain::environment::EnvironmentKey;
use crate::domain::key_kind::KeyKind;
use crate::http::error::{Code, Problem};

/// The one environment that an SDK's key reads. Keys for pages are no SDK's: everybody has them.
pub(crate) struct SdkCaller {
    pub(crate) environment: EnvironmentKey,
    pub(crate) key: String,
}

impl FromRequest for SdkCaller {
    type Error = Problem;
    type Future = std::future::Ready<Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let caller = app(request).and_then(|app| {
            let key = bearer(request.headers(), "SDK key")?;
            let known = app.services.access().known(key).ok_or_else(|| {
                Problem::unauthenticated(
                    "the SDK key is unknown or revoked: make one with `switchover sdk-key create`",
                )
            })?;
            if known.kind == KeyKind::Page {
                return Err(Problem::new(Code::Forbidden, FOR_PAGES));
            }
            Ok(SdkCaller {
                environment: known.environment,
                key: key.to_owned(),
            })
        });
        std::future::ready(caller)
    }
}

const FOR_PAGES: &str = "this SDK key is for pages and opens nothing but /ofrep/v1: for an SDK, make \
                         one with `switchover sdk-key create --kind server`";
