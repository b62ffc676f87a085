//! Runbooks kept here: put, read, removed.

use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use switchover::RouteKey;

use crate::domain::approval::hex;
use crate::domain::route::Route;
use crate::domain::runbook::Runbook;
use crate::domain::text::Reason;
use crate::service::route::lock_route;
use crate::service::{Answer, Ctx, Failure, Render, Services};

/// A runbook, with what it lacks and its tag.
#[derive(Clone, Debug)]
pub struct RunbookView {
    /// The runbook.
    pub runbook: Runbook,
    /// What the gate `runbook` still wants it to say.
    pub lacks: Vec<String>,
    /// The tag of this text.
    pub tag: String,
}

impl Services {
    /// Keeps a runbook, in the place of the one before.
    ///
    /// # Errors
    /// When there is no such route, the runbook is not legal, or has changed.
    pub fn put_runbook(
        &self,
        ctx: &Ctx,
        key: &RouteKey,
        text: &str,
        reason: &Reason,
        render: Render<'_, RunbookView>,
    ) -> Result<Answer, Failure> {
        self.change(ctx, render, |work| {
            lock_route(work, key)?;
            let route = work.route(key)?;
            let by = work.ctx.actor.subject.clone();
            let runbook = Runbook::new(text.to_owned(), by, work.now)
                .map_err(|detail| Failure::invalid("", detail))?;
            let before = work.tx.runbook(key)?;
            work.ctx.expect_tag_of(before.as_ref().map(tag))?;
            if let Some(before) = before.as_ref().filter(|before| before.text == text) {
                return Ok(view(&route, before.clone()));
            }
            work.tx.put_runbook(key, &runbook)?;
            let record = (described(before.as_ref()), described(Some(&runbook)));
            work.record("runbook_put", Some(key), None, reason.as_str(), record);
            Ok(view(&route, runbook))
        })
    }

    /// Removes a runbook.
    ///
    /// # Errors
    /// When there is none, or it has changed.
    pub fn remove_runbook(
        &self,
        ctx: &Ctx,
        key: &RouteKey,
        reason: &Reason,
        render: Render<'_, ()>,
    ) -> Result<Answer, Failure> {
        self.change(ctx, render, |work| {
            lock_route(work, key)?;
            work.route(key)?;
            let before = work.tx.runbook(key)?;
            work.ctx.expect_tag_of(before.as_ref().map(tag))?;
            let before = before.ok_or_else(|| Failure::missing("runbook of", key))?;
            work.tx.remove_runbook(key)?;
            let record = (described(Some(&before)), Value::Null);
            work.record("runbook_remove", Some(key), None, reason.as_str(), record);
            Ok(())
        })
    }

    /// The runbook of a route.
    ///
    /// # Errors
    /// When there is no such route, or its runbook is not kept here.
    pub fn runbook(&self, key: &RouteKey) -> Result<RunbookView, Failure> {
        self.store.read(|tx| {
            let route = tx.route(key)?;
            let route = route.ok_or_else(|| Failure::missing("route", key))?;
            let runbook = tx.runbook(key)?;
            let runbook = runbook.ok_or_else(|| Failure::missing("runbook of", key))?;
            Ok(view(&route, runbook))
        })
    }
}

fn view(route: &Route, runbook: Runbook) -> RunbookView {
    RunbookView {
        lacks: runbook.lacks(&route.spec.flag, &route.spec.key),
        tag: tag(&runbook),
        runbook,
    }
}

/// Two that say the same, put at different times, are two states.
fn tag(runbook: &Runbook) -> String {
    let state = format!("{} {}", runbook.put_at.timestamp_micros(), runbook.digest());
    let hash = hex(&Sha256::digest(state));
    format!("\"{}\"", hash.chars().take(32).collect::<String>())
}

/// What the record keeps: not the text, which may be long, but which it was.
fn described(runbook: Option<&Runbook>) -> Value {
    runbook.map_or(Value::Null, |runbook| {
        json!({
            "sha256": runbook.digest(),
            "bytes": runbook.text.len(),
            "put_by": runbook.put_by,
            "put_at": runbook.put_at,
        })
    })
}
