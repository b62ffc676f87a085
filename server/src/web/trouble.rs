//! What goes wrong, as a page: what happened, and what to do next.

use std::borrow::Cow;
use std::fmt;

use actix_web::body::MessageBody;
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::header::{
    ACCEPT, CACHE_CONTROL, CONTENT_SECURITY_POLICY, HeaderName, HeaderValue, LOCATION, REFERER,
    REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS,
};
use actix_web::http::{Method, StatusCode};
use actix_web::middleware::Next;
use actix_web::{HttpRequest, HttpResponse, ResponseError};
use askama::Template;

use crate::http::error::{Code, GateLine, Problem};
use crate::http::extract::app;
use crate::service::Failure;
use crate::web::session::{Session, no_cookie};
use crate::web::{Section, Shell, answer, sign_in};

/// Nothing from elsewhere, and no script or style but those of the program.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; \
                      img-src 'self' data:; connect-src 'self'; form-action 'self'; \
                      base-uri 'none'; frame-ancestors 'none'";

/// Why a page is not what was asked for.
#[derive(Debug)]
pub(crate) enum Trouble {
    /// Nobody is signed in; or somebody was, and why no more.
    SignIn(Option<Problem>),
    /// What the API would say.
    Problem(Problem),
}

impl Trouble {
    pub(crate) fn sign_in(why: Option<Problem>) -> Trouble {
        Trouble::SignIn(why)
    }

    pub(crate) fn broken() -> Trouble {
        Trouble::Problem(Problem::new(
            Code::Internal,
            "the page cannot be made; the server's log says why",
        ))
    }
}

impl From<Problem> for Trouble {
    fn from(problem: Problem) -> Trouble {
        Trouble::Problem(problem)
    }
}

impl From<Failure> for Trouble {
    fn from(failure: Failure) -> Trouble {
        Trouble::Problem(Problem::from(failure))
    }
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Trouble::SignIn(None) => f.write_str("nobody is signed in"),
            Trouble::SignIn(Some(problem)) | Trouble::Problem(problem) => problem.fmt(f),
        }
    }
}

impl ResponseError for Trouble {
    fn status_code(&self) -> StatusCode {
        match self {
            Trouble::SignIn(_) => StatusCode::UNAUTHORIZED,
            Trouble::Problem(problem) => problem.status_code(),
        }
    }

    /// Without the page around it, which [`frame`] adds: it knows the request.
    fn error_response(&self) -> HttpResponse {
        HttpResponse::build(self.status_code()).finish()
    }
}

/// What the API says of a failure, as a page.
#[derive(Template)]
#[template(path = "trouble.html")]
struct TroublePage {
    shell: Shell,
    title: &'static str,
    status: u16,
    detail: String,
    gates: Vec<GateLine>,
}

/// Around everything that people see: headers that keep a page to itself, and errors as pages.
pub(crate) async fn frame(
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<impl MessageBody>, actix_web::Error> {
    let response = match next.call(request).await {
        Ok(response) => response,
        Err(error) => return Err(error),
    };
    let (request, response) = response.into_parts();
    let shown = match response.error() {
        Some(error) => as_page(&request, error),
        None => None,
    };
    let mut response = match shown {
        Some(page) => page.map_into_boxed_body(),
        None => response.map_into_boxed_body(),
    };
    let headers = response.headers_mut();
    let mut set = |name: HeaderName, value: &'static str| {
        if !headers.contains_key(&name) {
            headers.insert(name, HeaderValue::from_static(value));
        }
    };
    set(CONTENT_SECURITY_POLICY, POLICY);
    set(X_CONTENT_TYPE_OPTIONS, "nosniff");
    set(X_FRAME_OPTIONS, "DENY");
    set(REFERRER_POLICY, "same-origin");
    set(CACHE_CONTROL, "no-store");
    set(
        HeaderName::from_static("cross-origin-opener-policy"),
        "same-origin",
    );
    Ok(ServiceResponse::new(request, response))
}

/// `None` for who does not read pages: a program gets the API's problem.
fn as_page(request: &HttpRequest, error: &actix_web::Error) -> Option<HttpResponse> {
    if let Some(trouble) = error.as_error::<Trouble>() {
        return Some(match trouble {
            Trouble::SignIn(why) => to_sign_in(request, why.as_ref()),
            Trouble::Problem(problem) => show(request, problem),
        });
    }
    let problem = error.as_error::<Problem>()?;
    reads_pages(request).then(|| show(request, problem))
}

fn reads_pages(request: &HttpRequest) -> bool {
    let accepts = request.headers().get(ACCEPT);
    accepts
        .and_then(|accepts| accepts.to_str().ok())
        .is_some_and(|accepts| accepts.contains("text/html"))
}

fn to_sign_in(request: &HttpRequest, why: Option<&Problem>) -> HttpResponse {
    let asked = request.uri().path_and_query();
    let next = match *request.method() {
        Method::GET => asked.map(|at| Cow::Borrowed(at.as_str())),
        // A form that was sent is not sent again: back to the page that it stood on.
        _ => came_from(request),
    };
    let to = sign_in::address(next.as_deref().unwrap_or("/"), why.is_some());
    let mut response = HttpResponse::SeeOther();
    response.insert_header((LOCATION, to));
    if why.is_some() {
        response.cookie(no_cookie(request));
    }
    response.finish()
}

/// The page of this server that a form stood on; its address alone, and not whose it is, so that it
/// does not matter who said it.
fn came_from(request: &HttpRequest) -> Option<Cow<'_, str>> {
    let page = request.headers().get(REFERER)?.to_str().ok()?;
    let (_, behind) = page.split_once("://")?;
    let page = behind.find('/').and_then(|at| behind.get(at..))?;
    let prefix = &app(request).ok()?.front.prefix;
    Some(prefix.strip(page).unwrap_or(Cow::Borrowed(page)))
}

fn show(request: &HttpRequest, problem: &Problem) -> HttpResponse {
    let bare = || HttpResponse::build(problem.status_code()).finish();
    let Ok(app) = app(request) else {
        return bare();
    };
    let now = app.services.now();
    let shell = match Session::of(request) {
        Ok(Some(session)) => Shell::of(&session, Section::Other, now),
        _ => Shell::bare(now),
    };
    let page = TroublePage {
        shell,
        title: problem.title(),
        status: problem.status_code().as_u16(),
        detail: problem.detail().to_owned(),
        gates: problem.gates(),
    };
    answer(request, problem.status_code(), &page).unwrap_or_else(|_| bare())
}
