//! One message, signed and sent once.

use std::time::Instant;

use aws_lc_rs::rand;
use chrono::{DateTime, Utc};
use standardwebhooks::Webhook as Signer;

use crate::domain::webhook::{Attempt, Outcome, clean};
use crate::outbound::{Answered, Outbound};
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
    outcome(answered, took_ms, now)
}

fn outcome(answered: Result<Answered, String>, took_ms: u64, now: DateTime<Utc>) -> Outcome {
    let (status, error, answer, retry_after) = match answered {
        Ok(answered) => (
            Some(answered.status),
            complaint(answered.status),
            clean(&answered.body),
            answered.retry_after,
        ),
        // What is wrong with a certificate is told with the names that it bears: its owner chose them.
        Err(why) => (None, Some(clean(why.as_bytes())), String::new(), None),
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
    let delivery = &sending.delivery;
    let mut signatures = Vec::new();
    for secret in sending.secrets.in_force(now) {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::webhook::LONGEST_ANSWER;

    /// A receiver chooses the names in its certificate.
    #[test]
    fn what_is_kept_of_a_failure_is_short_and_clean() {
        let why = format!("TLS failed: \u{1b}[31m\u{202e}{}", "name ".repeat(10_000));
        let kept = outcome(Err(why), 1, DateTime::UNIX_EPOCH).attempt;
        let error = kept.error.unwrap();
        assert!(error.starts_with("TLS failed:"), "{error}");
        assert!(error.len() <= LONGEST_ANSWER, "{}", error.len());
        assert!(!error.contains(['\u{1b}', '\u{202e}']), "{error}");
        assert_eq!((kept.status, kept.answer.as_str()), (None, ""));
    }
}
