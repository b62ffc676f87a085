//! One message, signed and sent once.

use std::time::Instant;

use aws_lc_rs::rand;
use chrono::{DateTime, Utc};
use standardwebhooks::Webhook as Signer;

use crate::domain::webhook::{Attempt, Delivery, Outcome, Secrets, clean};
use crate::outbound::Outbound;
use crate::service::Sending;

/// Sends a message and says what it came to.
pub(super) fn attempt(outbound: &Outbound, sending: &Sending, now: DateTime<Utc>) -> Outcome {
    let began = Instant::now();
    let answered = match signatures(sending, now) {
        Ok(signatures) => {
            let timestamp = now.timestamp().to_string();
            let headers = [
                ("webhook-id", sending.delivery.message.as_str()),
                ("webhook-timestamp", timestamp.as_str()),
                ("webhook-signature", signatures.as_str()),
            ];
            let sent = outbound.post(sending.url.whole(), &headers, &sending.delivery.body);
            sent.map_err(|why| why.to_string())
        }
        Err(why) => Err(why),
    };
    let took_ms = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
    let (status, error, answer, retry_after) = match answered {
        Ok(answered) => (
            Some(answered.status),
            complaint(answered.status),
            clean(&answered.body),
            answered.retry_after,
        ),
        Err(why) => (None, Some(why), String::new(), None),
    };
    Outcome {
        attempt: Attempt {
            at: now,
            took_ms,
            status,
            error,
            answer,
        },
        retry_after,
    }
}

/// What an attempt came to that panicked: a mistake of ours, which is not repeated at once.
pub(super) fn broken(now: DateTime<Utc>) -> Outcome {
    Outcome {
        attempt: Attempt {
            at: now,
            took_ms: 0,
            status: None,
            error: Some("the attempt broke off; the server's log says where".to_owned()),
            answer: String::new(),
        },
        retry_after: None,
    }
}

fn complaint(status: u16) -> Option<String> {
    match status {
        200..=299 => None,
        300..=399 => Some("it answers with a redirect, which is not followed".to_owned()),
        _ => Some("it answers that it did not take the message".to_owned()),
    }
}

/// One signature for each secret that holds, newest first, with blanks between them.
fn signatures(sending: &Sending, now: DateTime<Utc>) -> Result<String, String> {
    let secrets = sending.secrets.as_ref();
    let secrets = secrets.ok_or_else(|| "its secret cannot be read".to_owned())?;
    sign(&sending.delivery, secrets, now)
}

fn sign(delivery: &Delivery, secrets: &Secrets, now: DateTime<Utc>) -> Result<String, String> {
    let mut signatures = Vec::new();
    for secret in secrets.in_force(now) {
        let signed = Signer::new(secret.reveal()).and_then(|signer| {
            signer.sign(&delivery.message, now.timestamp(), delivery.body.as_bytes())
        });
        // The error would repeat a part of the secret.
        signatures.push(signed.map_err(|_| "its secret is none".to_owned())?);
    }
    Ok(signatures.join(" "))
}

/// A random number. None is as good as any where the system gives none.
pub(super) fn jitter() -> u16 {
    let mut bytes = [0; 2];
    match rand::fill(&mut bytes) {
        Ok(()) => u16::from_be_bytes(bytes),
        Err(_) => u16::MAX / 2,
    }
}
