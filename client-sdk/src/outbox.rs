//! Reports on their way: numbered, of bounded size, and kept unchanged until the server has them.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use crate::report::{Batch, Instance, MAX_BATCH_BYTES, Registered, RouteCounts};

/// What a batch has beside routes and counts, at most.
const FRAME_BYTES: usize = 2 * 1024;

/// What is to be reported at one time.
pub(crate) struct Report {
    pub(crate) instance: Instance,
    /// Over which time it was counted.
    pub(crate) interval: Duration,
    pub(crate) routes: Option<Vec<Registered>>,
    pub(crate) counts: Vec<RouteCounts>,
    pub(crate) ends: bool,
}

#[derive(Debug, Default)]
pub(crate) struct Outbox {
    /// The last number given.
    sequence: u64,
    parcels: VecDeque<Parcel>,
}

/// A batch, and when its counts were taken.
#[derive(Debug)]
struct Parcel {
    batch: Batch,
    taken: Instant,
}

impl Outbox {
    pub(crate) fn is_empty(&self) -> bool {
        self.parcels.is_empty()
    }

    /// Packs a report into as many batches as it needs, one at least.
    pub(crate) fn pack(&mut self, report: Report, now: Instant) {
        let Report {
            instance,
            interval,
            routes,
            counts,
            ends,
        } = report;
        let interval_ms = millis(interval);
        let mut batch = Batch {
            sequence: 0,
            instance,
            age_ms: 0,
            interval_ms,
            routes: None,
            continues: false,
            counts: Vec::new(),
            ends: false,
        };
        batch.routes = routes.as_ref().map(|_| Vec::new());
        let mut bytes = FRAME_BYTES;
        for route in routes.into_iter().flatten() {
            let more = length(&route);
            if bytes + more > MAX_BATCH_BYTES {
                self.post(&mut batch, now);
                batch.continues = true;
                bytes = FRAME_BYTES;
            }
            bytes += more;
            batch.routes.get_or_insert_default().push(route);
        }
        for row in counts {
            let more = length(&row);
            if bytes + more > MAX_BATCH_BYTES {
                self.post(&mut batch, now);
                bytes = FRAME_BYTES;
            }
            bytes += more;
            batch.counts.push(row);
        }
        batch.ends = ends;
        self.post(&mut batch, now);
    }

    /// Takes what is in the batch so far, and leaves its frame.
    fn post(&mut self, batch: &mut Batch, now: Instant) {
        self.sequence += 1;
        let posted = Batch {
            sequence: self.sequence,
            instance: batch.instance.clone(),
            routes: batch.routes.take(),
            continues: std::mem::take(&mut batch.continues),
            counts: std::mem::take(&mut batch.counts),
            ..*batch
        };
        self.parcels.push_back(Parcel {
            batch: posted,
            taken: now,
        });
    }

    /// The next batch to send: until [`Outbox::done`] the same one, to the byte but for its age.
    pub(crate) fn next(&mut self, now: Instant) -> Option<Vec<u8>> {
        let Parcel { batch, taken } = self.parcels.front_mut()?;
        batch.age_ms = millis(now.saturating_duration_since(*taken));
        // What cannot be written, which no batch is, the server refuses.
        Some(serde_json::to_vec(batch).unwrap_or_default())
    }

    /// The batch is counted, or never will be.
    pub(crate) fn done(&mut self) {
        self.parcels.pop_front();
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// What an entry takes in a batch, with its comma.
fn length(entry: &impl serde::Serialize) -> usize {
    serde_json::to_vec(entry).map_or(0, |text| text.len()) + 1
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decide::Path;
    use crate::latency::Latency;
    use crate::report::{Proportion, Role};

    fn report(routes: usize) -> Report {
        let key = |n: usize| format!("a_route_with_a_long_key_{n}").parse().unwrap();
        let registered = |n| Registered {
            route: key(n),
            in_code: true,
            flag: None,
            breaker_open: false,
        };
        let row = |n| {
            let mut latency = Latency::default();
            (0..50).for_each(|bucket| latency.add(bucket * 9, 1));
            RouteCounts {
                route: key(n),
                path: Path::New,
                role: Role::Authoritative,
                revision: 1,
                calls: 50,
                errors: 0,
                panics: 0,
                cancelled: 0,
                comparisons: 0,
                mismatches: 0,
                mismatching_keys: Vec::new(),
                dropped: 0,
                ramp: Proportion::default(),
                slow: Vec::new(),
                latency,
            }
        };
        Report {
            instance: Instance {
                id: "a".to_owned(),
                name: "n".repeat(100),
                application: "a".repeat(100),
                version: "v".repeat(100),
                sdk: "s".repeat(100),
                snapshot: None,
                source: None,
                uptime_ms: u64::MAX,
                cpu_ms: Some(u64::MAX),
                memory_bytes: Some(u64::MAX),
            },
            interval: Duration::from_secs(5),
            routes: Some((0..routes).map(registered).collect()),
            counts: (0..routes).map(row).collect(),
            ends: true,
        }
    }

    #[test]
    fn what_one_batch_cannot_hold_goes_in_several() {
        let mut outbox = Outbox::default();
        let began = Instant::now();
        outbox.pack(report(10_000), began);
        let (mut routes, mut calls, mut sequence) = (0, 0, 0);
        while let Some(bytes) = outbox.next(began + Duration::from_secs(3)) {
            assert_eq!(
                outbox.next(began + Duration::from_secs(3)),
                Some(bytes.clone())
            );
            let batch = Batch::from_json(&bytes).unwrap();
            sequence += 1;
            assert_eq!((batch.sequence, batch.age_ms), (sequence, 3_000));
            assert_eq!(batch.continues, batch.routes.is_some() && sequence > 1);
            routes += batch.routes.map_or(0, |routes| routes.len());
            calls += batch.counts.iter().map(|row| row.calls).sum::<u64>();
            outbox.done();
            assert_eq!(batch.ends, outbox.is_empty());
        }
        assert_eq!((routes, calls), (10_000, 500_000));
        assert!((10..40).contains(&sequence), "{sequence}");
        outbox.pack(report(0), began);
        assert!(
            outbox
                .next(began)
                .is_some_and(|bytes| bytes.len() < FRAME_BYTES)
        );
    }
}
