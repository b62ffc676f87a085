//! Who looks at a page: a token in a cookie that no script reads and no other site makes a browser
//! send.
//!
//! The cookie holds the token itself, so that every node knows it, and expiry and revocation are
//! those of the token. Another way to sign in (a login elsewhere) only has to end with a token.

use std::marker::PhantomData;

use actix_web::cookie::{Cookie, SameSite, time};
use actix_web::dev::Payload;
use actix_web::http::header::{HeaderName, ORIGIN};
use actix_web::{FromRequest, HttpRequest};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::{DateTime, Duration, Utc};
use sha2::{Digest as _, Sha256};

use crate::domain::actor::Actor;
use crate::http::App;
use crate::http::error::{Code, Problem};
use crate::http::extract::{MinRole, app, claims_of};
use crate::http::front::host_of;
use crate::token::LONGEST_TTL_DAYS;
use crate::web::Trouble;

const SESSION: &str = "switchover_session";
const NOTICE: &str = "switchover_notice";
/// How long the notice of a change waits for the page that shows it.
const NOTICE_SECONDS: i64 = 30;
/// The longest notice, in bytes: a cookie has room for 4,096.
const LONGEST_NOTICE: usize = 1_500;

/// Somebody who is signed in.
#[derive(Clone)]
pub(crate) struct Session {
    pub(crate) actor: Actor,
    /// The identity of their token, by which it can be revoked.
    pub(crate) jti: String,
    /// When their token ends.
    pub(crate) ends_at: DateTime<Utc>,
    /// What forms of theirs carry: whoever cannot read their pages cannot know it.
    pub(crate) csrf: String,
    /// What was done last, to be said once.
    pub(crate) notice: Option<String>,
}

impl Session {
    /// The session of a request; `None` without a cookie.
    ///
    /// # Errors
    /// When there is a cookie, and its token is not good any more.
    pub(crate) fn of(request: &HttpRequest) -> Result<Option<Session>, Problem> {
        match request.cookie(SESSION) {
            None => Ok(None),
            Some(cookie) => {
                let session = Session::by_token(app(request)?, cookie.value())?;
                Ok(Some(Session {
                    notice: notice_of(request),
                    ..session
                }))
            }
        }
    }

    /// The session that a token gives.
    ///
    /// # Errors
    /// When it is not good.
    pub(crate) fn by_token(app: &App, token: &str) -> Result<Session, Problem> {
        let claims = claims_of(app, token)?;
        Ok(Session {
            actor: claims.actor(),
            ends_at: claims.ends_at(),
            csrf: csrf_of(token),
            jti: claims.jti,
            notice: None,
        })
    }
}

/// Known only to who knows the token, which no script of any site does.
fn csrf_of(token: &str) -> String {
    let mut hash = Sha256::new();
    hash.update(b"switchover form\0");
    hash.update(token);
    URL_SAFE_NO_PAD.encode(hash.finalize())
}

/// A page for somebody with at least this role.
pub(crate) struct Signed<R> {
    pub(crate) session: Session,
    role: PhantomData<R>,
}

impl<R: MinRole> FromRequest for Signed<R> {
    type Error = Trouble;
    type Future = std::future::Ready<Result<Self, Trouble>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        std::future::ready(signed::<R>(request).map(|session| Signed {
            session,
            role: PhantomData,
        }))
    }
}

/// The session of somebody with at least this role.
///
/// # Errors
/// To sign in, where nobody is; and to be refused, where the role is lower.
pub(crate) fn signed<R: MinRole>(request: &HttpRequest) -> Result<Session, Trouble> {
    let session = match Session::of(request) {
        Ok(Some(session)) => session,
        Ok(None) => return Err(Trouble::sign_in(None)),
        Err(problem) if problem.is(Code::Unauthenticated) => {
            return Err(Trouble::sign_in(Some(problem)));
        }
        Err(problem) => return Err(Trouble::from(problem)),
    };
    if session.actor.role < R::ROLE {
        let (needs, has) = (R::ROLE, session.actor.role);
        return Err(Trouble::from(Problem::forbidden(needs, has)));
    }
    Ok(session)
}

/// Refuses what another site has made the browser send.
pub(crate) fn refuse_foreign(request: &HttpRequest) -> Result<(), Problem> {
    let said = |name: &HeaderName| request.headers().get(name)?.to_str().ok();
    let host = host_of(request, &app(request)?.front.proxies);
    let is_ours = match said(&HeaderName::from_static("sec-fetch-site")) {
        Some(site) => matches!(site, "same-origin" | "none"),
        // Browsers that do not say where a request comes from say its origin.
        None => match (said(&ORIGIN), host) {
            (None, _) => true,
            (Some(origin), Some(host)) => {
                origin.split_once("://").is_some_and(|(_, at)| at == host)
            }
            (Some(_), None) => false,
        },
    };
    if is_ours {
        Ok(())
    } else {
        Err(Problem::new(
            Code::Forbidden,
            "the form was sent by another site: open the page itself and send it from there",
        ))
    }
}

/// The cookie of a session. It outlives every token: a browser that has forgotten a token cannot say that its
/// time is over, and the server can.
pub(crate) fn cookie(request: &HttpRequest, token: &str) -> Cookie<'static> {
    let longest = Duration::days(LONGEST_TTL_DAYS + 1);
    kept(request, SESSION, token.to_owned(), longest.num_seconds())
}

/// The cookie that ends a session.
pub(crate) fn no_cookie(request: &HttpRequest) -> Cookie<'static> {
    gone(request, SESSION)
}

pub(crate) fn notice(request: &HttpRequest, text: &str) -> Cookie<'static> {
    let mut end = text.len().min(LONGEST_NOTICE);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    let shown = text.get(..end).unwrap_or_default();
    let value = URL_SAFE_NO_PAD.encode(shown);
    kept(request, NOTICE, value, NOTICE_SECONDS)
}

pub(crate) fn no_notice(request: &HttpRequest) -> Cookie<'static> {
    gone(request, NOTICE)
}

/// What was done last; it is text of our own, and shown as text.
pub(crate) fn notice_of(request: &HttpRequest) -> Option<String> {
    let value = request.cookie(NOTICE)?;
    String::from_utf8(URL_SAFE_NO_PAD.decode(value.value()).ok()?).ok()
}

/// Whether the script asks, to bring a page that is open up to date.
pub(crate) fn is_fetched(request: &HttpRequest) -> bool {
    let mode = request.headers().get("sec-fetch-dest");
    mode.is_some_and(|mode| mode == "empty")
}

fn kept(request: &HttpRequest, name: &'static str, value: String, seconds: i64) -> Cookie<'static> {
    Cookie::build(name, value)
        .path(place(request))
        .http_only(true)
        .same_site(SameSite::Strict)
        // A proxy that speaks TLS says so; who says so without one only harms itself.
        .secure(request.connection_info().scheme() == "https")
        .max_age(time::Duration::seconds(seconds))
        .finish()
}

/// Where browsers send cookies back to: to this server, and not to what else stands at its host.
fn place(request: &HttpRequest) -> String {
    app(request).map_or_else(|_| "/".to_owned(), |app| app.front.prefix.before("/"))
}

fn gone(request: &HttpRequest, name: &'static str) -> Cookie<'static> {
    Cookie::build(name, "")
        .path(place(request))
        .http_only(true)
        .same_site(SameSite::Strict)
        .max_age(time::Duration::ZERO)
        .finish()
}
