//! Webhooks on record, and what they were sent. How far each has read the record stands beside it, so
//! nothing that is on record can be missed, and no change waits for a webhook.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use diesel::prelude::*;

use crate::domain::audit::AuditEntry;
use crate::domain::webhook::{Delivery, DeliveryState, Health, Webhook};
use crate::store::repairs::{micros, moment};
use crate::store::rows::{count, counted, from_json, json};
use crate::store::schema::{audit, audit_head, webhook_deliveries, webhooks};
use crate::store::{StoreError, Tx, dialect};

const COLUMNS: [&str; 6] = ["id", "webhook", "message", "state", "due_at", "document"];

/// A webhook as it is kept.
#[derive(Clone, Debug)]
pub struct KeptWebhook {
    /// The webhook.
    pub webhook: Webhook,
    /// Its address and its secrets.
    pub sealed: Sealed,
    /// Up to which entry it has read the record.
    pub position: u64,
    /// How it fares.
    pub health: Health,
}

/// What of a webhook nobody reads who only has the database.
#[derive(Clone, Debug)]
pub struct Sealed {
    /// Its address.
    pub url: String,
    /// Its secrets.
    pub secrets: String,
}

/// Which deliveries a list has. Empty fields ask for nothing.
#[derive(Clone, Debug, Default)]
pub struct DeliveryFilter {
    /// In this state.
    pub state: Option<DeliveryState>,
    /// Older than this one.
    pub before: Option<String>,
}

/// A delivery that is due.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DueDelivery {
    /// To which webhook.
    pub webhook: String,
    /// Its identity.
    pub delivery: String,
    /// How the webhook fares.
    pub health: Health,
}

type Row = (String, String, String, i64, Option<i64>, Option<i64>);

fn columns() -> (
    webhooks::document,
    webhooks::url,
    webhooks::secrets,
    webhooks::position,
    webhooks::failing_since,
    webhooks::delivered_at,
) {
    (
        webhooks::document,
        webhooks::url,
        webhooks::secrets,
        webhooks::position,
        webhooks::failing_since,
        webhooks::delivered_at,
    )
}

fn kept(row: Row) -> Result<KeptWebhook, StoreError> {
    let (document, url, secrets, position, failing, delivered) = row;
    Ok(KeptWebhook {
        webhook: from_json("webhooks.document", &document)?,
        sealed: Sealed { url, secrets },
        position: counted("webhooks.position", position)?,
        health: health(failing, delivered)?,
    })
}

fn health(failing: Option<i64>, delivered: Option<i64>) -> Result<Health, StoreError> {
    let at = |column: &str, at: Option<i64>| at.map(|at| moment(column, at)).transpose();
    Ok(Health {
        failing_since: at("webhooks.failing_since", failing)?,
        delivered_at: at("webhooks.delivered_at", delivered)?,
    })
}

impl Tx<'_> {
    /// Every webhook, oldest first.
    ///
    /// # Errors
    /// When the database cannot be used.
    pub fn webhooks(&mut self) -> Result<Vec<KeptWebhook>, StoreError> {
        let rows = webhooks::table
            .select(columns())
            .order(webhooks::id.asc())
            .load::<Row>(self.connection)?;
        rows.into_iter().map(kept).collect()
    }

    /// One webhook.
    ///
    /// # Errors
    /// When the database cannot be used.
    pub fn webhook(&mut self, id: &str) -> Result<Option<KeptWebhook>, StoreError> {
        let row = webhooks::table
            .find(id.to_owned())
            .select(columns())
            .first::<Row>(self.connection)
            .optional()?;
        row.map(kept).transpose()
    }

    /// One webhook, which nobody else changes until this transaction ends.
    ///
    /// # Errors
    /// When the database cannot be used.
    pub fn lock_webhook(&mut self, id: &str) -> Result<Option<KeptWebhook>, StoreError> {
        diesel::update(webhooks::table.find(id.to_owned()))
            .set(webhooks::position.eq(webhooks::position))
            .execute(self.connection)?;
        self.webhook(id)
    }

    /// Locks these webhooks, which nobody else changes until this transaction ends.
    ///
    /// # Errors
    /// When the database cannot be used.
    pub fn lock_webhooks(&mut self, ids: &[&str]) -> Result<(), StoreError> {
        diesel::update(webhooks::table.filter(webhooks::id.eq_any(ids.to_vec())))
            .set(webhooks::position.eq(webhooks::position))
            .execute(self.connection)?;
        Ok(())
    }

    /// Adds a webhook, which reads the record from here on.
    ///
    /// # Errors
    /// When the database cannot be used.
    pub fn add_webhook(&mut self, webhook: &Webhook, sealed: &Sealed) -> Result<(), StoreError> {
        let position = self.record_head()?;
        diesel::insert_into(webhooks::table)
            .values((
                webhooks::id.eq(&webhook.id),
                webhooks::document.eq(json(webhook)?),
                webhooks::url.eq(&sealed.url),
                webhooks::secrets.eq(&sealed.secrets),
                webhooks::position.eq(count(position)),
            ))
            .execute(self.connection)?;
        Ok(())
    }

    /// Writes what a webhook is.
    ///
    /// # Errors
    /// When the database cannot be used.
    pub fn put_webhook(&mut self, webhook: &Webhook) -> Result<(), StoreError> {
        diesel::update(webhooks::table.find(webhook.id.clone()))
            .set(webhooks::document.eq(json(webhook)?))
            .execute(self.connection)?;
        Ok(())
    }

    /// Writes where it is sent to, sealed.
    ///
    /// # Errors
    /// When the database cannot be used.
    pub fn put_webhook_url(&mut self, id: &str, sealed: &str) -> Result<(), StoreError> {
        diesel::update(webhooks::table.find(id.to_owned()))
            .set(webhooks::url.eq(sealed))
            .execute(self.connection)?;
        Ok(())
    }

    /// Writes its secrets, sealed.
    ///
    /// # Errors
    /// When the database cannot be used.
    pub fn put_webhook_secrets(&mut self, id: &str, sealed: &str) -> Result<(), StoreError> {
        diesel::update(webhooks::table.find(id.to_owned()))
            .set(webhooks::secrets.eq(sealed))
            .execute(self.connection)?;
        Ok(())
    }

    /// Has a webhook read the record from its end on, and forgets how it fared.
    ///
    /// # Errors
    /// When the database cannot be used.
    pub fn restart_webhook(&mut self, id: &str) -> Result<(), StoreError> {
        let position = self.record_head()?;
        diesel::update(webhooks::table.find(id.to_owned()))
            .set((
                webhooks::position.eq(count(position)),
                webhooks::failing_since.eq(None::<i64>),
            ))
            .execute(self.connection)?;
        Ok(())
    }

    /// Moves webhooks on in the record, all from where they were read to be.
    ///
    /// # Errors
    /// [`StoreError::Stale`] when somebody else has moved one of them.
    pub fn move_webhooks(&mut self, ids: &[&str], from: u64, to: u64) -> Result<(), StoreError> {
        let moved = diesel::update(
            webhooks::table
                .filter(webhooks::id.eq_any(ids.to_vec()))
                .filter(webhooks::position.eq(count(from))),
        )
        .set(webhooks::position.eq(count(to)))
        .execute(self.connection)?;
        if moved == ids.len() {
            Ok(())
        } else {
            Err(StoreError::Stale)
        }
    }

    /// Writes how a webhook fares.
    ///
    /// # Errors
    /// When the database cannot be used.
    pub fn put_webhook_health(&mut self, id: &str, health: Health) -> Result<(), StoreError> {
        diesel::update(webhooks::table.find(id.to_owned()))
            .set((
                webhooks::failing_since.eq(health.failing_since.map(micros)),
                webhooks::delivered_at.eq(health.delivered_at.map(micros)),
            ))
            .execute(self.connection)?;
        Ok(())
    }

    /// Deletes a webhook and what it was sent.
    ///
    /// # Errors
    /// When the database cannot be used.
    pub fn delete_webhook(&mut self, id: &str) -> Result<(), StoreError> {
        let deliveries = webhook_deliveries::webhook.eq(id.to_owned());
        diesel::delete(webhook_deliveries::table.filter(deliveries)).execute(self.connection)?;
        diesel::delete(webhooks::table.find(id.to_owned())).execute(self.connection)?;
        Ok(())
    }

    /// The place of the last entry of the record.
    ///
    /// # Errors
    /// When the database cannot be used.
    pub fn record_head(&mut self) -> Result<u64, StoreError> {
        let seq: i64 = audit_head::table
            .select(audit_head::seq)
            .first(self.connection)?;
        counted("audit_head.seq", seq)
    }

    /// The first entries after a place, at most `limit`, oldest first.
    ///
    /// # Errors
    /// When the database cannot be used.
    pub fn entries_after(
        &mut self,
        after: u64,
        limit: usize,
    ) -> Result<Vec<AuditEntry>, StoreError> {
        let entries: Vec<String> = audit::table
            .select(audit::entry)
            .filter(audit::seq.gt(count(after)))
            .order(audit::seq.asc())
            .limit(i64::try_from(limit).unwrap_or(i64::MAX))
            .load(self.connection)?;
        let entries = entries.iter();
        entries
            .map(|entry| from_json("audit.entry", entry))
            .collect()
    }

    /// Writes deliveries, over what is there of them.
    ///
    /// # Errors
    /// When the database cannot be used.
    pub fn put_deliveries(&mut self, deliveries: &[Delivery]) -> Result<(), StoreError> {
        let mut rows = Vec::with_capacity(deliveries.len());
        for delivery in deliveries {
            rows.push(vec![
                dialect::Cell::from(delivery.id.as_str()),
                dialect::Cell::from(delivery.webhook.as_str()),
                dialect::Cell::from(delivery.message.as_str()),
                dialect::Cell::from(delivery.state.name()),
                dialect::Cell::Number(delivery.due_at.map(micros)),
                dialect::Cell::from(json(delivery)?),
            ]);
        }
        let table = "webhook_deliveries";
        Ok(dialect::put(self.connection, table, &COLUMNS, 1, rows)?)
    }

    /// One delivery of a webhook.
    ///
    /// # Errors
    /// When the database cannot be used.
    pub fn delivery(&mut self, webhook: &str, id: &str) -> Result<Option<Delivery>, StoreError> {
        let document: Option<String> = webhook_deliveries::table
            .filter(webhook_deliveries::id.eq(id.to_owned()))
            .filter(webhook_deliveries::webhook.eq(webhook.to_owned()))
            .select(webhook_deliveries::document)
            .first(self.connection)
            .optional()?;
        document
            .map(|document| from_json("webhook_deliveries.document", &document))
            .transpose()
    }

    /// The deliveries of a webhook, latest first, at most `limit`.
    ///
    /// # Errors
    /// When the database cannot be used.
    pub fn deliveries(
        &mut self,
        webhook: &str,
        filter: &DeliveryFilter,
        limit: usize,
    ) -> Result<Vec<Delivery>, StoreError> {
        let mut query = webhook_deliveries::table
            .filter(webhook_deliveries::webhook.eq(webhook.to_owned()))
            .order(webhook_deliveries::id.desc())
            .limit(i64::try_from(limit).unwrap_or(i64::MAX))
            .select(webhook_deliveries::document)
            .into_boxed();
        if let Some(state) = filter.state {
            query = query.filter(webhook_deliveries::state.eq(state.name()));
        }
        if let Some(before) = &filter.before {
            query = query.filter(webhook_deliveries::id.lt(before.clone()));
        }
        let documents: Vec<String> = query.load(self.connection)?;
        read(&documents)
    }

    /// The oldest delivery that is due of each webhook, and how that fares.
    ///
    /// # Errors
    /// When the database cannot be used.
    pub fn deliveries_due(&mut self, now: DateTime<Utc>) -> Result<Vec<DueDelivery>, StoreError> {
        let due: Vec<(String, Option<String>)> = webhook_deliveries::table
            .filter(webhook_deliveries::due_at.le(micros(now)))
            .group_by(webhook_deliveries::webhook)
            .select((
                webhook_deliveries::webhook,
                diesel::dsl::min(webhook_deliveries::id),
            ))
            .load(self.connection)?;
        if due.is_empty() {
            return Ok(Vec::new());
        }
        let fares: Vec<(String, Option<i64>, Option<i64>)> = webhooks::table
            .select((
                webhooks::id,
                webhooks::failing_since,
                webhooks::delivered_at,
            ))
            .load(self.connection)?;
        let mut found = Vec::with_capacity(due.len());
        for (webhook, delivery) in due {
            let fares = fares.iter().find(|(id, _, _)| *id == webhook);
            if let (Some(delivery), Some((_, failing, delivered))) = (delivery, fares) {
                found.push(DueDelivery {
                    webhook,
                    delivery,
                    health: health(*failing, *delivered)?,
                });
            }
        }
        Ok(found)
    }

    /// How many deliveries of each webhook are not finished; those without any are left out.
    ///
    /// # Errors
    /// When the database cannot be used.
    pub fn deliveries_open(&mut self) -> Result<BTreeMap<String, usize>, StoreError> {
        let open: Vec<(String, i64)> = webhook_deliveries::table
            .filter(webhook_deliveries::due_at.is_not_null())
            .group_by(webhook_deliveries::webhook)
            .select((webhook_deliveries::webhook, diesel::dsl::count_star()))
            .load(self.connection)?;
        let open = open.into_iter();
        Ok(open
            .map(|(id, open)| (id, usize::try_from(open).unwrap_or(usize::MAX)))
            .collect())
    }

    /// Gives up what a webhook has not been sent yet.
    ///
    /// # Errors
    /// When the database cannot be used.
    pub fn give_up_deliveries(&mut self, webhook: &str) -> Result<(), StoreError> {
        let documents: Vec<String> = webhook_deliveries::table
            .filter(webhook_deliveries::webhook.eq(webhook.to_owned()))
            .filter(webhook_deliveries::due_at.is_not_null())
            .select(webhook_deliveries::document)
            .load(self.connection)?;
        let mut open = read(&documents)?;
        open.iter_mut().for_each(Delivery::give_up);
        self.put_deliveries(&open)
    }

    /// Forgets finished deliveries of a webhook: those before this identity, and all but the latest
    /// `most`. Gives how many.
    ///
    /// # Errors
    /// When the database cannot be used.
    pub fn forget_deliveries(
        &mut self,
        webhook: &str,
        before: &str,
        most: usize,
    ) -> Result<usize, StoreError> {
        let surplus: Option<String> = webhook_deliveries::table
            .filter(webhook_deliveries::webhook.eq(webhook.to_owned()))
            .filter(webhook_deliveries::due_at.is_null())
            .order(webhook_deliveries::id.desc())
            .offset(i64::try_from(most).unwrap_or(i64::MAX))
            .limit(1)
            .select(webhook_deliveries::id)
            .first(self.connection)
            .optional()?;
        let mut forgotten = 0;
        for last in surplus.into_iter().chain([before.to_owned()]) {
            forgotten += diesel::delete(
                webhook_deliveries::table
                    .filter(webhook_deliveries::webhook.eq(webhook.to_owned()))
                    .filter(webhook_deliveries::due_at.is_null())
                    .filter(webhook_deliveries::id.le(last)),
            )
            .execute(self.connection)?;
        }
        Ok(forgotten)
    }
}

fn read(documents: &[String]) -> Result<Vec<Delivery>, StoreError> {
    let documents = documents.iter();
    documents
        .map(|document| from_json("webhook_deliveries.document", document))
        .collect()
}
