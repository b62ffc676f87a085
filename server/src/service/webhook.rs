//! Webhooks: made, changed, rotated, deleted, listed. A secret is shown once, when it is made; the
//! store keeps it sealed, because messages are signed with it, and the address too, because whoever
//! has it can post there.

mod deliveries;
mod outbox;

use std::collections::BTreeSet;
use std::sync::Arc;

use aws_lc_rs::rand;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chrono::Duration;
use serde_json::Value;

use crate::domain::environment::EnvironmentKey;
use crate::domain::text::{Reason, bounded};
use crate::domain::webhook::{
    Health, ReceiverUrl, Secret, Secrets, Selector, Webhook, WebhookState,
};
use crate::outbound::{Rules, Target};
use crate::sealing::Seal;
use crate::service::work::Work;
use crate::service::{Answer, Ctx, Failure, Render, Services};
use crate::store::{KeptWebhook, Sealed, StoreError};

pub use outbox::{Outgoing, Sending, Waiting};

/// The most webhooks: each change looks at all of them.
const MOST_WEBHOOKS: usize = 100;
/// The most names of one filter.
const MOST_NAMED: usize = 100;
/// How long the secret before holds at most, in hours.
const LONGEST_OVERLAP_HOURS: u32 = 7 * 24;

/// What webhooks need of the server: how secrets are kept, and what may be reached.
pub(super) struct Webhooking {
    seal: Seal,
    rules: Arc<Rules>,
}

/// A webhook as somebody wants it.
#[derive(Clone, Debug)]
pub struct NewWebhook {
    /// What it is for.
    pub name: String,
    /// Where it is sent to.
    pub url: String,
    /// Which events, in which environments, on whose routes.
    pub filters: Filters,
    /// Why.
    pub reason: Reason,
}

/// What a webhook wants to hear of. What is empty asks for nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filters {
    /// Which events.
    pub events: BTreeSet<Selector>,
    /// In which environments.
    pub environments: BTreeSet<EnvironmentKey>,
    /// On routes of which owners.
    pub owners: BTreeSet<String>,
}

/// What is to be different of a webhook; what is `None` stays.
#[derive(Clone, Debug)]
pub struct WebhookPatch {
    /// What it is for.
    pub name: Option<String>,
    /// Where it is sent to.
    pub url: Option<String>,
    /// Which events.
    pub events: Option<BTreeSet<Selector>>,
    /// In which environments.
    pub environments: Option<BTreeSet<EnvironmentKey>>,
    /// On routes of which owners.
    pub owners: Option<BTreeSet<String>>,
    /// Whether it is sent anything.
    pub enabled: Option<bool>,
    /// Why.
    pub reason: Reason,
}

/// A webhook, and how it fares.
#[derive(Clone, Debug)]
pub struct WebhookView {
    /// The webhook.
    pub webhook: Webhook,
    /// How it fares.
    pub health: Health,
}

impl From<KeptWebhook> for WebhookView {
    fn from(kept: KeptWebhook) -> WebhookView {
        WebhookView {
            webhook: kept.webhook,
            health: kept.health,
        }
    }
}

/// The tag of a webhook: it says what people set, not how it fares.
#[must_use]
pub fn webhook_tag(webhook: &Webhook) -> String {
    format!("\"{}.{}\"", webhook.id, webhook.revision)
}

impl Services {
    /// The same, with webhooks: how their secrets are kept, and what they may reach.
    #[must_use]
    pub fn with_webhooks(self, seal: Seal, rules: Arc<Rules>) -> Services {
        Services {
            webhooking: Some(Webhooking { seal, rules }),
            ..self
        }
    }

    /// Makes a webhook, which hears of what happens from then on. `render` must leave the secret out
    /// of what is kept: a repeated request gets none again.
    ///
    /// # Errors
    /// When the address is refused, a value is not valid, or there are too many.
    pub fn create_webhook(
        &self,
        ctx: &Ctx,
        new: &NewWebhook,
        render: Render<'_, WebhookView>,
    ) -> Result<(Answer, Option<Secret>), Failure> {
        let url = self.receiver(&new.url)?;
        let name = read_name(&new.name)?;
        let secret = new_secret()?;
        let answer = self.change(ctx, render, |work| {
            check(work, &new.filters)?;
            if work.tx.webhooks()?.len() >= MOST_WEBHOOKS {
                return Err(Failure::Conflict(format!(
                    "there are {MOST_WEBHOOKS} webhooks: delete some first (switchover webhook list)"
                )));
            }
            let filters = new.filters.clone();
            let webhook = Webhook {
                id: uuid::Uuid::now_v7().to_string(),
                name,
                url: url.shown(),
                events: filters.events,
                environments: filters.environments,
                owners: filters.owners,
                state: WebhookState::Active,
                created_by: ctx.actor.subject.clone(),
                created_at: work.now,
                revision: 1,
            };
            let sealed = Sealed {
                url: self.seal_url(&webhook.id, &url)?,
                secrets: self.seal_for(&webhook.id, &Secrets::first(secret.clone()))?,
            };
            work.tx.add_webhook(&webhook, &sealed)?;
            let record = (Value::Null, webhook.record());
            work.record("webhook_create", None, None, new.reason.as_str(), record);
            Ok(WebhookView {
                webhook,
                health: Health::default(),
            })
        })?;
        let secret = (!answer.replayed).then_some(secret);
        Ok((answer, secret))
    }

    /// Changes a webhook. One that is enabled again hears of what happens from then on.
    ///
    /// # Errors
    /// When there is none, the address is refused, or a value is not valid.
    pub fn change_webhook(
        &self,
        ctx: &Ctx,
        id: &str,
        patch: &WebhookPatch,
        render: Render<'_, WebhookView>,
    ) -> Result<Answer, Failure> {
        let url = patch.url.as_deref().map(|url| self.receiver(url));
        let url = url.transpose()?;
        let name = patch.name.as_deref().map(read_name).transpose()?;
        self.change(ctx, render, |work| {
            let kept = locked(work, id)?;
            let before = kept.webhook;
            let mut after = before.clone();
            after.name = name.unwrap_or(after.name);
            // The same one is no change, as far as it can be told.
            let moved = match url {
                Some(url) if self.open_url(id, &kept.sealed)?.as_ref() != Some(&url) => Some(url),
                _ => None,
            };
            if let Some(url) = &moved {
                let sealed = self.seal_url(id, url)?;
                work.tx.put_webhook_url(id, &sealed)?;
                after.url = url.shown();
            }
            let filters = Filters {
                events: patch.events.clone().unwrap_or(after.events),
                environments: patch.environments.clone().unwrap_or(after.environments),
                owners: patch.owners.clone().unwrap_or(after.owners),
            };
            check(work, &filters)?;
            after.events = filters.events;
            after.environments = filters.environments;
            after.owners = filters.owners;
            let mut health = kept.health;
            match (patch.enabled, &before.state) {
                (Some(true), WebhookState::Disabled { .. }) => {
                    after.state = WebhookState::Active;
                    health.failing_since = None;
                    work.tx.restart_webhook(id)?;
                }
                (Some(false), WebhookState::Active | WebhookState::NeedsSecret { .. }) => {
                    after.state = WebhookState::Disabled {
                        since: work.now,
                        why: format!("{}: {}", ctx.actor.subject, patch.reason),
                    };
                    work.tx.give_up_deliveries(id)?;
                }
                _ => {}
            }
            if moved.is_some() || after != before {
                put(work, &mut after)?;
                let record = (before.record(), after.record());
                work.record("webhook_change", None, None, patch.reason.as_str(), record);
            }
            Ok(WebhookView {
                webhook: after,
                health,
            })
        })
    }

    /// Makes a new secret. Messages are signed with the one before too for so many hours, so that
    /// nothing is refused while its receiver learns the new one.
    ///
    /// # Errors
    /// When there is none, its address cannot be read, or the hours are too many.
    pub fn rotate_webhook(
        &self,
        ctx: &Ctx,
        (id, overlap_hours): (&str, u32),
        reason: &Reason,
        render: Render<'_, WebhookView>,
    ) -> Result<(Answer, Option<Secret>), Failure> {
        if overlap_hours > LONGEST_OVERLAP_HOURS {
            return Err(Failure::invalid(
                "overlap_hours",
                format!("is 0 to {LONGEST_OVERLAP_HOURS}"),
            ));
        }
        let secret = new_secret()?;
        let answer = self.change(ctx, render, |work| {
            let kept = locked(work, id)?;
            if self.open_url(id, &kept.sealed)?.is_none() {
                return Err(Failure::Conflict(
                    "its address cannot be read any more, because the server's signing key has \
                     changed: give it anew first (switchover webhook change --receiver)"
                        .to_owned(),
                ));
            }
            let until = work.now + Duration::hours(i64::from(overlap_hours));
            let secrets = match self.open_for(id, &kept.sealed)? {
                Some(secrets) => secrets.rotated(secret.clone(), until),
                None => Secrets::first(secret.clone()),
            };
            let sealed = self.seal_for(id, &secrets)?;
            work.tx.put_webhook_secrets(id, &sealed)?;
            let before = kept.webhook;
            let mut after = before.clone();
            if matches!(after.state, WebhookState::NeedsSecret { .. }) {
                after.state = WebhookState::Active;
            }
            put(work, &mut after)?;
            let record = (before.record(), after.record());
            work.record("webhook_rotate", None, None, reason.as_str(), record);
            Ok(WebhookView {
                webhook: after,
                health: kept.health,
            })
        })?;
        let secret = (!answer.replayed).then_some(secret);
        Ok((answer, secret))
    }

    /// Deletes a webhook, with the log of what it was sent.
    ///
    /// # Errors
    /// When there is none.
    pub fn delete_webhook(
        &self,
        ctx: &Ctx,
        id: &str,
        reason: &Reason,
        render: Render<'_, ()>,
    ) -> Result<Answer, Failure> {
        self.change(ctx, render, |work| {
            let kept = locked(work, id)?;
            work.tx.delete_webhook(id)?;
            let record = (kept.webhook.record(), Value::Null);
            work.record("webhook_delete", None, None, reason.as_str(), record);
            Ok(())
        })
    }

    /// Every webhook, oldest first.
    ///
    /// # Errors
    /// When the database cannot be used.
    pub fn webhooks(&self) -> Result<Vec<WebhookView>, Failure> {
        let kept = self.store.read(|tx| tx.webhooks())?;
        Ok(kept.into_iter().map(WebhookView::from).collect())
    }

    /// One webhook.
    ///
    /// # Errors
    /// When there is none.
    pub fn webhook(&self, id: &str) -> Result<WebhookView, Failure> {
        let kept = self.store.read(|tx| tx.webhook(id))?;
        kept.map(WebhookView::from)
            .ok_or_else(|| Failure::missing("webhook", id))
    }

    fn webhooking(&self) -> Result<&Webhooking, Failure> {
        self.webhooking
            .as_ref()
            .ok_or_else(|| Failure::Conflict("this server sends no webhooks".to_owned()))
    }

    fn receiver(&self, url: &str) -> Result<ReceiverUrl, Failure> {
        let target = Target::read(url.trim(), &self.webhooking()?.rules)
            .map_err(|detail| Failure::invalid("url", detail))?;
        Ok(ReceiverUrl::new(target.as_str().to_owned()))
    }

    fn seal_for(&self, id: &str, secrets: &Secrets) -> Result<String, Failure> {
        let text = serde_json::to_string(secrets)
            .map_err(|error| StoreError::Corrupt(format!("secrets of a webhook: {error}")))?;
        let sealed = self.webhooking()?.seal.close(id, &text);
        Ok(sealed.ok_or_else(no_randomness)?)
    }

    fn seal_url(&self, id: &str, url: &ReceiverUrl) -> Result<String, Failure> {
        let sealed = self
            .webhooking()?
            .seal
            .close(&place_of_url(id), url.whole());
        Ok(sealed.ok_or_else(no_randomness)?)
    }

    /// The secrets of a webhook; `None` when another key sealed them.
    fn open_for(&self, id: &str, sealed: &Sealed) -> Result<Option<Secrets>, Failure> {
        let opened = self.webhooking()?.seal.open(id, &sealed.secrets);
        Ok(opened.and_then(|text| serde_json::from_str(&text).ok()))
    }

    /// Where a webhook is sent to; `None` when another key sealed it.
    fn open_url(&self, id: &str, sealed: &Sealed) -> Result<Option<ReceiverUrl>, Failure> {
        let opened = self.webhooking()?.seal.open(&place_of_url(id), &sealed.url);
        Ok(opened.map(ReceiverUrl::new))
    }
}

/// What an address is sealed for: it opens as no secrets, and as no other webhook's.
fn place_of_url(id: &str) -> String {
    format!("{id}/url")
}

/// A webhook that must exist, which nobody else changes meanwhile, as the caller has seen it.
fn locked(work: &mut Work<'_, '_>, id: &str) -> Result<KeptWebhook, Failure> {
    let kept = work.tx.lock_webhook(id)?;
    work.refresh();
    let tag = kept.as_ref().map(|kept| webhook_tag(&kept.webhook));
    work.ctx.expect_tag_of(tag)?;
    kept.ok_or_else(|| Failure::missing("webhook", id))
}

fn put(work: &mut Work<'_, '_>, webhook: &mut Webhook) -> Result<(), StoreError> {
    webhook.revision += 1;
    work.tx.put_webhook(webhook)
}

fn check(work: &mut Work<'_, '_>, filters: &Filters) -> Result<(), Failure> {
    let named = [
        ("events", filters.events.len()),
        ("environments", filters.environments.len()),
        ("owners", filters.owners.len()),
    ];
    for (field, length) in named {
        if length > MOST_NAMED {
            return Err(Failure::invalid(
                field,
                format!("has at most {MOST_NAMED} names"),
            ));
        }
    }
    for key in &filters.environments {
        work.environment(key).map_err(|failure| match failure {
            Failure::Missing(_) => {
                Failure::invalid("environments", format!("there is no environment `{key}`"))
            }
            other => other,
        })?;
    }
    if filters
        .owners
        .iter()
        .any(|owner| bounded(owner, 100).is_none())
    {
        return Err(Failure::invalid(
            "owners",
            "are names of 1 to 100 printable characters, as routes have them",
        ));
    }
    Ok(())
}

fn read_name(name: &str) -> Result<String, Failure> {
    bounded(name, 100)
        .filter(|name| !name.contains(['\n', '\r', '\t']))
        .ok_or_else(|| Failure::invalid("name", "must be 1 to 100 printable characters"))
}

/// 32 random bytes, as receivers' libraries read them.
fn new_secret() -> Result<Secret, StoreError> {
    let mut bytes = [0; 32];
    rand::fill(&mut bytes).map_err(|_| no_randomness())?;
    Ok(Secret::new(format!("whsec_{}", STANDARD.encode(bytes))))
}

fn no_randomness() -> StoreError {
    StoreError::Unavailable("the system gives no randomness".to_owned())
}
