//! The record: who changed what, when and why, by filters that stand in the address.

use std::collections::BTreeSet;
use std::sync::Arc;

use actix_web::http::StatusCode;
use actix_web::http::header::CONTENT_DISPOSITION;
use actix_web::web::Data;
use actix_web::{HttpRequest, HttpResponse, get};
use askama::Template;
use chrono::{DateTime, Utc};
use serde::Deserialize;

use crate::domain::audit::AuditEntry;
use crate::http::App;
use crate::http::export::{ExportQuery, lines};
use crate::http::extract::{Query, Viewer};
use crate::store::{AuditFilter, StoredEntry};
use crate::web::difference::{Difference, difference};
use crate::web::fields::Fields;
use crate::web::form::read_moment;
use crate::web::paging::query;
use crate::web::{Section, Shell, Signed, Trouble, answer};

/// Entries of a page.
const PAGE: usize = 50;

/// Which entries somebody wants to see; empty fields ask for nothing.
#[derive(Clone, Default, Deserialize)]
pub(crate) struct Asked {
    #[serde(default)]
    route: String,
    #[serde(default)]
    environment: String,
    #[serde(default)]
    by: String,
    #[serde(default)]
    action: String,
    #[serde(default)]
    from: String,
    #[serde(default)]
    until: String,
    /// Older than this place.
    before: Option<u64>,
}

/// An entry as it is shown.
struct Told {
    entry: AuditEntry,
    hash: String,
    difference: Difference,
}

impl Told {
    fn of(stored: StoredEntry) -> Told {
        Told {
            difference: difference(&stored.entry.before, &stored.entry.after),
            hash: stored.hash,
            entry: stored.entry,
        }
    }

    /// Whether a rule was broken knowingly: it is shown in red.
    fn breaks_glass(&self) -> bool {
        self.entry.action.contains("break_glass")
    }

    /// What was done, in words.
    fn action(&self) -> String {
        self.entry.action.replace('_', " ")
    }
}

#[derive(Template)]
#[template(path = "audit.html")]
struct AuditPage {
    shell: Shell,
    asked: Asked,
    entries: Vec<Told>,
    environments: Vec<String>,
    /// What was done in the entries that are shown: for the field to suggest.
    actions: BTreeSet<String>,
    /// Which fields are no moments.
    wrong: BTreeSet<&'static str>,
    /// Where the next page is.
    older: Option<String>,
    /// Where the newest entries are, on a page of older ones.
    newest: Option<String>,
    export: String,
    is_filtered: bool,
}

#[get("/audit")]
pub(crate) async fn list(
    app: Data<Arc<App>>,
    signed: Signed<Viewer>,
    asked: Query<Asked>,
    request: HttpRequest,
) -> Result<HttpResponse, Trouble> {
    let asked = asked.0;
    let mut wrong = BTreeSet::new();
    let filter = AuditFilter {
        route: some(&asked.route),
        environment: some(&asked.environment),
        subject: some(&asked.by),
        // As it is shown, too.
        action: some(&asked.action).map(|action| action.replace(' ', "_")),
        from: moment("from", &asked.from, &mut wrong),
        until: moment("until", &asked.until, &mut wrong),
        before: asked.before,
    };
    let file = export_address(&filter);
    let (mut found, environments) = app
        .blocking(move |services| {
            Ok((services.audit(&filter, PAGE + 1)?, services.environments()?))
        })
        .await?;
    let is_more = found.len() > PAGE;
    found.truncate(PAGE);
    let older = found.last().filter(|_| is_more);
    let older = older.map(|last| asked.address(Some(last.entry.seq)));
    let page = AuditPage {
        shell: Shell::of(&signed.session, Section::Audit, app.services.now()),
        actions: found
            .iter()
            .map(|found| found.entry.action.replace('_', " "))
            .collect(),
        entries: found.into_iter().map(Told::of).collect(),
        environments: environments
            .iter()
            .map(|(environment, _)| environment.key.to_string())
            .collect(),
        older,
        newest: asked.before.map(|_| asked.address(None)),
        is_filtered: asked.address(None) != "/audit",
        export: file,
        asked,
        wrong,
    };
    let status = if page.wrong.is_empty() {
        StatusCode::OK
    } else {
        StatusCode::UNPROCESSABLE_ENTITY
    };
    answer(&request, status, &page)
}

/// The record as a file, as the API hands it out.
#[get("/audit/export")]
pub(crate) async fn export(
    app: Data<Arc<App>>,
    _signed: Signed<Viewer>,
    query: Query<ExportQuery>,
) -> Result<HttpResponse, Trouble> {
    let mut response = lines(&app, query.0).await?;
    response.headers_mut().insert(
        CONTENT_DISPOSITION,
        actix_web::http::header::HeaderValue::from_static("attachment; filename=\"audit.jsonl\""),
    );
    Ok(response)
}

impl Asked {
    /// Where the entries older than a place are, by the same filters.
    fn address(&self, before: Option<u64>) -> String {
        let before = before.map(|before| before.to_string()).unwrap_or_default();
        let parts = [
            ("route", self.route.as_str()),
            ("environment", &self.environment),
            ("by", &self.by),
            ("action", &self.action),
            ("from", &self.from),
            ("until", &self.until),
            ("before", &before),
        ];
        format!("/audit{}", query(&parts))
    }
}

fn export_address(filter: &AuditFilter) -> String {
    let text = |text: &Option<String>| text.clone().unwrap_or_default();
    let at = |at: Option<DateTime<Utc>>| at.map(|at| at.to_rfc3339()).unwrap_or_default();
    let parts = [
        ("route", &*text(&filter.route)),
        ("environment", &text(&filter.environment)),
        ("by", &text(&filter.subject)),
        ("action", &text(&filter.action)),
        ("from", &at(filter.from)),
        ("to", &at(filter.until)),
    ];
    format!("/audit/export{}", query(&parts))
}

fn some(text: &str) -> Option<String> {
    Some(text.trim().to_owned()).filter(|text| !text.is_empty())
}

fn moment(
    name: &'static str,
    text: &str,
    wrong: &mut BTreeSet<&'static str>,
) -> Option<DateTime<Utc>> {
    let read = read_moment(&Fields::default().with(name, text.trim()), name);
    read.unwrap_or_else(|_| {
        wrong.insert(name);
        None
    })
}
