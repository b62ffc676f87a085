//! The board: every route in every environment.

use std::sync::Arc;

use actix_web::http::StatusCode;
use actix_web::web::Data;
use actix_web::{HttpRequest, HttpResponse, get};
use askama::Template;

use crate::http::App;
use crate::http::extract::Viewer;
use crate::service::RouteWithRollouts;
use crate::store::RouteFilter;
use crate::web::words::StageMark;
use crate::web::{Section, Shell, Signed, Trouble, answer};

#[derive(Template)]
#[template(path = "board.html")]
struct BoardPage {
    shell: Shell,
    routes: Vec<RouteWithRollouts>,
}

#[get("/")]
pub(crate) async fn show(
    app: Data<Arc<App>>,
    signed: Signed<Viewer>,
    request: HttpRequest,
) -> Result<HttpResponse, Trouble> {
    let routes = app
        .blocking(|services| services.routes(&RouteFilter::default(), 100))
        .await?;
    let page = BoardPage {
        shell: Shell::of(&signed.session, Section::Board, app.services.now()),
        routes,
    };
    answer(&request, StatusCode::OK, &page)
}
