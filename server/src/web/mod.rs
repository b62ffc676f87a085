//! The page: what the API shows and does, for people with a browser.
//!
//! Every page is made here by the server and works without a script; the one script adds live
//! updates and shortcuts. Pages ask the same services as the API does, and no rule lives in a
//! template: what may be done is asked of the domain.

pub(crate) mod actions;
mod assets;
mod audit;
mod board;
mod chart;
mod cohorts;
mod difference;
mod environments;
mod explain;
mod fields;
mod forecast;
mod form;
mod freezes;
mod halts;
mod keys;
mod live;
mod new_route;
mod paging;
mod policies;
mod ramp_groups;
mod record;
mod releases;
mod route;
mod session;
mod shell;
mod sign_in;
mod trouble;
mod webhooks;
mod words;

use actix_web::http::StatusCode;
use actix_web::http::header::LOCATION;
use actix_web::web::ServiceConfig;
use actix_web::{HttpRequest, HttpResponse};
use askama::Template;

use crate::domain::actor::Role;
use crate::http::extract::app;

pub(crate) use fields::Submitted;
pub(crate) use session::Signed;
pub(crate) use shell::{Section, Shell};
pub(crate) use trouble::{Trouble, frame};

/// Where the forms are that change a rollout or a route, as patterns of their addresses, and the role
/// that each needs: for who has to know them all.
pub fn page_forms() -> impl Iterator<Item = (String, Role)> {
    let forms = actions::FORMS.iter();
    forms.map(|(place, form, role)| (format!("{place}/{form}"), *role))
}

/// Everything that people see.
pub(crate) fn serve(config: &mut ServiceConfig) {
    config
        .service(assets::style)
        .service(assets::script)
        .service(assets::icon)
        .service(sign_in::show)
        .service(sign_in::enter)
        .service(sign_in::leave)
        .service(live::stream)
        .service(board::show)
        .service(halts::ask)
        .service(halts::halt)
        .service(new_route::ask)
        .service(new_route::create)
        .configure(actions::serve)
        .configure(route::serve)
        .configure(serve_lists);
}

/// What is not about one route alone.
fn serve_lists(config: &mut ServiceConfig) {
    config
        .service(explain::show)
        .service(audit::list)
        .service(audit::export)
        .service(record::show)
        .service(record::verify)
        .service(record::make)
        .service(releases::list)
        .service(releases::ask)
        .service(releases::create)
        .service(releases::manifest)
        .service(releases::ask_to_publish)
        .service(releases::publish)
        .service(releases::ask_to_delete)
        .service(releases::delete)
        .service(releases::show)
        .service(forecast::show)
        .service(forecast::ask)
        .service(environments::list)
        .service(environments::ask)
        .service(environments::create)
        .service(environments::ask_to_change)
        .service(environments::change)
        .service(environments::show)
        .service(freezes::ask)
        .service(freezes::open)
        .service(freezes::ask_to_close)
        .service(freezes::close)
        .service(policies::list)
        .service(policies::ask)
        .service(policies::write)
        .service(policies::ask_to_delete)
        .service(policies::delete)
        .service(policies::show)
        .service(cohorts::list)
        .service(cohorts::ask)
        .service(cohorts::create)
        .service(cohorts::ask_to_change)
        .service(cohorts::change)
        .service(cohorts::ask_to_delete)
        .service(cohorts::delete)
        .service(cohorts::show)
        .service(ramp_groups::ask)
        .service(ramp_groups::put)
        .service(ramp_groups::ask_to_delete)
        .service(ramp_groups::delete)
        .service(keys::list)
        .service(keys::ask)
        .service(keys::create)
        .service(keys::ask_to_revoke)
        .service(keys::revoke)
        .service(keys::ask_for_token)
        .service(keys::revoke_token)
        .configure(serve_webhooks);
}

fn serve_webhooks(config: &mut ServiceConfig) {
    config
        .service(webhooks::list)
        .service(webhooks::ask)
        .service(webhooks::create)
        .service(webhooks::ask_to_change)
        .service(webhooks::change)
        .service(webhooks::ask_to_rotate)
        .service(webhooks::rotate)
        .service(webhooks::ask_to_delete)
        .service(webhooks::delete)
        .service(webhooks::test)
        .service(webhooks::redeliver)
        .service(webhooks::show);
}

/// A page. The notice of the last change was shown with it, and is forgotten.
pub(crate) fn answer(
    request: &HttpRequest,
    status: StatusCode,
    page: &impl Template,
) -> Result<HttpResponse, Trouble> {
    let prefix = &app(request)?.front.prefix;
    let html = page.render().map_err(|error| {
        tracing::error!(%error, "a page cannot be rendered");
        Trouble::broken()
    })?;
    let mut response = HttpResponse::build(status);
    response.content_type("text/html; charset=utf-8");
    if session::notice_of(request).is_some() && !session::is_fetched(request) {
        response.cookie(session::no_notice(request));
    }
    Ok(response.body(prefix.within_page(html)))
}

/// After a change: on to a page that says once what has happened.
pub(crate) fn done(request: &HttpRequest, to: &str, notice: &str) -> HttpResponse {
    HttpResponse::SeeOther()
        .insert_header((LOCATION, to))
        .cookie(session::notice(request, notice))
        .finish()
}
