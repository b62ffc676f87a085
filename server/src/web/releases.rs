//! Releases of on-prem environments: frozen, published, deleted, and what they froze.

use std::sync::Arc;

use actix_web::http::StatusCode;
use actix_web::http::header::CONTENT_DISPOSITION;
use actix_web::web::Data;
use actix_web::{HttpRequest, HttpResponse, get, post};
use askama::Template;
use serde::Deserialize;
use switchover::{Entry, EnvironmentKind, Manifest, Rollout};

use crate::domain::release::{Release, ReleaseState, in_order};
use crate::http::App;
use crate::http::error::Problem;
use crate::http::extract::{Maintainer, Query, Viewer};
use crate::http::releases::{NewReleaseBody, named};
use crate::http::respond::empty_receipt;
use crate::http::rollouts::read_reason;
use crate::service::{Failure, release_tag};
use crate::store::StoreError;
use crate::web::fields::Fields;
use crate::web::form::{Form, Input};
use crate::web::session::Session;
use crate::web::words::{StageMark, exact, setting_name};
use crate::web::{Section, Shell, Signed, Submitted, Trouble, answer, done};

pub(crate) const LIST: &str = "/releases";
/// Releases of all environments that a list takes in.
pub(crate) const MOST_RELEASES: usize = 10_000;
/// Rows of a page.
const PAGE: usize = 100;

#[derive(Template)]
#[template(path = "releases.html")]
struct ReleasesPage {
    shell: Shell,
    /// Newest first.
    releases: Vec<Release>,
    pages: Pages,
    /// Whether there is an environment that releases can be of.
    has_installations: bool,
}

#[derive(Template)]
#[template(path = "release.html")]
struct ReleasePage {
    shell: Shell,
    release: Release,
    rows: Vec<Frozen>,
    pages: Pages,
}

/// A route as a release froze it.
struct Frozen {
    route: String,
    /// `None` for one that this version does not know.
    rollout: Option<Arc<Rollout>>,
}

/// Where a list is.
struct Pages {
    /// From 1.
    at: usize,
    of: usize,
}

impl Pages {
    fn new(asked: Option<usize>, items: usize) -> Pages {
        let of = items.div_ceil(PAGE).max(1);
        Pages {
            at: asked.unwrap_or(1).clamp(1, of),
            of,
        }
    }

    fn cut<T>(&self, items: impl IntoIterator<Item = T>) -> Vec<T> {
        let skipped = (self.at - 1) * PAGE;
        items.into_iter().skip(skipped).take(PAGE).collect()
    }
}

#[derive(Deserialize)]
pub(crate) struct Asked {
    page: Option<usize>,
}

/// What the form for a release begins with.
#[derive(Deserialize)]
pub(crate) struct Begun {
    #[serde(default)]
    environment: String,
    #[serde(default)]
    name: String,
    #[serde(default)]
    based_on: String,
}

#[get("/releases")]
pub(crate) async fn list(
    app: Data<Arc<App>>,
    signed: Signed<Viewer>,
    query: Query<Asked>,
    request: HttpRequest,
) -> Result<HttpResponse, Trouble> {
    let (found, has_installations) = app
        .blocking(|services| {
            let environments = services.environments()?;
            let mut kinds = environments.iter().map(|(environment, _)| environment.kind);
            let has_installations = kinds.any(|kind| kind == EnvironmentKind::OnPrem);
            let found = services.releases(None, None, MOST_RELEASES)?;
            Ok((in_order(found), has_installations))
        })
        .await?;
    let pages = Pages::new(query.0.page, found.len());
    let page = ReleasesPage {
        shell: shell(&app, &signed.session),
        releases: pages.cut(found.into_iter().rev()),
        pages,
        has_installations,
    };
    answer(&request, StatusCode::OK, &page)
}

#[get("/releases/{environment}/{release}")]
pub(crate) async fn show(
    app: Data<Arc<App>>,
    signed: Signed<Viewer>,
    query: Query<Asked>,
    request: HttpRequest,
) -> Result<HttpResponse, Trouble> {
    let (environment, name) = named(&request)?;
    let (release, frozen) = app
        .blocking(move |services| {
            let (release, _) = services.release(&environment, &name)?;
            Ok((release, read(&services.manifest(&environment, &name)?)?))
        })
        .await?;
    let entries = frozen.table().entries();
    let pages = Pages::new(query.0.page, entries.len());
    let rows = pages.cut(entries.iter().map(|(route, entry)| Frozen {
        route: route.to_string(),
        rollout: match entry {
            Entry::Known(rollout) => Some(Arc::clone(rollout)),
            Entry::Unrecognized => None,
        },
    }));
    let page = ReleasePage {
        shell: shell(&app, &signed.session),
        release,
        rows,
        pages,
    };
    answer(&request, StatusCode::OK, &page)
}

/// The manifest as builds embed it, byte for byte.
#[get("/releases/{environment}/{release}/manifest")]
pub(crate) async fn manifest(
    app: Data<Arc<App>>,
    _signed: Signed<Viewer>,
    request: HttpRequest,
) -> Result<HttpResponse, Trouble> {
    let (environment, name) = named(&request)?;
    let text = app
        .blocking(move |services| services.manifest(&environment, &name))
        .await?;
    let file = "attachment; filename=\"switchover.manifest.json\"";
    Ok(HttpResponse::Ok()
        .content_type("application/json")
        .insert_header((CONTENT_DISPOSITION, file))
        .body(text))
}

#[get("/new/release")]
pub(crate) async fn ask(
    app: Data<Arc<App>>,
    signed: Signed<Maintainer>,
    query: Query<Begun>,
    request: HttpRequest,
) -> Result<HttpResponse, Trouble> {
    let begun = query.0;
    let form = new_form(&app).await?;
    let first = Fields::default()
        .with("environment", begun.environment)
        .with("name", begun.name)
        .with("based_on", begun.based_on);
    form.show(&request, shell(&app, &signed.session), &first)
}

#[post("/new/release")]
pub(crate) async fn create(
    app: Data<Arc<App>>,
    sent: Submitted<Maintainer>,
    request: HttpRequest,
) -> Result<HttpResponse, Trouble> {
    let of = |name| sent.fields.some(name).map(str::to_owned);
    let asked = NewReleaseBody {
        name: sent.fields.get("name").to_owned(),
        environment: sent.fields.get("environment").to_owned(),
        after: of("after"),
        based_on: of("based_on"),
        reason: sent.fields.get("reason").to_owned(),
    };
    let to = format!("{LIST}/{}/{}", asked.environment, asked.name);
    let ctx = sent.ctx;
    let frozen = app
        .blocking(move |services| {
            services.freeze_release(&ctx, &asked.read()?, &|_| empty_receipt())
        })
        .await;
    match frozen {
        Ok(_) => Ok(done(
            &request,
            &to,
            "The stages are frozen into a draft. Look at it, then publish it.",
        )),
        Err(problem) => {
            let form = new_form(&app).await?;
            form.refuse(&request, shell(&app, &sent.session), &sent.fields, problem)
        }
    }
}

#[get("/releases/{environment}/{release}/publish")]
pub(crate) async fn ask_to_publish(
    app: Data<Arc<App>>,
    signed: Signed<Maintainer>,
    request: HttpRequest,
) -> Result<HttpResponse, Trouble> {
    let form = publish_form(&found(&app, &request).await?);
    form.show(&request, shell(&app, &signed.session), &Fields::default())
}

#[post("/releases/{environment}/{release}/publish")]
pub(crate) async fn publish(
    app: Data<Arc<App>>,
    sent: Submitted<Maintainer>,
    request: HttpRequest,
) -> Result<HttpResponse, Trouble> {
    let (environment, name) = named(&request)?;
    let to = format!("{LIST}/{environment}/{name}");
    let (reason, ctx) = (sent.fields.get("reason").to_owned(), sent.ctx);
    let published = app
        .blocking(move |services| {
            let reason = read_reason(&reason)?;
            let release = (&environment, &name);
            services.publish_release(&ctx, release, &reason, &|_| empty_receipt())
        })
        .await;
    match published {
        Ok(_) => Ok(done(
            &request,
            &to,
            "The release is published, and stays as it is.",
        )),
        Err(problem) => {
            let form = publish_form(&found(&app, &request).await?);
            form.refuse(&request, shell(&app, &sent.session), &sent.fields, problem)
        }
    }
}

#[get("/releases/{environment}/{release}/delete")]
pub(crate) async fn ask_to_delete(
    app: Data<Arc<App>>,
    signed: Signed<Maintainer>,
    request: HttpRequest,
) -> Result<HttpResponse, Trouble> {
    let form = delete_form(&found(&app, &request).await?);
    form.show(&request, shell(&app, &signed.session), &Fields::default())
}

#[post("/releases/{environment}/{release}/delete")]
pub(crate) async fn delete(
    app: Data<Arc<App>>,
    sent: Submitted<Maintainer>,
    request: HttpRequest,
) -> Result<HttpResponse, Trouble> {
    let (environment, name) = named(&request)?;
    let (reason, ctx) = (sent.fields.get("reason").to_owned(), sent.ctx);
    let deleted = app
        .blocking(move |services| {
            let reason = read_reason(&reason)?;
            let release = (&environment, &name);
            services.delete_release(&ctx, release, reason.as_str(), &|()| empty_receipt())
        })
        .await;
    match deleted {
        Ok(_) => Ok(done(&request, LIST, "The draft is deleted.")),
        Err(problem) => {
            let form = delete_form(&found(&app, &request).await?);
            form.refuse(&request, shell(&app, &sent.session), &sent.fields, problem)
        }
    }
}

pub(crate) fn shell(app: &App, session: &Session) -> Shell {
    Shell::of(session, Section::Releases, app.services.now())
}

/// A manifest of our own: its signature was checked when it was made.
pub(crate) fn read(text: &str) -> Result<Manifest, Failure> {
    Manifest::read_unverified(text)
        .map_err(|error| Failure::Store(StoreError::Corrupt(format!("releases.manifest: {error}"))))
}

async fn found(app: &Arc<App>, request: &HttpRequest) -> Result<Release, Problem> {
    let (environment, name) = named(request)?;
    app.blocking(move |services| Ok(services.release(&environment, &name)?.0))
        .await
}

async fn new_form(app: &Arc<App>) -> Result<Form, Problem> {
    let (environments, releases) = app
        .blocking(|services| {
            Ok((
                services.environments()?,
                services.releases(None, None, MOST_RELEASES)?,
            ))
        })
        .await?;
    let environments = environments
        .iter()
        .filter(|(environment, _)| environment.kind == EnvironmentKind::OnPrem)
        .map(|(environment, _)| (environment.key.to_string(), environment.key.to_string()));
    let ordered = in_order(releases);
    let named = |nothing: &str, only_published: bool| {
        let offered = ordered.iter().rev();
        let offered = offered.filter(|release| release.is_published() || !only_published);
        let nothing = (String::new(), nothing.to_owned());
        std::iter::once(nothing)
            .chain(offered.map(|release| (release.name.to_string(), release.name.to_string())))
            .collect()
    };
    Ok(
        Form::new("Freeze a release", "/new/release", LIST, "Freeze it")
            .says(
                "The present stages of the environment become a signed manifest, which builds embed. \
                 It is a draft until it is published; a draft of the same name is frozen again.",
            )
            .asks(Input::choice(
                "environment",
                "Environment",
                environments.collect(),
            ))
            .asks(Input::line("name", "Name").hint("The product's version, such as 17.5.0."))
            .asks(
                Input::choice("after", "Comes after", named("As it was, or none", false))
                    .optional(),
            )
            .asks(
                Input::choice("based_on", "Patch of", named("None: it freezes the present stages", true))
                    .hint("A patch keeps the stages of a published release.")
                    .optional(),
            )
            .asks(Input::reason()),
    )
}

fn about(release: &Release, title: &str, verb: &str, submit: &'static str) -> Form {
    let at = format!("{LIST}/{}/{}", release.environment, release.name);
    Form::new(
        format!("{title} {}", release.name),
        format!("{at}/{verb}"),
        at,
        submit,
    )
    .fact("Environment", release.environment.to_string())
    .fact("Build", release.build.to_string())
    .fact("Routes", release.routes.to_string())
    .fact("Frozen", exact(release.frozen_at))
    .of(release_tag(release))
}

fn publish_form(release: &Release) -> Form {
    about(release, "Publish", "publish", "Publish it")
        .says("From then on it stays as it is, and counts for the gates of promotions.")
        .asks(Input::reason())
}

fn delete_form(release: &Release) -> Form {
    about(release, "Delete", "delete", "Delete the draft")
        .says("Only a draft that nothing comes after can be deleted.")
        .danger()
        .asks(Input::reason())
}
