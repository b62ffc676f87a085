//! Change freezes: opened and closed. They are listed with the environments.

use std::sync::Arc;

use actix_web::web::Data;
use actix_web::{HttpRequest, HttpResponse, get, post};

use crate::domain::environment::Environment;
use crate::domain::freeze::Freeze;
use crate::http::App;
use crate::http::error::Problem;
use crate::http::extract::{Maintainer, Operator, id_in_path};
use crate::http::freezes::NewFreezeBody;
use crate::http::respond::empty_receipt;
use crate::http::rollouts::read_reason;
use crate::web::fields::Fields;
use crate::web::form::{Form, Input, read_moment};
use crate::web::session::Session;
use crate::web::words::exact;
use crate::web::{Section, Shell, Signed, Submitted, Trouble, done};

const LIST: &str = "/environments";

#[get("/new/freeze")]
pub(crate) async fn ask(
    app: Data<Arc<App>>,
    signed: Signed<Operator>,
    request: HttpRequest,
) -> Result<HttpResponse, Trouble> {
    let form = form(&app).await?;
    form.show(&request, shell(&app, &signed.session), &Fields::default())
}

#[post("/new/freeze")]
pub(crate) async fn open(
    app: Data<Arc<App>>,
    sent: Submitted<Operator>,
    request: HttpRequest,
) -> Result<HttpResponse, Trouble> {
    let (fields, ctx) = (sent.fields.clone(), sent.ctx);
    let opened = app
        .blocking(move |services| {
            let environments = fields.all("environments").map(str::to_owned);
            let asked = NewFreezeBody {
                environments: environments.collect(),
                from: read_moment(&fields, "from")?,
                until: read_moment(&fields, "until")?,
                reason: fields.get("reason").to_owned(),
            };
            services.open_freeze(&ctx, &asked.read()?, &|_| empty_receipt())
        })
        .await;
    match opened {
        Ok(_) => Ok(done(&request, LIST, "The change freeze is on record.")),
        Err(problem) => {
            let form = form(&app).await?;
            form.refuse(&request, shell(&app, &sent.session), &sent.fields, problem)
        }
    }
}

#[get("/freezes/{id}/close")]
pub(crate) async fn ask_to_close(
    app: Data<Arc<App>>,
    signed: Signed<Maintainer>,
    request: HttpRequest,
) -> Result<HttpResponse, Trouble> {
    let form = closing(&app, &request).await?;
    form.show(&request, shell(&app, &signed.session), &Fields::default())
}

#[post("/freezes/{id}/close")]
pub(crate) async fn close(
    app: Data<Arc<App>>,
    sent: Submitted<Maintainer>,
    request: HttpRequest,
) -> Result<HttpResponse, Trouble> {
    let id = id_in_path(&request, "freeze")?;
    let (reason, ctx) = (sent.fields.get("reason").to_owned(), sent.ctx);
    let closed = app
        .blocking(move |services| {
            services.close_freeze(&ctx, &id, &read_reason(&reason)?, &|_| empty_receipt())
        })
        .await;
    match closed {
        Ok(_) => Ok(done(&request, LIST, "The change freeze is closed.")),
        Err(problem) => {
            let form = closing(&app, &request).await?;
            form.refuse(&request, shell(&app, &sent.session), &sent.fields, problem)
        }
    }
}

fn shell(app: &App, session: &Session) -> Shell {
    Shell::of(session, Section::Environments, app.services.now())
}

async fn form(app: &Arc<App>) -> Result<Form, Problem> {
    let found = app.blocking(|services| services.environments()).await?;
    let named = |(environment, _): &(Environment, String)| {
        (environment.key.to_string(), environment.key.to_string())
    };
    let environments = found.iter().map(named).collect();
    Ok(Form::new(
        "Open a change freeze",
        "/new/freeze",
        LIST,
        "Open the freeze",
    )
    .says(
        "While it is open, nothing raises exposure where it applies: no promotion, no higher \
                 ramp, no resume. Halts and demotions go on.",
    )
    .asks(
        Input::boxes("environments", "Where", environments).hint("Everywhere when none is ticked."),
    )
    .asks(Input::moment("from", "From (UTC)").hint("At once when it is empty."))
    .asks(
        Input::moment("until", "Until (UTC)")
            .hint("Until a maintainer closes it when it is empty."),
    )
    .asks(Input::reason()))
}

async fn closing(app: &Arc<App>, request: &HttpRequest) -> Result<Form, Problem> {
    let id = id_in_path(request, "freeze")?;
    let found = app.blocking(|services| services.freezes(true)).await?;
    let mut freezes = found.into_iter().map(|(freeze, _)| freeze);
    let freeze = freezes
        .find(|freeze| freeze.id == id)
        .ok_or_else(|| Problem::not_found(format!("there is no freeze `{id}`")))?;
    let address = format!("/freezes/{id}/close");
    Ok(
        Form::new("Close a change freeze", address, LIST, "Close the freeze")
            .says("From then on exposure can be raised again where it applied.")
            .fact("Where", places(&freeze))
            .fact("Opened by", &freeze.opened_by)
            .fact("Why", &freeze.reason)
            .fact(
                "Until",
                freeze
                    .until
                    .map_or_else(|| "it is closed".to_owned(), exact),
            )
            .asks(Input::reason()),
    )
}

/// Where a freeze applies, in words.
pub(crate) fn places(freeze: &Freeze) -> String {
    if freeze.environments.is_empty() {
        return "everywhere".to_owned();
    }
    let named = freeze.environments.iter().map(ToString::to_string);
    named.collect::<Vec<_>>().join(", ")
}
