//! What was read, as metrics.

use std::fmt;
use std::time::Duration;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, NoLabelSet};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::exemplar::Exemplar;
use prometheus_client::registry::Unit;
use switchover::{Latency, Path, Role, Stage};

use crate::domain::guard::GuardState;
use crate::domain::number::real;
use crate::domain::telemetry::{Tallies, Tally};
use crate::metrics::reading::{Place, Reading, RolloutReading};

/// Upper bounds for the times of calls, in milliseconds; a rollout's own limits come between them.
const CALL_MS: [u32; 10] = [1, 5, 10, 25, 50, 100, 250, 500, 1_000, 5_000];

/// Everything that was read, to be written out.
#[derive(Debug)]
pub(super) struct Shown {
    pub(super) reading: Reading,
    pub(super) leads: bool,
}

type Labels<'a> = Vec<(&'static str, &'a str)>;

impl Collector for Shown {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let encoder = &mut encoder;
        self.node(encoder)?;
        self.environments(encoder)?;
        self.rollouts(encoder)?;
        self.guards(encoder)?;
        self.counts(encoder)?;
        self.latencies(encoder)
    }
}

impl Shown {
    fn node(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let here = &self.reading.here;
        let version = vec![("version", env!("CARGO_PKG_VERSION"))];
        let help = "The version of this node; always 1.";
        gauges(encoder, ("build_info", help), [(version, 1.0)])?;
        let streams = [
            (vec![("reader", "sdk")], whole(here.sdk_streams)),
            (vec![("reader", "page")], whole(here.page_streams)),
        ];
        gauges(encoder, ("streams", "Streams that are open here."), streams)?;
        for (name, help, value) in [
            (
                "leader",
                "Whether this node acts for guards and ramps.",
                truth(self.leads),
            ),
            (
                "database_up",
                "Whether this node reaches its database.",
                truth(here.has_database),
            ),
            (
                "snapshot_age_seconds",
                "How long ago what this node publishes was last compared with the database.",
                here.snapshot_age,
            ),
            (
                "rollouts_left_out",
                "Rollouts without metrics, because there are too many.",
                whole(self.reading.left_out),
            ),
        ] {
            gauges(encoder, (name, help), [(Labels::new(), value)])?;
        }
        Ok(())
    }

    fn environments(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let all = &self.reading.environments;
        let each = |value: fn(&super::EnvironmentReading) -> f64| {
            all.iter().map(move |environment| {
                let labels = vec![("environment", environment.key.as_str())];
                (labels, value(environment))
            })
        };
        let help = "The revision that this node publishes.";
        gauges(
            encoder,
            ("revision", help),
            each(|it| real(it.version.revision)),
        )?;
        let help = "Routes that are published.";
        gauges(encoder, ("routes", help), each(|it| whole(it.routes)))?;
        let info = all.iter().map(|environment| {
            let labels = vec![
                ("environment", environment.key.as_str()),
                ("epoch", &*environment.version.epoch),
            ];
            (labels, 1.0)
        });
        let help = "The epoch of the database; always 1.";
        gauges(encoder, ("environment_info", help), info)?;
        let running = self.reading.kept.running.iter();
        let instances = running.clone();
        let instances =
            instances.map(|(key, it)| (vec![("environment", key.as_str())], real(it.all)));
        let help = "Instances that reported in the last ten minutes.";
        gauges(encoder, ("instances", help), instances)?;
        let behind =
            running.map(|(key, it)| (vec![("environment", key.as_str())], real(it.behind)));
        let help = "Those of them that decide by another version than the one that is published.";
        gauges(encoder, ("instances_behind", help), behind)
    }

    fn rollouts(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let all = self.reading.rollouts.iter();
        let stages = all.clone().map(|rollout| {
            let mut labels = labels(&rollout.place);
            labels.push(("stage", rollout.stage.name()));
            (labels, stage_number(rollout.stage))
        });
        let help = "The stage: 0 ready_for_testing, 1 opt_in, 2 opt_out, 3 mandatory.";
        gauges(encoder, ("rollout_stage", help), stages)?;
        let help = "The share of the keys that may take the new path, from 0 to 1.";
        let shares = self.of_rollouts(|it| share(it.exposure));
        gauges(encoder, ("rollout_exposure_ratio", help), shares)?;
        let help = "Whether the kill switch is on.";
        let halted = self.of_rollouts(|it| truth(it.halted));
        gauges(encoder, ("rollout_halted", help), halted)?;
        let by_guards = &self.reading.kept.halted_by_guards;
        let by_guards = all.clone().map(|it| {
            let by_guard = it.halted && by_guards.contains(&it.place);
            (labels(&it.place), truth(by_guard))
        });
        let help = "Whether a guard has put the kill switch on.";
        gauges(encoder, ("rollout_halted_by_guard", help), by_guards)?;
        let mirrors = all.flat_map(|rollout| {
            let shares = [
                ("read", rollout.mirror.read),
                ("write", rollout.mirror.write),
            ];
            shares.map(|(kind, percent)| {
                let mut labels = labels(&rollout.place);
                labels.push(("kind", kind));
                (labels, share(percent))
            })
        });
        let help = "The share of calls on which the other path runs too, from 0 to 1.";
        gauges(encoder, ("rollout_mirror_ratio", help), mirrors)
    }

    fn of_rollouts<'a>(
        &'a self,
        value: fn(&RolloutReading) -> f64,
    ) -> impl Iterator<Item = (Labels<'a>, f64)> {
        let all = self.reading.rollouts.iter();
        all.map(move |rollout| (labels(&rollout.place), value(rollout)))
    }

    fn guards(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        const STATES: [GuardState; 3] = [
            GuardState::Pass,
            GuardState::Breach,
            GuardState::Insufficient,
        ];
        let states = self.reading.kept.guards.iter().flat_map(|guard| {
            STATES.map(|state| {
                let mut labels = labels(&guard.place);
                labels.push(("guard", guard.name.as_str()));
                labels.push(("action", guard.action.name()));
                labels.push(("state", state.name()));
                (labels, truth(guard.state == state))
            })
        });
        let help = "What a guard answers: 1 for that state, 0 for the others.";
        gauges(encoder, ("guard_state", help), states)
    }

    fn counts(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let calls: (_, _, fn(&Tally) -> u64) = (
            "route_calls",
            "Calls that callers have reported, since the server keeps them: the same on every node.",
            |tally| tally.calls,
        );
        let errors: (_, _, fn(&Tally) -> u64) = (
            "route_errors",
            "Those of them that failed, by an error or a panic.",
            Tally::failures,
        );
        for (name, help, count) in [calls, errors] {
            let mut metric = encoder.encode_descriptor(name, help, None, MetricType::Counter)?;
            for rollout in &self.reading.rollouts {
                for (path, role, tally) in self.tallies(rollout) {
                    let mut labels = labels(&rollout.place);
                    labels.push(("path", path.name()));
                    labels.push(("role", role.name()));
                    let mut metric = metric.encode_family(&labels)?;
                    metric.encode_counter(&count(tally), NONE)?;
                }
            }
        }
        let comparisons: (_, _, fn(&Tally) -> u64) = (
            "route_comparisons",
            "Results that were compared with those of the other path.",
            |tally| tally.comparisons,
        );
        let mismatches: (_, _, fn(&Tally) -> u64) = (
            "route_mismatches",
            "Those of them that differed.",
            |tally| tally.mismatches,
        );
        for (name, help, count) in [comparisons, mismatches] {
            let mut metric = encoder.encode_descriptor(name, help, None, MetricType::Counter)?;
            for rollout in &self.reading.rollouts {
                let all = self.tallies(rollout).into_iter();
                let sum = all.fold(0_u64, |sum, (_, _, tally)| sum.saturating_add(count(tally)));
                let labels = labels(&rollout.place);
                metric.encode_family(&labels)?.encode_counter(&sum, NONE)?;
            }
        }
        Ok(())
    }

    /// The counts of a rollout by path and role. Those of callers are there from the beginning, so that
    /// the first calls show as an increase.
    fn tallies(&self, rollout: &RolloutReading) -> Vec<(Path, Role, &Tally)> {
        static NOTHING: std::sync::LazyLock<Tallies> = std::sync::LazyLock::new(Tallies::default);
        let totals = self.reading.kept.totals.get(&rollout.place);
        let totals = totals.unwrap_or(&NOTHING);
        let mut all = vec![
            (Path::Old, Role::Authoritative, &totals.old),
            (Path::New, Role::Authoritative, &totals.new),
        ];
        for (path, tally) in [
            (Path::Old, &totals.old_mirror),
            (Path::New, &totals.new_mirror),
        ] {
            if *tally != Tally::default() {
                all.push((path, Role::Mirror, tally));
            }
        }
        all
    }

    fn latencies(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let mut metric = encoder.encode_descriptor(
            "route_call_duration",
            "How long calls took, at most 1.6 % off; a rollout's own limits are among the bounds.",
            Some(&Unit::Seconds),
            MetricType::Histogram,
        )?;
        for rollout in &self.reading.rollouts {
            for (path, role, tally) in self.tallies(rollout) {
                if role == Role::Mirror || tally.latency.count() == 0 {
                    continue;
                }
                let mut labels = labels(&rollout.place);
                labels.push(("path", path.name()));
                let buckets = buckets(&tally.latency, &rollout.slow_ms);
                let (sum, count) = (tally.latency.total(), tally.latency.count());
                let mut metric = metric.encode_family(&labels)?;
                metric.encode_histogram::<NoLabelSet>(sum.as_secs_f64(), count, &buckets, None)?;
            }
        }
        Ok(())
    }
}

/// No call stands for the others.
const NONE: Option<&Exemplar<NoLabelSet, f64>> = None;

fn gauges<'a>(
    encoder: &mut DescriptorEncoder<'_>,
    (name, help): (&str, &str),
    series: impl IntoIterator<Item = (Labels<'a>, f64)>,
) -> fmt::Result {
    let mut metric = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
    for (labels, value) in series {
        if labels.is_empty() {
            metric.encode_gauge(&value)?;
        } else {
            metric.encode_family(&labels)?.encode_gauge(&value)?;
        }
    }
    Ok(())
}

fn labels((environment, route): &Place) -> Labels<'_> {
    vec![
        ("route", route.as_str()),
        ("environment", environment.as_str()),
    ]
}

/// How many calls were in each bucket, by its upper bound in seconds.
fn buckets(latency: &Latency, own_ms: &[u32]) -> Vec<(f64, u64)> {
    let mut bounds: Vec<u32> = CALL_MS.iter().chain(own_ms).copied().collect();
    bounds.sort_unstable();
    bounds.dedup();
    let all = latency.count();
    let mut below = 0;
    let mut buckets = Vec::with_capacity(bounds.len() + 1);
    for bound in bounds {
        let longer = latency.longer_than(Duration::from_millis(u64::from(bound)));
        let within = all.saturating_sub(longer);
        let seconds = f64::from(bound) / 1_000.0;
        buckets.push((seconds, within.saturating_sub(below)));
        below = within;
    }
    buckets.push((f64::INFINITY, all.saturating_sub(below)));
    buckets
}

fn stage_number(stage: Stage) -> f64 {
    match stage {
        Stage::ReadyForTesting => 0.0,
        Stage::OptIn => 1.0,
        Stage::OptOut => 2.0,
        Stage::Mandatory => 3.0,
    }
}

fn share(percent: switchover::Percent) -> f64 {
    f64::from(percent.thousandths()) / 100_000.0
}

fn truth(is: bool) -> f64 {
    if is { 1.0 } else { 0.0 }
}

fn whole(count: usize) -> f64 {
    real(u64::try_from(count).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_of_a_rollout_is_a_bound() {
        let mut latency = Latency::default();
        // Bucket 32 · o + p begins at (32 + p) · 2^(o−1) ns: 620 is some 400 µs, 950 some 0.9 s.
        latency.add(620, 90);
        latency.add(950, 10);
        let buckets = buckets(&latency, &[300, 500]);
        let bounds: Vec<f64> = buckets.iter().map(|(bound, _)| *bound).collect();
        assert!(bounds.is_sorted() && bounds.contains(&0.3));
        let limits = bounds.iter().filter(|bound| **bound == 0.5).count();
        assert_eq!(limits, 1, "{bounds:?}");
        let all: u64 = buckets.iter().map(|(_, count)| count).sum();
        assert_eq!(all, 100);
        let within = buckets.iter().filter(|(bound, _)| *bound <= 0.3);
        assert_eq!(within.map(|(_, count)| count).sum::<u64>(), 90);
    }
}
