//! What a handler takes: who asks (with the role that it needs, in its type), a bounded JSON body,
//! a query, names in the path.

mod sdk_caller;

use std::marker::PhantomData;
use std::sync::Arc;
use std::time::Duration;

use actix_web::dev::Payload;
use actix_web::http::header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderValue, IF_MATCH};
use actix_web::web::{Bytes, BytesMut, Data};
use actix_web::{FromRequest, HttpRequest};
use chrono::{DateTime, Utc};
use serde::de::DeserializeOwned;
use sha2::{Digest as _, Sha256};

use crate::domain::actor::{Actor, Role};
use crate::domain::approval::hex;
use crate::domain::field::FieldError;
use crate::http::App;
use crate::http::error::{Code, Problem};
use crate::service::{Ctx, Target};
use crate::store::IdempotencyKey;
use crate::token::Claims;

pub(crate) use sdk_caller::SdkCaller;

/// The largest body of a request, in bytes.
pub(super) const LARGEST_BODY: usize = 64 * 1024;
/// The largest import.
pub(crate) const LARGEST_IMPORT: usize = 8 * 1024 * 1024;
/// What a body is, by name and by type.
pub(super) const JSON: (&str, &str) = ("JSON", "application/json");
/// How long a body may take to arrive.
const BODY_DEADLINE: Duration = Duration::from_secs(5);

/// A role, as a type.
pub(crate) trait MinRole: 'static {
    const ROLE: Role;
    /// The largest body that its requests may have.
    const LARGEST_BODY: usize = LARGEST_BODY;
}

macro_rules! roles {
    ($($name:ident),*) => {$(
        pub(crate) struct $name;
        impl MinRole for $name {
            const ROLE: Role = Role::$name;
        }
    )*};
}

roles!(Viewer, Operator, Maintainer, Admin);

/// An operator with many routes to import.
pub(crate) struct Importer;

impl MinRole for Importer {
    const ROLE: Role = Role::Operator;
    const LARGEST_BODY: usize = LARGEST_IMPORT;
}

/// Somebody with at least this role.
pub(crate) struct By<R> {
    pub(crate) actor: Actor,
    role: PhantomData<R>,
}

impl<R: MinRole> FromRequest for By<R> {
    type Error = Problem;
    type Future = std::future::Ready<Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        std::future::ready(authorise::<R>(request).map(|actor| By {
            actor,
            role: PhantomData,
        }))
    }
}

/// Somebody with at least this role who stays: what they are let in by, and how long.
pub(crate) struct Staying<R> {
    pub(crate) jti: String,
    pub(crate) until: DateTime<Utc>,
    role: PhantomData<R>,
}

impl<R: MinRole> FromRequest for Staying<R> {
    type Error = Problem;
    type Future = std::future::Ready<Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        std::future::ready(claims::<R>(request).map(|claims| Staying {
            until: claims.ends_at(),
            jti: claims.jti,
            role: PhantomData,
        }))
    }
}

/// A change without a body, by somebody with at least this role.
pub(crate) struct Order<R> {
    pub(crate) ctx: Ctx,
    role: PhantomData<R>,
}

impl<R: MinRole> FromRequest for Order<R> {
    type Error = Problem;
    type Future = std::future::Ready<Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let order = authorise::<R>(request)
            .and_then(|actor| context(request, actor, &Bytes::new()))
            .map(|ctx| Order {
                ctx,
                role: PhantomData,
            });
        std::future::ready(order)
    }
}

/// A change with a JSON body, by somebody with at least this role.
pub(crate) struct Change<R, T> {
    pub(crate) ctx: Ctx,
    pub(crate) body: T,
    role: PhantomData<R>,
}

impl<R: MinRole, T: DeserializeOwned + 'static> FromRequest for Change<R, T> {
    type Error = Problem;
    type Future = std::pin::Pin<Box<dyn Future<Output = Result<Self, Problem>>>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let request = request.clone();
        let payload = payload.take();
        Box::pin(async move {
            let actor = authorise::<R>(&request)?;
            let bytes = read_body(&request, payload, JSON, R::LARGEST_BODY).await?;
            let body = parse(&bytes)?;
            Ok(Change {
                ctx: context(&request, actor, &bytes)?,
                body,
                role: PhantomData,
            })
        })
    }
}

/// A question with a JSON body: it changes nothing, so it needs no name of its own.
pub(crate) struct Ask<R, T> {
    pub(crate) body: T,
    role: PhantomData<R>,
}

impl<R: MinRole, T: DeserializeOwned + 'static> FromRequest for Ask<R, T> {
    type Error = Problem;
    type Future = std::pin::Pin<Box<dyn Future<Output = Result<Self, Problem>>>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let request = request.clone();
        let payload = payload.take();
        Box::pin(async move {
            authorise::<R>(&request)?;
            let bytes = read_body(&request, payload, JSON, R::LARGEST_BODY).await?;
            Ok(Ask {
                body: parse(&bytes)?,
                role: PhantomData,
            })
        })
    }
}

/// A question that needs no body, and takes one.
pub(crate) struct AskOptionally<R, T> {
    pub(crate) body: T,
    role: PhantomData<R>,
}

impl<R: MinRole, T: DeserializeOwned + Default + 'static> FromRequest for AskOptionally<R, T> {
    type Error = Problem;
    type Future = std::pin::Pin<Box<dyn Future<Output = Result<Self, Problem>>>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let request = request.clone();
        let payload = payload.take();
        Box::pin(async move {
            authorise::<R>(&request)?;
            let bytes = if request.headers().contains_key(CONTENT_TYPE) {
                read_body(&request, payload, JSON, R::LARGEST_BODY).await?
            } else {
                Bytes::new()
            };
            let body = if bytes.is_empty() {
                T::default()
            } else {
                parse(&bytes)?
            };
            Ok(AskOptionally {
                body,
                role: PhantomData,
            })
        })
    }
}

/// The query of the request's address.
pub(crate) struct Query<T>(pub(crate) T);

impl<T: DeserializeOwned> FromRequest for Query<T> {
    type Error = Problem;
    type Future = std::future::Ready<Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let text = request.query_string();
        let query = if has_control_characters(text) {
            Err(Problem::malformed("the query has control characters"))
        } else {
            actix_web::web::Query::<T>::from_query(text)
                .map(|query| Query(query.into_inner()))
                .map_err(|error| Problem::malformed(format!("the query cannot be read: {error}")))
        };
        std::future::ready(query)
    }
}

/// Percent-encoded ones: others do not get past the parser of the request line.
fn has_control_characters(query: &str) -> bool {
    query.split('%').skip(1).any(|after| {
        let code = after
            .get(..2)
            .and_then(|hex| u8::from_str_radix(hex, 16).ok());
        code.is_some_and(|code| code < 0x20 || code == 0x7f)
    })
}

/// The rollout that the path names. A name that cannot be one is a thing that does not exist.
pub(crate) struct OfRollout(pub(crate) Target);

impl FromRequest for OfRollout {
    type Error = Problem;
    type Future = std::future::Ready<Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let target = in_path(request, "route", "route").and_then(|route| {
            let environment = in_path(request, "environment", "environment")?;
            Ok(OfRollout(Target { route, environment }))
        });
        std::future::ready(target)
    }
}

/// A name in the path.
pub(crate) fn in_path<T: std::str::FromStr>(
    request: &HttpRequest,
    segment: &str,
    what: &str,
) -> Result<T, Problem> {
    let text = request.match_info().query(segment);
    text.parse().map_err(|_| {
        let shown: String = text.chars().take(100).collect();
        Problem::not_found(format!("there is no {what} `{shown}`"))
    })
}

/// An identity in the path, as it is on record. What cannot be one does not reach the database.
pub(crate) fn id_in_path(request: &HttpRequest, what: &str) -> Result<String, Problem> {
    in_path::<uuid::Uuid>(request, "id", what).map(|id| id.to_string())
}

pub(crate) fn app(request: &HttpRequest) -> Result<&Arc<App>, Problem> {
    request
        .app_data::<Data<Arc<App>>>()
        .map(Data::get_ref)
        .ok_or_else(|| Problem::new(Code::Internal, "the server is not set up"))
}

pub(super) fn authorise<R: MinRole>(request: &HttpRequest) -> Result<Actor, Problem> {
    claims::<R>(request).map(|claims| claims.actor())
}

fn claims<R: MinRole>(request: &HttpRequest) -> Result<Claims, Problem> {
    let app = app(request)?;
    let token = bearer(request.headers(), "token")?;
    let claims = claims_of(app, token)?;
    let role = claims.actor().role;
    if role < R::ROLE {
        return Err(Problem::forbidden(R::ROLE, role));
    }
    Ok(claims)
}

/// What a token says, when it is good and was not revoked.
pub(crate) fn claims_of(app: &App, token: &str) -> Result<Claims, Problem> {
    let claims = app
        .keys
        .verify(token)
        .map_err(|error| Problem::unauthenticated(format!("{error}; {MAKE_ONE}")))?;
    if app.services.access().is_revoked(&claims.jti) {
        return Err(Problem::unauthenticated(format!(
            "the token was revoked; {MAKE_ONE}"
        )));
    }
    Ok(claims)
}

const MAKE_ONE: &str = "make one with `switchover token create`";

fn bearer<'a>(headers: &'a HeaderMap, what: &str) -> Result<&'a str, Problem> {
    let missing = || {
        Problem::unauthenticated(format!(
            "send your {what} in the header `Authorization: Bearer …`"
        ))
    };
    let value = headers.get(AUTHORIZATION).ok_or_else(missing)?;
    let (scheme, credentials) = value
        .to_str()
        .ok()
        .and_then(|value| value.split_once(' '))
        .ok_or_else(missing)?;
    if scheme.eq_ignore_ascii_case("bearer") {
        Ok(credentials.trim())
    } else {
        Err(missing())
    }
}

/// A change of what has no tag: nothing is what the caller says to have seen.
pub(crate) fn without_tag(ctx: &Ctx) -> Result<(), Problem> {
    match ctx.if_match {
        None => Ok(()),
        Some(_) => Err(Problem::new(
            Code::PreconditionFailed,
            "nothing that this changes has a tag: leave If-Match out",
        )),
    }
}

pub(super) fn context(request: &HttpRequest, actor: Actor, body: &Bytes) -> Result<Ctx, Problem> {
    let key = match request.headers().get("idempotency-key") {
        None => None,
        Some(value) => Some(plain("Idempotency-Key", value)?.to_owned()),
    };
    let idempotency = match key {
        Some(key) if request.method() == actix_web::http::Method::POST => {
            if key.is_empty() || key.len() > 255 {
                return Err(Problem::malformed(
                    "the header Idempotency-Key has 1 to 255 characters",
                ));
            }
            Some(IdempotencyKey {
                subject: actor.subject.clone(),
                method: request.method().to_string(),
                path: request.path().to_owned(),
                key,
                body_hash: hex(&Sha256::digest(body)),
            })
        }
        _ => None,
    };
    Ok(Ctx {
        actor,
        if_match: seen_tags(request.headers())?,
        idempotency,
        accepts_loss: false,
    })
}

/// Tags are compared as they are written, so weak ones match nothing. No tag of ours has a comma in
/// it, so that splitting at commas loses none.
fn seen_tags(headers: &HeaderMap) -> Result<Option<Vec<String>>, Problem> {
    let mut tags = None;
    for value in headers.get_all(IF_MATCH) {
        let listed = plain("If-Match", value)?.split(',').map(str::trim);
        tags.get_or_insert_with(Vec::new)
            .extend(listed.map(str::to_owned));
    }
    Ok(tags.filter(|tags| tags != &["*"]))
}

fn plain<'a>(name: &str, value: &'a HeaderValue) -> Result<&'a str, Problem> {
    value
        .to_str()
        .map(str::trim)
        .map_err(|_| Problem::malformed(format!("the header {name} is not plain text")))
}

pub(crate) async fn read_body(
    request: &HttpRequest,
    payload: Payload,
    (name, kind): (&str, &str),
    limit: usize,
) -> Result<Bytes, Problem> {
    let fits = request
        .headers()
        .get(CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.split(';').next())
        .is_some_and(|said| said.trim().eq_ignore_ascii_case(kind));
    if !fits {
        return Err(Problem::new(
            Code::UnsupportedMediaType,
            format!("send the body as {name}, with the header `Content-Type: {kind}`"),
        ));
    }
    receive(payload, limit).await
}

/// A body of any kind: bounded in size and time.
pub(super) async fn receive(payload: Payload, limit: usize) -> Result<Bytes, Problem> {
    match tokio::time::timeout(BODY_DEADLINE, collect(payload, limit)).await {
        Ok(body) => body,
        Err(_) => Err(Problem::new(
            Code::BodyTimeout,
            format!("the body must arrive within {} s", BODY_DEADLINE.as_secs()),
        )),
    }
}

async fn collect(mut payload: Payload, limit: usize) -> Result<Bytes, Problem> {
    use futures_core::Stream as _;
    let mut body = BytesMut::new();
    loop {
        let next = std::future::poll_fn(|cx| std::pin::Pin::new(&mut payload).poll_next(cx)).await;
        let chunk = match next {
            None => return Ok(body.freeze()),
            Some(chunk) => {
                chunk.map_err(|_| Problem::malformed("the body broke off: send it again"))?
            }
        };
        if body.len() + chunk.len() > limit {
            return Err(Problem::new(
                Code::PayloadTooLarge,
                format!("a body here has at most {limit} bytes"),
            ));
        }
        body.extend_from_slice(&chunk);
    }
}

fn parse<T: DeserializeOwned>(bytes: &Bytes) -> Result<T, Problem> {
    let mut reader = serde_json::Deserializer::from_slice(bytes);
    let parsed = serde_path_to_error::deserialize(&mut reader);
    let ended = reader.end();
    match (parsed, ended) {
        (Ok(value), Ok(())) => Ok(value),
        (Ok(_), Err(error)) => Err(Problem::malformed(format!(
            "the body has something after its JSON: {error}"
        ))),
        (Err(error), _) if error.inner().is_data() => {
            let field = error.path().to_string();
            let detail = error.into_inner().to_string();
            Err(Problem::malformed(format!("{field}: {detail}"))
                .with_errors(&[FieldError::new(field, detail)]))
        }
        (Err(error), _) => Err(Problem::malformed(format!(
            "the body is not JSON: {}",
            error.into_inner()
        ))),
    }
}
