//! Tickets for event streams whose readers cannot send a header: they stand in the address, so they
//! are good for hours, for listening alone, and only while the SDK key is in force.
//!
//! A ticket follows from the signing key, the SDK key's identity and the time: every node gives and
//! takes the same ones, and the same one for as long as possible.

use aws_lc_rs::hmac;
use aws_lc_rs::signature::Ed25519KeyPair;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::{DateTime, Duration, Utc};

use super::TokenKeys;

/// How long the same ticket is given out, in seconds. It is good for one to two times as long.
const PERIOD: i64 = 6 * 60 * 60;

/// A ticket that is good.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StreamTicket {
    /// The identity of the SDK key.
    pub key: String,
    /// When it ends.
    pub ends_at: DateTime<Utc>,
}

/// A key for tickets that every node derives from the one that it signs with. Ed25519 signatures are
/// the same each time, and this one is shown to nobody.
pub(super) fn ticket_key(pair: &Ed25519KeyPair) -> hmac::Key {
    let derived = pair.sign(b"switchover stream tickets");
    hmac::Key::new(hmac::HMAC_SHA256, derived.as_ref())
}

impl TokenKeys {
    /// The ticket for whoever shows this SDK key, now.
    #[must_use]
    pub fn stream_ticket(&self, key: &str, now: DateTime<Utc>) -> String {
        let said = format!("{}.{key}", now.timestamp().div_euclid(PERIOD));
        let tag = hmac::sign(&self.tickets, said.as_bytes());
        format!("{said}.{}", URL_SAFE_NO_PAD.encode(tag.as_ref()))
    }

    /// What a ticket says, when it is one of ours and still good. One that a node whose clock is
    /// ahead has given out already is.
    #[must_use]
    pub fn read_stream_ticket(&self, ticket: &str, now: DateTime<Utc>) -> Option<StreamTicket> {
        let (said, tag) = ticket.rsplit_once('.')?;
        let tag = URL_SAFE_NO_PAD.decode(tag).ok()?;
        hmac::verify(&self.tickets, said.as_bytes(), &tag).ok()?;
        let (period, key) = said.split_once('.')?;
        let period: i64 = period.parse().ok()?;
        let ends_at = DateTime::from_timestamp((period + 2) * PERIOD, 0)?;
        let is_early = now < ends_at - Duration::seconds(3 * PERIOD);
        (now < ends_at && !is_early).then(|| StreamTicket {
            key: key.to_owned(),
            ends_at,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys() -> TokenKeys {
        TokenKeys::from_pem(&super::super::new_pem().unwrap()).unwrap()
    }

    fn hours(hours: i64) -> DateTime<Utc> {
        DateTime::UNIX_EPOCH + Duration::days(20_000) + Duration::hours(hours)
    }

    #[test]
    fn a_ticket_is_the_same_for_hours_and_good_for_longer() {
        let pem = super::super::new_pem().unwrap();
        let (here, there) = (
            TokenKeys::from_pem(&pem).unwrap(),
            TokenKeys::from_pem(&pem).unwrap(),
        );
        let ticket = here.stream_ticket("id-1", hours(0));
        assert_eq!(ticket, there.stream_ticket("id-1", hours(5)));
        assert_ne!(ticket, there.stream_ticket("id-1", hours(6)));
        assert_ne!(ticket, there.stream_ticket("id-2", hours(0)));
        for (hour, is_good) in [(-7, false), (-6, true), (0, true), (11, true), (12, false)] {
            let read = there.read_stream_ticket(&ticket, hours(hour));
            assert_eq!(read.is_some(), is_good, "hour {hour}");
            assert!(read.is_none_or(|read| read.key == "id-1" && read.ends_at == hours(12)));
        }
    }

    #[test]
    fn a_foreign_or_altered_ticket_is_none() {
        let (ours, theirs) = (keys(), keys());
        let ticket = ours.stream_ticket("id-1", hours(0));
        assert_eq!(theirs.read_stream_ticket(&ticket, hours(0)), None);
        for position in 0..ticket.len() {
            let mut bytes = ticket.clone().into_bytes();
            bytes[position] = if bytes[position] == b'7' { b'8' } else { b'7' };
            let altered = String::from_utf8(bytes).unwrap();
            let read = ours.read_stream_ticket(&altered, hours(0));
            // The last character of the tag stands for fewer bits than it has.
            assert!(read.is_none() || position + 1 == ticket.len(), "{position}");
        }
        for nonsense in ["", ".", "..", "1.2.3", "9223372036854775807.id.x", "é"] {
            assert_eq!(ours.read_stream_ticket(nonsense, hours(0)), None);
        }
    }
}
