//! What promotions wait for outside: stated, confirmed by its owner, removed.

use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use switchover::{RouteKey, Stage};

use crate::domain::approval::hex;
use crate::domain::external::{External, ExternalName, MOST_EXTERNALS};
use crate::domain::text::{Reason, bounded};
use crate::service::route::lock_route;
use crate::service::work::Work;
use crate::service::{Answer, Ctx, Failure, Render, Services};

/// What somebody says of an outside dependency; not checked yet.
#[derive(Clone, Debug)]
pub struct NewExternal {
    /// Who confirms it.
    pub owner: String,
    /// What must be so.
    pub description: String,
    /// The stage that it is needed for; `None` for every promotion.
    pub stage: Option<Stage>,
}

impl Services {
    /// States what promotions of a route wait for, or changes it.
    ///
    /// # Errors
    /// When there is no such route, it is not legal, or not theirs to change.
    pub fn put_external(
        &self,
        ctx: &Ctx,
        key: &RouteKey,
        name: &str,
        new: &NewExternal,
        reason: &Reason,
        render: Render<'_, External>,
    ) -> Result<Answer, Failure> {
        let wanted = parse(name, new)?;
        self.change(ctx, render, |work| {
            let all = locked(work, key)?;
            let before = all.iter().find(|external| external.name == wanted.name);
            work.ctx.expect_tag_of(before.map(external_tag))?;
            let after = match before {
                Some(before) => before.change(wanted.clone(), &work.ctx.actor)?,
                None if all.len() >= MOST_EXTERNALS => {
                    return Err(Failure::Conflict(format!(
                        "`{key}` waits for {MOST_EXTERNALS} outside dependencies, and no route \
                         waits for more: remove one first"
                    )));
                }
                None => wanted.clone(),
            };
            write(
                work,
                key,
                (before, &after),
                ("external_put", reason.as_str()),
            )?;
            Ok(after)
        })
    }

    /// Gives one's word that an outside dependency is there.
    ///
    /// # Errors
    /// When there is none, or it is not theirs to confirm.
    pub fn confirm_external(
        &self,
        ctx: &Ctx,
        key: &RouteKey,
        name: &ExternalName,
        comment: &Reason,
        render: Render<'_, External>,
    ) -> Result<Answer, Failure> {
        self.change(ctx, render, |work| {
            let before = found(work, key, name)?;
            let (actor, now) = (work.ctx.actor.clone(), work.now);
            let after = before.confirm(&actor, comment.as_str(), now)?;
            let action = if after.is_confirmed_for_owner() {
                "external_confirm_for_owner"
            } else {
                "external_confirm"
            };
            write(
                work,
                key,
                (Some(&before), &after),
                (action, comment.as_str()),
            )?;
            Ok(after)
        })
    }

    /// Takes back one's word.
    ///
    /// # Errors
    /// When there is none, or it is not theirs to take back.
    pub fn withdraw_external(
        &self,
        ctx: &Ctx,
        key: &RouteKey,
        name: &ExternalName,
        reason: &Reason,
        render: Render<'_, External>,
    ) -> Result<Answer, Failure> {
        self.change(ctx, render, |work| {
            let before = found(work, key, name)?;
            let after = before.withdraw(&work.ctx.actor)?;
            let action = ("external_withdraw", reason.as_str());
            write(work, key, (Some(&before), &after), action)?;
            Ok(after)
        })
    }

    /// Lets promotions no longer wait for something.
    ///
    /// # Errors
    /// When there is none, or it has changed.
    pub fn remove_external(
        &self,
        ctx: &Ctx,
        key: &RouteKey,
        name: &ExternalName,
        reason: &Reason,
        render: Render<'_, ()>,
    ) -> Result<Answer, Failure> {
        self.change(ctx, render, |work| {
            let before = found(work, key, name)?;
            work.tx.remove_external(key, name)?;
            let record = (json!(before), Value::Null);
            work.record("external_remove", Some(key), None, reason.as_str(), record);
            Ok(())
        })
    }

    /// What promotions of a route wait for, by name.
    ///
    /// # Errors
    /// When there is no such route.
    pub fn externals(&self, key: &RouteKey) -> Result<Vec<External>, Failure> {
        self.store.read(|tx| {
            if tx.route(key)?.is_none() {
                return Err(Failure::missing("route", key));
            }
            Ok(tx.externals(key)?)
        })
    }
}

fn parse(name: &str, new: &NewExternal) -> Result<External, Failure> {
    let text = |field, text: &str, longest| {
        bounded(text, longest).ok_or_else(|| {
            Failure::invalid(
                field,
                format!("must be 1 to {longest} printable characters"),
            )
        })
    };
    if new.stage == Some(Stage::ReadyForTesting) {
        let detail = "is opt_in, opt_out or mandatory: a promotion leads there";
        return Err(Failure::invalid("stage", detail));
    }
    Ok(External {
        name: name
            .parse()
            .map_err(|detail: &str| Failure::invalid("name", detail))?,
        owner: text("owner", &new.owner, 200)?,
        description: text("description", &new.description, 1_000)?,
        stage: new.stage,
        confirmed: None,
    })
}

/// What the route waits for, with the route locked: promotions are judged by it.
fn locked(work: &mut Work<'_, '_>, key: &RouteKey) -> Result<Vec<External>, Failure> {
    lock_route(work, key)?;
    work.route(key)?;
    Ok(work.tx.externals(key)?)
}

fn found(
    work: &mut Work<'_, '_>,
    key: &RouteKey,
    name: &ExternalName,
) -> Result<External, Failure> {
    let all = locked(work, key)?;
    let found = all.into_iter().find(|external| external.name == *name);
    work.ctx.expect_tag_of(found.as_ref().map(external_tag))?;
    found.ok_or_else(|| Failure::missing("outside dependency", name))
}

fn write(
    work: &mut Work<'_, '_>,
    key: &RouteKey,
    (before, after): (Option<&External>, &External),
    (action, reason): (&'static str, &str),
) -> Result<(), Failure> {
    if before == Some(after) {
        return Ok(());
    }
    work.tx.put_external(key, after)?;
    let record = (before.map_or(Value::Null, |it| json!(it)), json!(after));
    work.record(action, Some(key), None, reason, record);
    Ok(())
}

/// The tag of its present state.
#[must_use]
pub fn external_tag(external: &External) -> String {
    let hash = hex(&Sha256::digest(json!(external).to_string()));
    format!("\"{}\"", hash.chars().take(32).collect::<String>())
}
