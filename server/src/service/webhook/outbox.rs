//! From the record to messages, and from attempts to what is known of a receiver.
//!
//! No change writes a message: each webhook has its place in the record, and what lies behind it is
//! made into messages in a transaction that moves the place on. So whatever was acknowledged is sent,
//! whoever dies when, and nobody waits for a receiver.

use std::collections::BTreeMap;

use chrono::{DateTime, Duration, Utc};

use crate::domain::actor::Actor;
use crate::domain::audit::AuditEntry;
use crate::domain::webhook::{
    Delivery, GIVE_UP_AFTER, Outcome, ReceiverUrl, Secrets, Told, Verdict, Webhook, WebhookState,
    told,
};
use crate::service::rollout::unanswered;
use crate::service::webhook::deliveries::MOST_OPEN;
use crate::service::webhook::put;
use crate::service::{Ctx, Failure, Services, epoch};
use crate::store::{DueDelivery, KeptWebhook, StoreError, Tx};

/// So many entries of the record are read in one transaction, at most.
const PAGE: usize = 100;
/// After so many messages a transaction ends: promotions write to the same database.
const MOST_MADE: usize = 100;
/// How long finished deliveries are kept.
const KEPT_DAYS: i64 = 30;
/// So many finished deliveries of a webhook are kept.
const MOST_KEPT: usize = 1_000;

/// What is to be done for webhooks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Waiting {
    /// There are none.
    Nobody,
    /// All have read the record to its end, or have to take first what waits for them.
    Nothing,
    /// Some have not.
    Entries,
}

/// A message that is due, and what it takes to send it.
#[derive(Clone, Debug)]
pub struct Sending {
    /// The message.
    pub delivery: Delivery,
    /// Where it goes.
    pub url: ReceiverUrl,
    /// What it is signed with.
    pub secrets: Secrets,
}

/// What is to be done with a message that is due.
#[derive(Clone, Debug)]
pub enum Outgoing {
    /// Nothing: its webhook is sent nothing now.
    Nothing,
    /// Its webhook's address or secret cannot be read.
    Unreadable,
    /// It is sent.
    Ready(Box<Sending>),
}

impl Services {
    /// Whether there is something to be made into messages.
    ///
    /// # Errors
    /// When the database cannot be used.
    pub fn webhooks_waiting(&self) -> Result<Waiting, StoreError> {
        self.store.read_first(|tx| {
            let webhooks = tx.webhooks()?;
            if webhooks.is_empty() {
                return Ok(Waiting::Nobody);
            }
            let head = tx.record_head()?;
            Ok(if with_room(tx, webhooks, head)?.is_empty() {
                Waiting::Nothing
            } else {
                Waiting::Entries
            })
        })
    }

    /// Makes the next entries of the record into messages; whether there are more.
    ///
    /// # Errors
    /// When the database cannot be used; `Stale` when another node has just done it.
    pub fn derive_deliveries(&self) -> Result<bool, StoreError> {
        let now = self.now();
        self.store.write_quietly(|tx| {
            let head = tx.record_head()?;
            let found = tx.webhooks()?;
            let found = with_room(tx, found, head)?;
            if found.is_empty() {
                return Ok(false);
            }
            // Who is being changed is read again when that is done: nothing is made for a webhook that
            // was disabled meanwhile.
            let ids: Vec<&str> = found.iter().map(|kept| kept.webhook.id.as_str()).collect();
            tx.lock_webhooks(&ids)?;
            let mut behind = tx.webhooks()?;
            behind.retain(|kept| is_behind(kept, head) && ids.contains(&kept.webhook.id.as_str()));
            let Some(first) = behind.iter().map(|kept| kept.position).min() else {
                return Ok(false);
            };
            let entries = tx.entries_after(first, PAGE)?;
            let owners = owners(tx, &entries)?;
            let epoch = epoch(tx)?;
            let mut deliveries = Vec::new();
            let mut last = first;
            for entry in &entries {
                if deliveries.len() >= MOST_MADE {
                    break;
                }
                last = entry.seq;
                let route = entry.route.as_deref();
                let owner = route.and_then(|route| owners.get(route).map(String::as_str));
                if now - entry.at > GIVE_UP_AFTER {
                    continue;
                }
                let unread = behind.iter().filter(|kept| kept.position < entry.seq);
                for kept in unread.filter(|kept| kept.webhook.wants(entry, owner)) {
                    let id = uuid::Uuid::now_v7().to_string();
                    let told_of = Told {
                        entry,
                        owner,
                        epoch: &epoch,
                    };
                    deliveries.push(told(&kept.webhook, id, told_of, now));
                }
            }
            move_on(tx, &behind, last)?;
            tx.put_deliveries(&deliveries)?;
            Ok(first < last && last < head)
        })
    }

    /// The next message for each receiver that one is due for.
    ///
    /// # Errors
    /// When the database cannot be used.
    pub fn deliveries_due(&self) -> Result<Vec<DueDelivery>, StoreError> {
        let now = self.now();
        self.store.read_first(|tx| tx.deliveries_due(now))
    }

    /// What it takes to send a message.
    ///
    /// # Errors
    /// When the database cannot be used.
    pub fn to_be_sent(&self, due: &DueDelivery) -> Result<Outgoing, StoreError> {
        let (kept, delivery) = self.store.read_first::<_, StoreError>(|tx| {
            let kept = tx.webhook(&due.webhook)?;
            Ok((kept, tx.delivery(&due.webhook, &due.delivery)?))
        })?;
        let kept = kept.filter(|kept| kept.webhook.is_active());
        let Some((kept, delivery)) = kept.zip(delivery) else {
            return Ok(Outgoing::Nothing);
        };
        let secrets = self.open_for(&due.webhook, &kept.sealed).ok().flatten();
        let url = self.open_url(&due.webhook, &kept.sealed).ok().flatten();
        Ok(match secrets.zip(url) {
            None => Outgoing::Unreadable,
            Some((secrets, url)) => Outgoing::Ready(Box::new(Sending {
                delivery,
                url,
                secrets,
            })),
        })
    }

    /// Takes down what an attempt came to. A receiver that says it is gone, or has failed for days, is
    /// sent nothing more until a person says so. It counts only in the turn that the attempt was made
    /// in: not when the message was ordered anew, or sent by another node, meanwhile. `jitter` is random.
    ///
    /// # Errors
    /// When the database cannot be used.
    pub fn take_outcome(
        &self,
        (webhook, delivery, turn): (&str, &str, u32),
        outcome: &Outcome,
        jitter: u16,
    ) -> Result<(), Failure> {
        let now = self.now();
        let hopeless = self.store.write_quietly::<_, StoreError>(|tx| {
            let (Some(kept), Some(mut delivery)) =
                (tx.lock_webhook(webhook)?, tx.delivery(webhook, delivery)?)
            else {
                // Deleted meanwhile.
                return Ok(None);
            };
            if delivery.turn != turn {
                return Ok(None);
            }
            // It was given up meanwhile when its webhook was disabled.
            let is_over = delivery.due_at.is_none();
            let verdict = delivery.take(outcome.clone(), jitter, now);
            if verdict == Verdict::Again && is_over {
                delivery.give_up();
            }
            tx.put_deliveries(&[delivery])?;
            let mut health = kept.health;
            match verdict {
                Verdict::Delivered => {
                    health.failing_since = None;
                    health.delivered_at = Some(now);
                }
                Verdict::Again | Verdict::GivenUp | Verdict::Gone => {
                    health.failing_since.get_or_insert(now);
                }
            }
            tx.put_webhook_health(webhook, health)?;
            Ok(match verdict {
                Verdict::Gone => {
                    Some("its receiver says that it is gone for good (410)".to_owned())
                }
                Verdict::GivenUp if health.is_hopeless(now) => {
                    let hours = health
                        .failing_since
                        .map_or(0, |since| (now - since).num_hours());
                    Some(format!("nothing has arrived for {hours} hours"))
                }
                _ => None,
            })
        })?;
        match hopeless {
            Some(why) => self.stop_webhook(webhook, "webhook_disable", &why, |webhook, now| {
                webhook.state = WebhookState::Disabled {
                    since: now,
                    why: why.clone(),
                };
            }),
            None => Ok(()),
        }
    }

    /// The secret or the address of a webhook cannot be read any more: it waits for new ones.
    ///
    /// # Errors
    /// When the database cannot be used.
    pub fn webhook_needs_secret(&self, webhook: &str) -> Result<(), Failure> {
        let why = "the server's signing key has changed, and its address or secret cannot be read any \
                   more";
        self.stop_webhook(webhook, "webhook_needs_secret", why, |webhook, now| {
            webhook.state = WebhookState::NeedsSecret { since: now };
        })
    }

    /// Forgets deliveries that were finished long ago.
    ///
    /// # Errors
    /// When the database cannot be used.
    pub fn forget_old_deliveries(&self) -> Result<usize, StoreError> {
        let since = self.now() - Duration::days(KEPT_DAYS);
        let seconds = u64::try_from(since.timestamp()).unwrap_or(0);
        let stamp = uuid::Timestamp::from_unix(uuid::NoContext, seconds, 0);
        let before = uuid::Uuid::new_v7(stamp).to_string();
        let webhooks = self.store.read(|tx| tx.webhooks())?;
        self.store.write_quietly(|tx| {
            let mut forgotten = 0;
            for kept in &webhooks {
                forgotten += tx.forget_deliveries(&kept.webhook.id, &before, MOST_KEPT)?;
            }
            Ok(forgotten)
        })
    }

    fn stop_webhook(
        &self,
        id: &str,
        action: &'static str,
        why: &str,
        stop: impl Fn(&mut Webhook, DateTime<Utc>),
    ) -> Result<(), Failure> {
        let ctx = Ctx::of(Actor::system());
        self.change(&ctx, &unanswered, |work| {
            let Some(kept) = work.tx.lock_webhook(id)? else {
                return Ok(());
            };
            let before = kept.webhook;
            if !before.is_active() {
                return Ok(());
            }
            let mut after = before.clone();
            stop(&mut after, work.now);
            put(work, &mut after)?;
            if matches!(after.state, WebhookState::Disabled { .. }) {
                work.tx.give_up_deliveries(id)?;
            }
            let record = (before.record(), after.record());
            work.record(action, None, None, why, record);
            Ok(())
        })?;
        Ok(())
    }
}

fn is_behind(kept: &KeptWebhook, head: u64) -> bool {
    kept.webhook.is_active() && kept.position < head
}

/// Those that have not read the record to its end and can be sent more.
fn with_room(
    tx: &mut Tx<'_>,
    mut webhooks: Vec<KeptWebhook>,
    head: u64,
) -> Result<Vec<KeptWebhook>, StoreError> {
    webhooks.retain(|kept| is_behind(kept, head));
    if !webhooks.is_empty() {
        let open = tx.deliveries_open()?;
        let has_room = |id: &str| open.get(id).is_none_or(|open| *open < MOST_OPEN);
        webhooks.retain(|kept| has_room(&kept.webhook.id));
    }
    Ok(webhooks)
}

/// Moves webhooks on to a place, those together that are at one place.
fn move_on(tx: &mut Tx<'_>, behind: &[KeptWebhook], to: u64) -> Result<(), StoreError> {
    let mut places: BTreeMap<u64, Vec<&str>> = BTreeMap::new();
    for kept in behind.iter().filter(|kept| kept.position < to) {
        let place = places.entry(kept.position).or_default();
        place.push(&kept.webhook.id);
    }
    for (from, ids) in places {
        tx.move_webhooks(&ids, from, to)?;
    }
    Ok(())
}

/// Who owns the routes of these entries.
fn owners(tx: &mut Tx<'_>, entries: &[AuditEntry]) -> Result<BTreeMap<String, String>, StoreError> {
    let mut owners = BTreeMap::new();
    for name in entries.iter().filter_map(|entry| entry.route.as_ref()) {
        if owners.contains_key(name) {
            continue;
        }
        let Ok(key) = name.parse() else {
            continue;
        };
        if let Some(route) = tx.route(&key)? {
            owners.insert(name.clone(), route.spec.owner);
        }
    }
    Ok(owners)
}
