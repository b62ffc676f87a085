//! What pages hear: one event for every entry of the record, ready-made, and a word when callers
//! have reported. Filled by whoever commits or looks, once for all who listen; nothing is read and
//! nothing is kept until the first one does.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use bytes::Bytes;
use chrono::{DateTime, Utc};
use serde::Serialize;
use switchover::Version;
use tokio::sync::watch;

use crate::domain::audit::AuditEntry;
use crate::store::StoreError;

/// How many of the latest entries are kept for those who come back.
pub const KEPT: usize = 256;

/// How far the feed is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Head {
    /// Which history of the database the entries are of.
    epoch: Arc<str>,
    /// The place of the latest entry; 0 before the first.
    seq: u64,
    /// How far reports were counted when they were last looked at, and what there is to say of it.
    reports: Option<u64>,
    telemetry: Bytes,
}

impl Head {
    /// The place of the latest entry; 0 before the first.
    #[must_use]
    pub fn seq(&self) -> u64 {
        self.seq
    }

    /// Where a reader is who has seen everything: the history, and the place in it.
    #[must_use]
    pub fn id(&self) -> Version {
        self.at(self.seq)
    }

    /// The place up to which a reader has seen everything who was last told this id. Of another
    /// history, or no id at all, none is kept: it is told to read everything again.
    #[must_use]
    pub fn place(&self, last_id: &str) -> u64 {
        match last_id.parse::<Version>() {
            Ok(last) if *last.epoch == *self.epoch => last.revision,
            _ => u64::MAX,
        }
    }

    fn at(&self, seq: u64) -> Version {
        version(&self.epoch, seq)
    }

    /// Whether both are of one history, so that places can be compared.
    #[must_use]
    pub fn continues(&self, before: &Head) -> bool {
        self.epoch == before.epoch
    }

    /// The event that says to read everything again.
    #[must_use]
    pub fn reset(&self) -> Bytes {
        event("reset", Some(&self.id()), &Reset { seq: self.seq })
    }

    /// The event for who has heard of reports what `before` says of them; `None` when that is all.
    #[must_use]
    pub fn telemetry_since(&self, before: &Head) -> Option<Bytes> {
        let is_news = before.reports.is_some() && self.reports != before.reports;
        is_news.then(|| self.telemetry.clone())
    }
}

/// The latest entries as events, and those who wait for the next.
#[derive(Default)]
pub struct Feed {
    /// Held while the next entries are read, so that they follow one another.
    turn: Mutex<()>,
    ring: RwLock<Ring>,
    head: watch::Sender<Head>,
}

/// All entries after `floor`, up to the head.
#[derive(Default)]
struct Ring {
    floor: u64,
    events: VecDeque<(u64, Bytes)>,
}

impl Feed {
    /// How far it is, now and from now on.
    #[must_use]
    pub fn follow(&self) -> watch::Receiver<Head> {
        self.head.subscribe()
    }

    /// How many listen.
    #[must_use]
    pub fn listeners(&self) -> usize {
        self.head.receiver_count()
    }

    /// How many entries are kept.
    #[must_use]
    pub fn kept(&self) -> usize {
        let ring = self.ring.read().unwrap_or_else(PoisonError::into_inner);
        ring.events.len()
    }

    /// The events that bring a reader who has seen everything up to `at` to `head`: one that says to
    /// read everything again when what they missed is not kept, or never was.
    #[must_use]
    pub fn missed(&self, at: u64, head: &Head) -> Vec<Bytes> {
        let ring = self.ring.read().unwrap_or_else(PoisonError::into_inner);
        if at < ring.floor || at > head.seq {
            return vec![head.reset()];
        }
        let missed = |seq: u64| at < seq && seq <= head.seq;
        let events = ring.events.iter().filter(|(seq, _)| missed(*seq));
        events.map(|(_, event)| event.clone()).collect()
    }

    /// Takes in what `load` gives: the epoch, and the latest entries after a place of one, at most
    /// [`KEPT`], oldest first.
    ///
    /// # Errors
    /// Those of `load`; then everything stays.
    pub fn refresh(
        &self,
        load: impl FnOnce(&str, u64) -> Result<(String, Vec<AuditEntry>), StoreError>,
    ) -> Result<(), StoreError> {
        let _turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        let (before, seq) = {
            let head = self.head.borrow();
            (Arc::clone(&head.epoch), head.seq)
        };
        let (epoch, entries) = load(&before, seq)?;
        let is_same = *before == *epoch;
        if is_same && entries.is_empty() {
            return Ok(());
        }
        let events = entries
            .iter()
            .map(|entry| (entry.seq, change(&epoch, entry)));
        let events: Vec<_> = events.collect();
        let first = events.first().map_or(1, |(seq, _)| *seq);
        {
            let mut ring = self.ring.write().unwrap_or_else(PoisonError::into_inner);
            if !is_same || first != seq + 1 {
                ring.events.clear();
                ring.floor = first.saturating_sub(1);
            }
            ring.events.extend(events);
            while ring.events.len() > KEPT {
                if let Some((seq, _)) = ring.events.pop_front() {
                    ring.floor = seq;
                }
            }
        }
        let last = entries.last().map_or(0, |entry| entry.seq);
        self.head.send_modify(|head| {
            head.epoch = epoch.into();
            head.seq = last;
        });
        Ok(())
    }

    /// Takes in how far reports have been counted. The first time tells nobody anything.
    pub fn reported(&self, position: u64, at: DateTime<Utc>) {
        self.head.send_if_modified(|head| {
            if head.reports == Some(position) {
                return false;
            }
            head.reports = Some(position);
            let told = Reported { at };
            head.telemetry = event("telemetry", None, &told);
            true
        });
    }

    /// Has everybody who listens look whether they still may.
    pub fn nudge(&self) {
        self.head.send_modify(|_| {});
    }
}

#[derive(Serialize)]
struct Changed<'a> {
    seq: u64,
    at: DateTime<Utc>,
    action: &'a str,
    route: Option<&'a str>,
    environment: Option<&'a str>,
    by: &'a str,
    reason: &'a str,
}

#[derive(Serialize)]
struct Reset {
    seq: u64,
}

#[derive(Serialize)]
struct Reported {
    at: DateTime<Utc>,
}

fn version(epoch: &str, seq: u64) -> Version {
    Version {
        epoch: epoch.into(),
        revision: seq,
    }
}

fn change(epoch: &str, entry: &AuditEntry) -> Bytes {
    let told = Changed {
        seq: entry.seq,
        at: entry.at,
        action: &entry.action,
        route: entry.route.as_deref(),
        environment: entry.environment.as_deref(),
        by: &entry.actor.subject,
        reason: &entry.reason,
    };
    event("change", Some(&version(epoch, entry.seq)), &told)
}

fn event(name: &str, id: Option<&Version>, data: &impl Serialize) -> Bytes {
    // Structs of plain values, which always serialise; JSON has no line break outside its strings.
    let data = serde_json::to_string(data).unwrap_or_default();
    let id = id.map_or_else(String::new, |id| format!("id: {id}\n"));
    Bytes::from(format!("event: {name}\n{id}data: {data}\n\n"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::actor::{Actor, Role};

    fn entries(places: std::ops::RangeInclusive<u64>) -> Vec<AuditEntry> {
        let entry = |seq| AuditEntry {
            seq,
            at: DateTime::UNIX_EPOCH,
            actor: Actor {
                subject: "ann".to_owned(),
                role: Role::Operator,
            },
            action: "halt".to_owned(),
            route: Some("a".to_owned()),
            environment: None,
            reason: "why\n\nevent: forged".to_owned(),
            before: serde_json::Value::Null,
            after: serde_json::Value::Null,
        };
        places.map(entry).collect()
    }

    fn fill(feed: &Feed, epoch: &str, places: std::ops::RangeInclusive<u64>) {
        feed.refresh(|_, _| Ok((epoch.to_owned(), entries(places))))
            .unwrap();
    }

    fn ids(events: &[Bytes]) -> Vec<String> {
        let texts = events
            .iter()
            .map(|event| std::str::from_utf8(event).unwrap());
        let ids = texts.map(|text| {
            let mut lines = text.lines();
            let name = lines.next().unwrap().trim_start_matches("event: ");
            let id = lines.next().unwrap().trim_start_matches("id: ");
            format!("{name} {id}")
        });
        ids.collect()
    }

    fn missed(feed: &Feed, at: u64) -> Vec<Bytes> {
        let head = feed.follow().borrow().clone();
        feed.missed(at, &head)
    }

    #[test]
    fn whoever_comes_back_gets_what_they_missed() {
        let feed = Feed::default();
        assert_eq!(missed(&feed, 0), Vec::<Bytes>::new());
        fill(&feed, "e", 1..=3);
        assert_eq!(ids(&missed(&feed, 1)), ["change e.2", "change e.3"]);
        assert_eq!(ids(&missed(&feed, 3)), Vec::<String>::new());
        feed.refresh(|epoch, after| {
            assert_eq!((epoch, after), ("e", 3));
            Ok(("e".to_owned(), entries(4..=4)))
        })
        .unwrap();
        assert_eq!(ids(&missed(&feed, 3)), ["change e.4"]);
        assert_eq!(ids(&missed(&feed, 5)), ["reset e.4"], "was never told");
        let head = feed.follow().borrow().clone();
        assert_eq!(head.place(&head.id().to_string()), 4);
        for foreign in ["f.3", "3", "", "e.x", "e.-1"] {
            assert_eq!(ids(&feed.missed(head.place(foreign), &head)), ["reset e.4"]);
        }
    }

    #[test]
    fn what_is_no_longer_kept_is_read_again() {
        let feed = Feed::default();
        fill(&feed, "e", 1..=200);
        fill(&feed, "e", 201..=300);
        assert_eq!(feed.kept(), KEPT);
        assert_eq!(missed(&feed, 44).len(), 256);
        assert_eq!(ids(&missed(&feed, 43)), ["reset e.300"]);
        // More was written than is read at once.
        fill(&feed, "e", 745..=1_000);
        assert_eq!(ids(&missed(&feed, 300)), ["reset e.1000"]);
        assert_eq!(ids(&missed(&feed, 998)), ["change e.999", "change e.1000"]);
    }

    #[test]
    fn another_history_is_told() {
        let feed = Feed::default();
        fill(&feed, "e", 1..=10);
        let before = feed.follow().borrow().clone();
        fill(&feed, "f", 1..=12);
        let after = feed.follow().borrow().clone();
        assert!(!after.continues(&before));
        assert_eq!(ids(&[after.reset()]), ["reset f.12"]);
    }

    #[test]
    fn no_text_ends_an_event() {
        let feed = Feed::default();
        fill(&feed, "e", 1..=1);
        let events = missed(&feed, 0);
        let text = std::str::from_utf8(&events[0]).unwrap();
        assert_eq!(text.matches('\n').count(), 4, "{text}");
    }

    #[test]
    fn reports_are_told_once_they_come_in() {
        let feed = Feed::default();
        let at = DateTime::UNIX_EPOCH;
        let unheard = feed.follow().borrow().clone();
        feed.reported(7, at);
        let first = feed.follow().borrow().clone();
        assert_eq!(first.telemetry_since(&unheard), None);
        feed.reported(7, at);
        assert_eq!(*feed.follow().borrow(), first);
        feed.reported(8, at);
        let told = feed.follow().borrow().telemetry_since(&first).unwrap();
        assert_eq!(
            &told[..],
            b"event: telemetry\ndata: {\"at\":\"1970-01-01T00:00:00Z\"}\n\n"
        );
    }
}
