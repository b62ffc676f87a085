//! Webhooks: who is told of what is put on record, how they fare, and the log of what they were sent.

use std::sync::Arc;

use actix_web::http::StatusCode;
use actix_web::web::Data;
use actix_web::{HttpRequest, HttpResponse, get, post};
use askama::Template;

use crate::domain::webhook::{Attempt, Delivery, DeliveryState, Webhook};
use crate::http::App;
use crate::http::error::Problem;
use crate::http::extract::{Maintainer, Viewer, id_in_path, in_path};
use crate::http::respond::empty_receipt;
use crate::http::rollouts::read_reason;
use crate::http::webhooks::{NewWebhookBody, WebhookPatchBody};
use crate::service::{WebhookView, webhook_tag};
use crate::store::DeliveryFilter;
use crate::web::fields::Fields;
use crate::web::form::{Form, Input};
use crate::web::session::Session;
use crate::web::{Section, Shell, Signed, Submitted, Trouble, answer, done};

const LIST: &str = "/webhooks";
/// So many of the latest messages are listed.
const LISTED: usize = 100;
/// For how long the secret before holds that is replaced here, in hours.
const OVERLAP_HOURS: u32 = 24;

#[derive(Template)]
#[template(path = "webhooks.html")]
struct WebhooksPage {
    shell: Shell,
    webhooks: Vec<WebhookView>,
}

#[derive(Template)]
#[template(path = "webhook.html")]
struct WebhookPage {
    shell: Shell,
    view: WebhookView,
    /// What it was sent, latest first; `None` for whoever may not see it.
    log: Option<Vec<Delivery>>,
}

#[derive(Template)]
#[template(path = "webhook_secret.html")]
struct SecretPage {
    shell: Shell,
    /// The secret; `None` when it was shown before.
    secret: Option<String>,
    /// Whether another one held before.
    is_new: bool,
}

/// What has a state that is seen at a glance.
trait Marked {
    /// The state in a word, and how that looks.
    fn mark(&self) -> (&'static str, &'static str);
}

/// What is told in a line.
trait Line {
    fn line(&self) -> String;
}

impl Marked for WebhookView {
    fn mark(&self) -> (&'static str, &'static str) {
        let is_failing = self.health.failing_since.is_some();
        match self.webhook.state.name() {
            "active" if is_failing => ("failing", "is-bad"),
            "active" if self.health.delivered_at.is_some() => ("active", "is-good"),
            "active" => ("new", "is-wait"),
            "needs_secret" => ("needs a secret", "is-bad"),
            _ => ("disabled", "is-off"),
        }
    }
}

impl Marked for Delivery {
    fn mark(&self) -> (&'static str, &'static str) {
        match self.state {
            DeliveryState::Pending => ("on its way", "is-wait"),
            DeliveryState::Delivered => ("delivered", "is-good"),
            DeliveryState::Failed => ("failed", "is-bad"),
            DeliveryState::GivenUp => ("given up", "is-bad"),
        }
    }
}

/// What it hears of.
impl Line for Webhook {
    fn line(&self) -> String {
        let events: Vec<&str> = self.events.iter().map(|event| event.as_str()).collect();
        let places: Vec<&str> = self.environments.iter().map(|key| key.as_str()).collect();
        let owners: Vec<&str> = self.owners.iter().map(String::as_str).collect();
        let mut told = match events.as_slice() {
            [] => "everything".to_owned(),
            events => events.join(", "),
        };
        if !places.is_empty() {
            told.push_str(" in ");
            told.push_str(&places.join(", "));
        }
        if !owners.is_empty() {
            told.push_str(" on routes of ");
            told.push_str(&owners.join(", "));
        }
        told
    }
}

/// What came of it.
impl Line for Attempt {
    fn line(&self) -> String {
        let status = self.status.map(|status| status.to_string());
        let parts = [status, self.error.clone()];
        let parts: Vec<String> = parts.into_iter().flatten().collect();
        format!("{} ({} ms)", parts.join(": "), self.took_ms)
    }
}

#[get("/webhooks")]
pub(crate) async fn list(
    app: Data<Arc<App>>,
    signed: Signed<Viewer>,
    request: HttpRequest,
) -> Result<HttpResponse, Trouble> {
    let page = WebhooksPage {
        webhooks: app.blocking(|services| services.webhooks()).await?,
        shell: shell(&app, &signed.session),
    };
    answer(&request, StatusCode::OK, &page)
}

#[get("/webhooks/{id}")]
pub(crate) async fn show(
    app: Data<Arc<App>>,
    signed: Signed<Viewer>,
    request: HttpRequest,
) -> Result<HttpResponse, Trouble> {
    let id = id_in_path(&request, "webhook")?;
    let shell = shell(&app, &signed.session);
    let may_see = shell.may_maintain();
    let (view, log) = app
        .blocking(move |services| {
            let view = services.webhook(&id)?;
            let log = match may_see {
                true => Some(services.deliveries(&id, &DeliveryFilter::default(), LISTED)?),
                false => None,
            };
            Ok((view, log))
        })
        .await?;
    answer(&request, StatusCode::OK, &WebhookPage { shell, view, log })
}

#[get("/new/webhook")]
pub(crate) async fn ask(
    app: Data<Arc<App>>,
    signed: Signed<Maintainer>,
    request: HttpRequest,
) -> Result<HttpResponse, Trouble> {
    let form = new_form(&app).await?;
    form.show(&request, shell(&app, &signed.session), &Fields::default())
}

#[post("/new/webhook")]
pub(crate) async fn create(
    app: Data<Arc<App>>,
    sent: Submitted<Maintainer>,
    request: HttpRequest,
) -> Result<HttpResponse, Trouble> {
    let asked = NewWebhookBody {
        name: sent.fields.get("name").to_owned(),
        url: sent.fields.get("url").to_owned(),
        events: sent.fields.lines("events"),
        environments: sent.fields.all("environments").map(str::to_owned).collect(),
        owners: sent.fields.lines("owners"),
        reason: sent.fields.get("reason").to_owned(),
    };
    let ctx = sent.ctx;
    let made = app
        .blocking(move |services| {
            services.create_webhook(&ctx, &asked.read()?, &|_| empty_receipt())
        })
        .await;
    match made {
        Ok((_, secret)) => {
            let page = SecretPage {
                shell: shell(&app, &sent.session),
                secret: secret.map(|secret| secret.reveal().to_owned()),
                is_new: true,
            };
            answer(&request, StatusCode::OK, &page)
        }
        Err(problem) => {
            let form = new_form(&app).await?;
            form.refuse(&request, shell(&app, &sent.session), &sent.fields, problem)
        }
    }
}

#[get("/webhooks/{id}/change")]
pub(crate) async fn ask_to_change(
    app: Data<Arc<App>>,
    signed: Signed<Maintainer>,
    request: HttpRequest,
) -> Result<HttpResponse, Trouble> {
    let webhook = found(&app, &request).await?.webhook;
    let lines = |names: Vec<String>| names.join("\n");
    let mut first = Fields::default()
        .with("name", webhook.name.clone())
        .with("enabled", webhook.is_active().to_string())
        .with(
            "events",
            lines(webhook.events.iter().map(ToString::to_string).collect()),
        )
        .with("owners", lines(webhook.owners.iter().cloned().collect()));
    for environment in &webhook.environments {
        first = first.and("environments", environment.as_str());
    }
    let form = change_form(&app, &webhook).await?;
    form.show(&request, shell(&app, &signed.session), &first)
}

#[post("/webhooks/{id}/change")]
pub(crate) async fn change(
    app: Data<Arc<App>>,
    sent: Submitted<Maintainer>,
    request: HttpRequest,
) -> Result<HttpResponse, Trouble> {
    let id = id_in_path(&request, "webhook")?;
    let to = format!("{LIST}/{id}");
    let environments = sent.fields.all("environments").map(str::to_owned);
    let asked = WebhookPatchBody {
        name: Some(sent.fields.get("name").to_owned()),
        url: sent.fields.some("url").map(str::to_owned),
        events: Some(sent.fields.lines("events")),
        environments: Some(environments.collect()),
        owners: Some(sent.fields.lines("owners")),
        enabled: Some(sent.fields.get("enabled") == "true"),
        reason: sent.fields.get("reason").to_owned(),
    };
    let ctx = sent.ctx;
    let changed = app
        .blocking(move |services| {
            services.change_webhook(&ctx, &id, &asked.read()?, &|_| empty_receipt())
        })
        .await;
    match changed {
        Ok(_) => Ok(done(&request, &to, "The webhook is changed.")),
        Err(problem) => {
            let webhook = found(&app, &request).await?.webhook;
            let form = change_form(&app, &webhook).await?;
            form.refuse(&request, shell(&app, &sent.session), &sent.fields, problem)
        }
    }
}

#[get("/webhooks/{id}/rotate")]
pub(crate) async fn ask_to_rotate(
    app: Data<Arc<App>>,
    signed: Signed<Maintainer>,
    request: HttpRequest,
) -> Result<HttpResponse, Trouble> {
    let form = rotate_form(&found(&app, &request).await?.webhook);
    form.show(&request, shell(&app, &signed.session), &Fields::default())
}

#[post("/webhooks/{id}/rotate")]
pub(crate) async fn rotate(
    app: Data<Arc<App>>,
    sent: Submitted<Maintainer>,
    request: HttpRequest,
) -> Result<HttpResponse, Trouble> {
    let id = id_in_path(&request, "webhook")?;
    let (reason, ctx) = (sent.fields.get("reason").to_owned(), sent.ctx);
    let rotated = app
        .blocking(move |services| {
            let reason = read_reason(&reason)?;
            services.rotate_webhook(&ctx, (&id, OVERLAP_HOURS), &reason, &|_| empty_receipt())
        })
        .await;
    match rotated {
        Ok((_, secret)) => {
            let page = SecretPage {
                shell: shell(&app, &sent.session),
                secret: secret.map(|secret| secret.reveal().to_owned()),
                is_new: false,
            };
            answer(&request, StatusCode::OK, &page)
        }
        Err(problem) => {
            let form = rotate_form(&found(&app, &request).await?.webhook);
            form.refuse(&request, shell(&app, &sent.session), &sent.fields, problem)
        }
    }
}

#[get("/webhooks/{id}/delete")]
pub(crate) async fn ask_to_delete(
    app: Data<Arc<App>>,
    signed: Signed<Maintainer>,
    request: HttpRequest,
) -> Result<HttpResponse, Trouble> {
    let form = delete_form(&found(&app, &request).await?.webhook);
    form.show(&request, shell(&app, &signed.session), &Fields::default())
}

#[post("/webhooks/{id}/delete")]
pub(crate) async fn delete(
    app: Data<Arc<App>>,
    sent: Submitted<Maintainer>,
    request: HttpRequest,
) -> Result<HttpResponse, Trouble> {
    let id = id_in_path(&request, "webhook")?;
    let (reason, ctx) = (sent.fields.get("reason").to_owned(), sent.ctx);
    let deleted = app
        .blocking(move |services| {
            services.delete_webhook(&ctx, &id, &read_reason(&reason)?, &|()| empty_receipt())
        })
        .await;
    match deleted {
        Ok(_) => Ok(done(&request, LIST, "The webhook is deleted.")),
        Err(problem) => {
            let form = delete_form(&found(&app, &request).await?.webhook);
            form.refuse(&request, shell(&app, &sent.session), &sent.fields, problem)
        }
    }
}

#[post("/webhooks/{id}/test")]
pub(crate) async fn test(
    app: Data<Arc<App>>,
    sent: Submitted<Maintainer>,
    request: HttpRequest,
) -> Result<HttpResponse, Trouble> {
    let id = id_in_path(&request, "webhook")?;
    let (to, ctx) = (format!("{LIST}/{id}"), sent.ctx);
    app.blocking(move |services| services.test_webhook(&ctx, &id, &|_| empty_receipt()))
        .await?;
    Ok(done(&request, &to, "A test message is on its way."))
}

#[post("/webhooks/{id}/deliveries/{delivery}/redeliver")]
pub(crate) async fn redeliver(
    app: Data<Arc<App>>,
    sent: Submitted<Maintainer>,
    request: HttpRequest,
) -> Result<HttpResponse, Trouble> {
    let id = id_in_path(&request, "webhook")?;
    let delivery: uuid::Uuid = in_path(&request, "delivery", "delivery")?;
    let (to, ctx) = (format!("{LIST}/{id}"), sent.ctx);
    app.blocking(move |services| {
        let delivery = delivery.to_string();
        services.redeliver(&ctx, (&id, &delivery), &|_| empty_receipt())
    })
    .await?;
    Ok(done(&request, &to, "The message is on its way again."))
}

fn shell(app: &App, session: &Session) -> Shell {
    Shell::of(session, Section::Webhooks, app.services.now())
}

async fn found(app: &Arc<App>, request: &HttpRequest) -> Result<WebhookView, Problem> {
    let id = id_in_path(request, "webhook")?;
    app.blocking(move |services| services.webhook(&id)).await
}

async fn new_form(app: &Arc<App>) -> Result<Form, Problem> {
    let form = Form::new("Make a webhook", "/new/webhook", LIST, "Make the webhook")
        .says("It is told of what is put on record, in signed messages. Its secret is shown once.")
        .asks(Input::line("name", "Name").hint("What it is for, such as release room."))
        .asks(Input::line("url", "Address").hint(
            "https, and a public address unless the server's operator allows others. Its path and \
             query are not shown afterwards.",
        ));
    Ok(with_filters(form, app).await?.asks(Input::reason()))
}

async fn change_form(app: &Arc<App>, webhook: &Webhook) -> Result<Form, Problem> {
    let place = format!("{LIST}/{}", webhook.id);
    let states = [("true", "Send it messages"), ("false", "Send it nothing")];
    let states = states.map(|(value, name)| (value.to_owned(), name.to_owned()));
    let form = Form::new(
        "Change a webhook",
        format!("{place}/change"),
        place,
        "Change the webhook",
    )
    .of(webhook_tag(webhook))
    .fact("Address", webhook.url.to_string())
    .asks(Input::line("name", "Name"))
    .asks(
        Input::line("url", "Another address")
            .hint("The address stays when it is empty.")
            .optional(),
    )
    .asks(
        Input::choice("enabled", "Messages", states.to_vec())
            .hint("What happens while it is sent nothing is not sent later."),
    );
    Ok(with_filters(form, app).await?.asks(Input::reason()))
}

async fn with_filters(form: Form, app: &Arc<App>) -> Result<Form, Problem> {
    let found = app.blocking(|services| services.environments()).await?;
    let named = found
        .iter()
        .map(|(environment, _)| (environment.key.to_string(), environment.key.to_string()));
    Ok(form
        .asks(
            Input::lines("events", "Events", 3)
                .hint(
                    "One a line: a kind, such as release, or one event, such as rollout.halted. All \
                     when it is empty.",
                )
                .optional(),
        )
        .asks(
            Input::boxes("environments", "Environments", named.collect())
                .hint("All, and what belongs to none, when none is ticked."),
        )
        .asks(
            Input::lines("owners", "Owners of routes", 2)
                .hint("One a line. All, and what is about no route, when it is empty.")
                .optional(),
        ))
}

fn rotate_form(webhook: &Webhook) -> Form {
    let place = format!("{LIST}/{}", webhook.id);
    Form::new(
        "Make a new secret",
        format!("{place}/rotate"),
        place,
        "Make the secret",
    )
    .says(format!(
        "It is shown once. For {OVERLAP_HOURS} hours messages are signed with the one before, too, so \
         that nothing is refused while the receiver learns the new one."
    ))
    .fact("Webhook", webhook.name.clone())
    .fact("Address", webhook.url.to_string())
    .asks(Input::reason())
}

fn delete_form(webhook: &Webhook) -> Form {
    let place = format!("{LIST}/{}", webhook.id);
    Form::new(
        "Delete a webhook",
        format!("{place}/delete"),
        place,
        "Delete the webhook",
    )
    .says("It is sent nothing more, and the log of what it was sent goes with it.")
    .fact("Webhook", webhook.name.clone())
    .fact("Address", webhook.url.to_string())
    .fact("Hears", webhook.line())
    .danger()
    .asks(Input::reason())
}
