//! SDK keys, and tokens that are void from now on.

use std::sync::Arc;

use actix_web::http::StatusCode;
use actix_web::web::Data;
use actix_web::{HttpRequest, HttpResponse, get, post};
use askama::Template;
use serde::Deserialize;

use crate::domain::key_kind::KeyKind;
use crate::http::App;
use crate::http::access::NewSdkKeyBody;
use crate::http::error::Problem;
use crate::http::extract::{Admin, Maintainer, Query, id_in_path};
use crate::http::front::host_of;
use crate::http::respond::empty_receipt;
use crate::http::rollouts::read_reason;
use crate::store::SdkKey;
use crate::web::fields::Fields;
use crate::web::form::{Form, Input};
use crate::web::session::Session;
use crate::web::{Section, Shell, Signed, Submitted, Trouble, answer, done};

const LIST: &str = "/keys";

#[derive(Template)]
#[template(path = "keys.html")]
struct KeysPage {
    shell: Shell,
    /// Those in force, by environment and name.
    keys: Vec<SdkKey>,
    revoked: Vec<SdkKey>,
    /// The identity of who looks, by which their own token can be revoked.
    jti: String,
}

#[derive(Template)]
#[template(path = "key_made.html")]
struct KeyMadePage {
    shell: Shell,
    environment: String,
    name: String,
    /// Whether it is for pages, whose visitors can read it.
    is_for_pages: bool,
    /// The key; `None` when it was shown before.
    secret: Option<String>,
    /// Where the server is, as the browser that asked knows it.
    server: String,
}

/// The environment that the form begins with.
#[derive(Deserialize)]
pub(crate) struct Asked {
    #[serde(default)]
    environment: String,
}

#[get("/keys")]
pub(crate) async fn list(
    app: Data<Arc<App>>,
    signed: Signed<Maintainer>,
    request: HttpRequest,
) -> Result<HttpResponse, Trouble> {
    let mut found = app.blocking(|services| services.sdk_keys()).await?;
    found.sort_by(|a, b| (&a.environment, &a.name).cmp(&(&b.environment, &b.name)));
    let (keys, revoked) = found.into_iter().partition(|key| key.revoked_at.is_none());
    let page = KeysPage {
        shell: shell(&app, &signed.session),
        keys,
        revoked,
        jti: signed.session.jti,
    };
    answer(&request, StatusCode::OK, &page)
}

#[get("/new/key")]
pub(crate) async fn ask(
    app: Data<Arc<App>>,
    signed: Signed<Maintainer>,
    query: Query<Asked>,
    request: HttpRequest,
) -> Result<HttpResponse, Trouble> {
    let form = new_form(&app).await?;
    let first = Fields::default().with("environment", query.0.environment);
    form.show(&request, shell(&app, &signed.session), &first)
}

#[post("/new/key")]
pub(crate) async fn create(
    app: Data<Arc<App>>,
    sent: Submitted<Maintainer>,
    request: HttpRequest,
) -> Result<HttpResponse, Trouble> {
    let (environment, name) = (sent.fields.get("environment"), sent.fields.get("name"));
    let asked = NewSdkKeyBody {
        environment: environment.to_owned(),
        name: name.to_owned(),
        kind: sent.fields.some("kind").map(str::to_owned),
    };
    let ctx = sent.ctx;
    let made = app
        .blocking(move |services| {
            services.create_sdk_key(&ctx, &asked.read()?, &|_| empty_receipt())
        })
        .await;
    match made {
        Ok((_, secret)) => {
            let page = KeyMadePage {
                shell: shell(&app, &sent.session),
                environment: environment.to_owned(),
                name: name.to_owned(),
                is_for_pages: sent.fields.get("kind") == KeyKind::Page.name(),
                secret,
                server: public_address(&app, &request),
            };
            answer(&request, StatusCode::OK, &page)
        }
        Err(problem) => {
            let form = new_form(&app).await?;
            form.refuse(&request, shell(&app, &sent.session), &sent.fields, problem)
        }
    }
}

/// What applications call the server by: what the browser called it by.
fn public_address(app: &App, request: &HttpRequest) -> String {
    let connection = request.connection_info();
    let host = host_of(request, &app.front.proxies).unwrap_or_else(|| connection.host());
    format!("{}://{host}{}", connection.scheme(), app.front.prefix)
}

#[get("/keys/{id}/revoke")]
pub(crate) async fn ask_to_revoke(
    app: Data<Arc<App>>,
    signed: Signed<Maintainer>,
    request: HttpRequest,
) -> Result<HttpResponse, Trouble> {
    let form = revoke_form(&app, &request).await?;
    form.show(&request, shell(&app, &signed.session), &Fields::default())
}

#[post("/keys/{id}/revoke")]
pub(crate) async fn revoke(
    app: Data<Arc<App>>,
    sent: Submitted<Maintainer>,
    request: HttpRequest,
) -> Result<HttpResponse, Trouble> {
    let id = id_in_path(&request, "SDK key")?;
    let (reason, ctx) = (sent.fields.get("reason").to_owned(), sent.ctx);
    let revoked = app
        .blocking(move |services| {
            let reason = read_reason(&reason)?;
            services.revoke_sdk_key(&ctx, &id, reason.as_str(), &|()| empty_receipt())
        })
        .await;
    match revoked {
        Ok(_) => Ok(done(
            &request,
            LIST,
            "The key is void. Its streams end within seconds.",
        )),
        Err(problem) => {
            let form = revoke_form(&app, &request).await?;
            form.refuse(&request, shell(&app, &sent.session), &sent.fields, problem)
        }
    }
}

#[get("/new/revocation")]
pub(crate) async fn ask_for_token(
    app: Data<Arc<App>>,
    signed: Signed<Admin>,
    request: HttpRequest,
) -> Result<HttpResponse, Trouble> {
    token_form().show(&request, shell(&app, &signed.session), &Fields::default())
}

#[post("/new/revocation")]
pub(crate) async fn revoke_token(
    app: Data<Arc<App>>,
    sent: Submitted<Admin>,
    request: HttpRequest,
) -> Result<HttpResponse, Trouble> {
    let (jti, ctx) = (sent.fields.get("jti").to_owned(), sent.ctx);
    let reason = sent.fields.get("reason").to_owned();
    let revoked = app
        .blocking(move |services| {
            services.revoke_token(&ctx, &jti, &read_reason(&reason)?, &|_| empty_receipt())
        })
        .await;
    match revoked {
        Ok(_) => Ok(done(&request, LIST, "The token is void on every node.")),
        Err(problem) => {
            token_form().refuse(&request, shell(&app, &sent.session), &sent.fields, problem)
        }
    }
}

fn shell(app: &App, session: &Session) -> Shell {
    Shell::of(session, Section::Keys, app.services.now())
}

async fn new_form(app: &Arc<App>) -> Result<Form, Problem> {
    let found = app.blocking(|services| services.environments()).await?;
    let named = found
        .iter()
        .map(|(environment, _)| (environment.key.to_string(), environment.key.to_string()));
    let kinds = [
        (KeyKind::Server, "applications on servers"),
        (KeyKind::Page, "pages and apps whose users can read it"),
    ]
    .map(|(kind, users)| (kind.to_string(), users.to_owned()));
    Ok(Form::new("Make an SDK key", "/new/key", LIST, "Make the key")
        .says("An application with it reads one environment's flags and reports there. It is shown once.")
        .says("Whoever opens a page can read its key: one for pages answers OpenFeature clients, and nothing else.")
        .asks(Input::choice("environment", "Environment", named.collect()))
        .asks(Input::line("name", "Name").hint("What it is for, such as web."))
        .asks(Input::choice("kind", "For", kinds.to_vec())))
}

async fn revoke_form(app: &Arc<App>, request: &HttpRequest) -> Result<Form, Problem> {
    let id = id_in_path(request, "SDK key")?;
    let keys = app.blocking(|services| services.sdk_keys()).await?;
    let key = keys
        .into_iter()
        .find(|key| key.id == id)
        .ok_or_else(|| Problem::not_found(format!("there is no SDK key `{id}`")))?;
    let address = format!("{LIST}/{id}/revoke");
    Ok(
        Form::new("Revoke an SDK key", address, LIST, "Revoke the key")
            .says(
                "Applications that use it go on with the last flags they have, and hear of no change \
                 and no halt any more. It cannot be taken back.",
            )
            .fact("Environment", key.environment.to_string())
            .fact("Name", key.name)
            .fact("Made by", key.created_by)
            .danger()
            .asks(Input::reason()),
    )
}

fn token_form() -> Form {
    Form::new("Revoke a token", "/new/revocation", LIST, "Revoke the token")
        .says("Whoever has it is refused from then on, on every node, and their pages end. It cannot be taken back.")
        .asks(Input::line("jti", "Identity of the token").hint(
            "Its claim jti. Whoever has the token reads it there; it need not be known here.",
        ))
        .asks(Input::reason())
        .danger()
}
