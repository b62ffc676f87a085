//! The style sheet, the script and the icon, part of the program. Their addresses change with what
//! is in them, so that browsers keep them for ever and never use old ones.

use std::sync::OnceLock;

use actix_web::http::header::CACHE_CONTROL;
use actix_web::{HttpResponse, get};
use sha2::{Digest as _, Sha256};

use crate::domain::approval::hex;

const STYLE: &str = concat!(
    include_str!("assets/styles/tokens.css"),
    include_str!("assets/styles/base.css"),
    include_str!("assets/styles/parts.css"),
    include_str!("assets/styles/forms.css"),
    include_str!("assets/styles/board.css"),
    include_str!("assets/styles/route.css"),
    include_str!("assets/styles/actions.css"),
    include_str!("assets/styles/pages.css"),
);
const SCRIPT: &str = include_str!("assets/switchover.js");
const ICON: &str = include_str!("assets/icon.svg");

pub(crate) fn style_address() -> &'static str {
    static ADDRESS: OnceLock<String> = OnceLock::new();
    ADDRESS.get_or_init(|| addressed("switchover.css", STYLE))
}

pub(crate) fn script_address() -> &'static str {
    static ADDRESS: OnceLock<String> = OnceLock::new();
    ADDRESS.get_or_init(|| addressed("switchover.js", SCRIPT))
}

fn addressed(name: &str, content: &str) -> String {
    let hash = hex(&Sha256::digest(content));
    let short: String = hash.chars().take(12).collect();
    format!("/assets/{name}?v={short}")
}

#[get("/assets/switchover.css")]
pub(crate) async fn style() -> HttpResponse {
    asset("text/css; charset=utf-8", STYLE)
}

#[get("/assets/switchover.js")]
pub(crate) async fn script() -> HttpResponse {
    asset("text/javascript; charset=utf-8", SCRIPT)
}

#[get("/assets/icon.svg")]
pub(crate) async fn icon() -> HttpResponse {
    asset("image/svg+xml", ICON)
}

fn asset(kind: &str, content: &'static str) -> HttpResponse {
    HttpResponse::Ok()
        .content_type(kind)
        .insert_header((CACHE_CONTROL, "public, max-age=31536000, immutable"))
        .body(content)
}
