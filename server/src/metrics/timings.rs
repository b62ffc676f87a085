//! How long transactions take.

use std::fmt;
use std::time::Instant;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric as _};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Unit;

/// Upper bounds in seconds.
const SECONDS: [f64; 9] = [0.000_5, 0.001, 0.0025, 0.005, 0.01, 0.05, 0.25, 1.0, 5.0];

/// How long the transactions of one database take, the wait for a connection included.
#[derive(Clone, Debug)]
pub struct Timings {
    reads: Histogram,
    writes: Histogram,
}

impl Default for Timings {
    fn default() -> Timings {
        Timings {
            reads: Histogram::new(SECONDS),
            writes: Histogram::new(SECONDS),
        }
    }
}

impl Timings {
    /// Times a transaction that reads.
    pub fn read<T>(&self, work: impl FnOnce() -> T) -> T {
        timed(&self.reads, work)
    }

    /// Times a transaction that writes.
    pub fn write<T>(&self, work: impl FnOnce() -> T) -> T {
        timed(&self.writes, work)
    }
}

fn timed<T>(times: &Histogram, work: impl FnOnce() -> T) -> T {
    let began = Instant::now();
    let done = work();
    times.observe(began.elapsed().as_secs_f64());
    done
}

/// The transactions of several databases, by name.
#[derive(Debug)]
pub(super) struct OfDatabases(pub(super) [(&'static str, Timings); 2]);

impl Collector for OfDatabases {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let mut metric = encoder.encode_descriptor(
            "transaction_duration",
            "How long transactions took, the wait for a connection included.",
            Some(&Unit::Seconds),
            MetricType::Histogram,
        )?;
        for (database, timings) in &self.0 {
            for (kind, times) in [("read", &timings.reads), ("write", &timings.writes)] {
                let labels = [("database", *database), ("kind", kind)];
                times.encode(metric.encode_family(&labels)?)?;
            }
        }
        Ok(())
    }
}
