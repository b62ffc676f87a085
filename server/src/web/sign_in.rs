//! Signing in by a token, and out again.

use std::sync::Arc;

use actix_web::http::StatusCode;
use actix_web::http::header::LOCATION;
use actix_web::web::{Data, Payload};
use actix_web::{HttpRequest, HttpResponse, get, post};
use askama::Template;
use serde::Deserialize;

use crate::http::App;
use crate::http::error::{Code, Problem};
use crate::http::extract::{Query, Viewer, read_body};
use crate::web::fields::{FORM, Fields};
use crate::web::session::{Session, cookie, no_cookie, refuse_foreign};
use crate::web::{Shell, Submitted, Trouble, answer};

/// The largest form: a token, and where to go.
const LARGEST: usize = 16 * 1024;

#[derive(Deserialize)]
struct Asked {
    /// Where somebody wanted to go.
    #[serde(default)]
    next: String,
    /// Whether a session has ended.
    ended: Option<String>,
}

#[derive(Template)]
#[template(path = "sign_in.html")]
struct SignInPage {
    shell: Shell,
    next: String,
    has_ended: bool,
    complaint: Option<String>,
}

/// Where to sign in, and what then.
pub(crate) fn address(next: &str, has_ended: bool) -> String {
    let mut query = form_urlencoded::Serializer::new(String::new());
    query.append_pair("next", next);
    if has_ended {
        query.append_pair("ended", "1");
    }
    format!("/sign-in?{}", query.finish())
}

#[get("/sign-in")]
pub(crate) async fn show(
    app: Data<Arc<App>>,
    query: Query<Asked>,
    request: HttpRequest,
) -> Result<HttpResponse, Trouble> {
    let next = inside(&query.0.next).to_owned();
    let page = SignInPage {
        shell: Shell::bare(app.services.now()),
        next,
        has_ended: query.0.ended.is_some(),
        complaint: None,
    };
    answer(&request, StatusCode::OK, &page)
}

#[post("/sign-in")]
pub(crate) async fn enter(
    app: Data<Arc<App>>,
    request: HttpRequest,
    payload: Payload,
) -> Result<HttpResponse, Trouble> {
    refuse_foreign(&request)?;
    let fields = Fields::read(&read_body(&request, payload.into_inner(), FORM, LARGEST).await?);
    let token = fields.get("token");
    let next = inside(fields.get("next"));
    let session = if token.is_empty() {
        Err(Problem::unauthenticated("paste your token"))
    } else {
        Session::by_token(&app, token)
    };
    match session {
        Ok(_) => Ok(HttpResponse::SeeOther()
            .insert_header((LOCATION, next))
            .cookie(cookie(&request, token))
            .finish()),
        Err(problem) if problem.is(Code::Unauthenticated) => {
            let page = SignInPage {
                shell: Shell::bare(app.services.now()),
                next: next.to_owned(),
                has_ended: false,
                complaint: Some(problem.detail().to_owned()),
            };
            answer(&request, StatusCode::UNAUTHORIZED, &page)
        }
        Err(problem) => Err(Trouble::from(problem)),
    }
}

#[post("/sign-out")]
pub(crate) async fn leave(_form: Submitted<Viewer>, request: HttpRequest) -> HttpResponse {
    HttpResponse::SeeOther()
        .insert_header((LOCATION, "/sign-in"))
        .cookie(no_cookie(&request))
        .finish()
}

/// An address of this server, or the first page: nobody is sent elsewhere after signing in. What
/// browsers take for the start of another site's address, or cut out of one, is none of ours.
fn inside(next: &str) -> &str {
    let is_inside = next.starts_with('/')
        && !next.starts_with("//")
        && next
            .bytes()
            .all(|byte| byte.is_ascii_graphic() && byte != b'\\')
        && !next.starts_with("/sign-");
    if is_inside { next } else { "/" }
}

#[cfg(test)]
mod tests {
    use super::{address, inside};

    #[test]
    fn nobody_is_sent_to_another_site() {
        for next in [
            "",
            "//evil.example",
            "https://evil.example",
            "/\\evil",
            "/\t/evil",
            "/a b",
            "/sign-in",
        ] {
            assert_eq!(inside(next), "/", "{next}");
        }
        assert_eq!(inside("/routes/a?b=c%20d"), "/routes/a?b=c%20d");
    }

    #[test]
    fn where_one_wanted_to_go_is_kept() {
        assert_eq!(
            address("/?q=a&b", true),
            "/sign-in?next=%2F%3Fq%3Da%26b&ended=1"
        );
    }
}
