//! What webhooks were sent: looked at, tried out, sent again.

use crate::domain::webhook::{Delivery, Webhook, ping};
use crate::service::webhook::locked;
use crate::service::work::Work;
use crate::service::{Answer, Ctx, Failure, Render, Services};
use crate::store::DeliveryFilter;

/// So many messages wait for one receiver at most; the rest waits in the record.
pub(super) const MOST_OPEN: usize = 1_000;

impl Services {
    /// Sends a test message.
    ///
    /// # Errors
    /// When there is no such webhook, or it is sent nothing now.
    pub fn test_webhook(
        &self,
        ctx: &Ctx,
        id: &str,
        render: Render<'_, Delivery>,
    ) -> Result<Answer, Failure> {
        self.change(ctx, render, |work| {
            let webhook = ready(work, id)?;
            let number = uuid::Uuid::now_v7().to_string();
            let delivery = ping(&webhook, number, &ctx.actor.subject, work.now);
            work.tx.put_deliveries(std::slice::from_ref(&delivery))?;
            Ok(delivery)
        })
    }

    /// Sends a message again, whatever became of it. Its receiver knows it by its name.
    ///
    /// # Errors
    /// When there is none, or its webhook is sent nothing now.
    pub fn redeliver(
        &self,
        ctx: &Ctx,
        (webhook, id): (&str, &str),
        render: Render<'_, Delivery>,
    ) -> Result<Answer, Failure> {
        self.change(ctx, render, |work| {
            ready(work, webhook)?;
            let found = work.tx.delivery(webhook, id)?;
            let mut delivery = found.ok_or_else(|| Failure::missing("delivery", id))?;
            delivery.order(&ctx.actor.subject, work.now);
            work.tx.put_deliveries(std::slice::from_ref(&delivery))?;
            Ok(delivery)
        })
    }

    /// What a webhook was sent, latest first, at most `limit`.
    ///
    /// # Errors
    /// When there is no such webhook.
    pub fn deliveries(
        &self,
        webhook: &str,
        filter: &DeliveryFilter,
        limit: usize,
    ) -> Result<Vec<Delivery>, Failure> {
        self.store.read(|tx| {
            if tx.webhook(webhook)?.is_none() {
                return Err(Failure::missing("webhook", webhook));
            }
            Ok(tx.deliveries(webhook, filter, limit)?)
        })
    }

    /// One message to a webhook.
    ///
    /// # Errors
    /// When there is none.
    pub fn delivery(&self, webhook: &str, id: &str) -> Result<Delivery, Failure> {
        let found = self.store.read(|tx| tx.delivery(webhook, id))?;
        found.ok_or_else(|| Failure::missing("delivery", id))
    }
}

/// A webhook that can be sent something now.
fn ready(work: &mut Work<'_, '_>, id: &str) -> Result<Webhook, Failure> {
    let webhook = locked(work, id)?.webhook;
    if let Some(why) = webhook.state.why() {
        return Err(Failure::Conflict(format!(
            "the webhook is sent nothing now: {why}"
        )));
    }
    let open = work.tx.deliveries_open()?;
    if open.get(id).is_some_and(|open| *open >= MOST_OPEN) {
        return Err(Failure::Conflict(format!(
            "{MOST_OPEN} messages wait for this receiver: it has to take some first"
        )));
    }
    Ok(webhook)
}
