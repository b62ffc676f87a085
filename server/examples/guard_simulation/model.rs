//! Simulated rollouts: callers that report what chance gave them, and the guard that looks at it.

use switchover_server::domain::guard::{
    Finding, Hypothesis, OF_CALLS, OF_ERRORS, Sample, Sequential,
};

/// Splitmix64: small, seeded, and good enough for counts.
pub(crate) struct Chance(u64);

impl Chance {
    pub(crate) fn new(seed: u64) -> Chance {
        Chance(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ 0x5851_f42d_4c95_7f2d)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Above 0, up to 1.
    fn unit(&mut self) -> f64 {
        let high = u32::try_from(self.next() >> 32).unwrap_or_default();
        (f64::from(high) + 1.0) / 4_294_967_296.0
    }

    /// How many of `trials` happen, each with `rate`: by the gaps between them.
    pub(crate) fn binomial(&mut self, trials: u64, rate: f64) -> u64 {
        if rate <= 0.0 {
            return 0;
        }
        let (none, trials) = (
            (1.0 - rate).ln(),
            f64::from(u32::try_from(trials).unwrap_or(u32::MAX)),
        );
        let (mut at, mut found) = (0.0, 0);
        loop {
            at += (self.unit().ln() / none).floor() + 1.0;
            if at > trials {
                return found;
            }
            found += 1;
        }
    }
}

/// A fleet, its traffic and its limit.
#[derive(Clone, Copy, Debug)]
pub(crate) struct World {
    /// How many instances share the calls.
    pub(crate) instances: u64,
    /// Each reports every so many seconds, in turn.
    pub(crate) flush: u64,
    /// Calls of the new path in a second, all instances together.
    pub(crate) calls: u64,
    pub(crate) limit: Limit,
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum Limit {
    /// So many errors per call.
    Share(f64),
    /// So many times the errors of the old path, which has as many calls and this error rate.
    Ratio { times: f64, old: f64 },
}

impl Limit {
    /// The new path's error rate at the limit.
    pub(crate) fn rate(self) -> f64 {
        match self {
            Limit::Share(rate) => rate,
            Limit::Ratio { times, old } => times * old,
        }
    }
}

/// A rollout under way.
pub(crate) struct Rollout {
    world: World,
    chance: Chance,
    test: Sequential,
    second: u64,
}

impl Rollout {
    pub(crate) fn new(world: World, seed: u64) -> Rollout {
        Rollout {
            world,
            chance: Chance::new(seed),
            test: Sequential::default(),
            second: 0,
        }
    }

    /// One second of traffic in which calls of the new path fail at this rate, and a look at it.
    /// Tells whether the guard finds a breach.
    pub(crate) fn look(&mut self, rate: f64) -> bool {
        let World {
            instances,
            flush,
            calls,
            limit,
        } = self.world;
        let turn = self.second % flush;
        let made = calls * flush / instances;
        let samples: Vec<Sample> = (0..instances)
            .filter(|instance| instance % flush == turn)
            .filter_map(|instance| {
                let failed = self.chance.binomial(made, rate);
                let cell = usize::try_from(instance).ok()?;
                Some(match limit {
                    Limit::Share(limit) => Sample {
                        cell,
                        hypothesis: Hypothesis::share(limit),
                        trials: made,
                        violations: failed,
                    },
                    Limit::Ratio { times, old } => Sample {
                        cell,
                        hypothesis: Hypothesis::ratio(times, made, made)?,
                        trials: failed + self.chance.binomial(made, old),
                        violations: failed,
                    },
                })
            })
            .collect();
        let weighing = match limit {
            Limit::Share(_) => OF_CALLS,
            Limit::Ratio { .. } => OF_ERRORS,
        };
        let second = i64::try_from(self.second).unwrap_or(i64::MAX);
        self.test.take(second, weighing, &samples);
        self.second += 1;
        self.test.finding(1, samples.len()) == Finding::Beyond
    }
}

/// Whether a rollout exactly at its limit is found in breach within so many seconds.
pub(crate) fn false_alarm(world: World, seconds: u64, seed: u64) -> bool {
    let mut rollout = Rollout::new(world, seed);
    (0..seconds).any(|_| rollout.look(world.limit.rate()))
}

/// After so many seconds at half the limit the new path fails at `factor` times the limit: how many
/// seconds until that is found; `None` when it was not in an hour, or something was found before.
pub(crate) fn detection(world: World, healthy: u64, factor: f64, seed: u64) -> Option<u64> {
    let mut rollout = Rollout::new(world, seed);
    let limit = world.limit.rate();
    if (0..healthy).any(|_| rollout.look(limit / 2.0)) {
        return None;
    }
    (1..=3_600).find(|_| rollout.look((limit * factor).min(1.0)))
}
