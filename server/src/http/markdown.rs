//! Changes whose body is Markdown as it is.

use std::marker::PhantomData;

use actix_web::dev::Payload;
use actix_web::{FromRequest, HttpRequest};
use serde::Deserialize;
use utoipa::IntoParams;

use crate::domain::text::Reason;
use crate::http::error::Problem;
use crate::http::extract::{MinRole, authorise, context, read_body};
use crate::http::rollouts::read_reason;
use crate::service::{Ctx, Failure};

/// A change with a Markdown body of at most `LONGEST` bytes, by somebody with at least this role.
pub(crate) struct Markdown<R, const LONGEST: usize> {
    pub(crate) ctx: Ctx,
    pub(crate) text: String,
    role: PhantomData<R>,
}

impl<R: MinRole, const LONGEST: usize> FromRequest for Markdown<R, LONGEST> {
    type Error = Problem;
    type Future = std::pin::Pin<Box<dyn Future<Output = Result<Self, Problem>>>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let request = request.clone();
        let payload = payload.take();
        Box::pin(async move {
            let actor = authorise::<R>(&request)?;
            let kind = ("Markdown", "text/markdown");
            let bytes = read_body(&request, payload, kind, LONGEST).await?;
            let text = std::str::from_utf8(&bytes)
                .map_err(|_| Problem::malformed("the body is not UTF-8 text"))?;
            Ok(Markdown {
                ctx: context(&request, actor, &bytes)?,
                text: text.to_owned(),
                role: PhantomData,
            })
        })
    }
}

/// Why something is changed, of requests whose body has no place for it.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct ReasonQuery {
    /// Why; 1 to 1,000 characters.
    #[serde(default)]
    #[param(example = "the alert has moved", required = true)]
    reason: String,
}

impl ReasonQuery {
    pub(crate) fn read(&self) -> Result<Reason, Failure> {
        read_reason(&self.reason)
    }
}
