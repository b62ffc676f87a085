//! How long to wait before the next attempt: pure, with chance and outcome as arguments.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// The longest that a server's `Retry-After` is believed.
const LONGEST_RETRY_AFTER: Duration = Duration::from_secs(60 * 60);
/// Refusals in a row after which attempts slow down.
const PATIENCE: u32 = 5;

/// How fast to try again.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Delays {
    /// The upper end of the first wait.
    pub(crate) first: Duration,
    /// The upper end of any wait.
    pub(crate) longest: Duration,
    /// About how long to wait where the server refuses us again and again.
    pub(crate) slow: Duration,
}

/// How an attempt ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Attempt {
    /// The server does not want us (401, 403, 404), or its certificate is not to be trusted: time
    /// alone will hardly change that.
    Refused,
    /// Anything else that went wrong.
    Failed,
}

/// What to tell a person, once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Notice {
    /// Attempts slow down: refused five times in a row.
    SlowedDown,
    /// All is well again.
    Recovered,
}

#[derive(Clone, Debug)]
pub(crate) struct Backoff {
    delays: Delays,
    failures: u32,
    refusals: u32,
    good_polls: u32,
    is_slow: bool,
}

impl Backoff {
    pub(crate) fn new(delays: Delays) -> Backoff {
        Backoff {
            delays,
            failures: 0,
            refusals: 0,
            good_polls: 0,
            is_slow: false,
        }
    }

    /// How long to wait after an attempt that went wrong. `chance` is uniform in `0.0..1.0`.
    ///
    /// Full jitter: anything from nothing to a bound that doubles with each failure, so that ten
    /// thousand processes that lost their server do not come back as one.
    pub(crate) fn after(
        &mut self,
        attempt: Attempt,
        retry_after: Option<Duration>,
        chance: f64,
    ) -> (Duration, Option<Notice>) {
        self.good_polls = 0;
        self.refusals = match attempt {
            Attempt::Refused => self.refusals.saturating_add(1),
            Attempt::Failed => 0,
        };
        let slows_down = !self.is_slow && self.refusals >= PATIENCE;
        self.is_slow |= slows_down;
        let wait = if self.is_slow && attempt == Attempt::Refused {
            // Between 80 % and 120 %: five minutes on average, and never all at once.
            self.delays.slow.mul_f64(0.8 + 0.4 * chance)
        } else {
            let doubled = 2_u32.saturating_pow(self.failures.min(20));
            let bound = self.delays.first.saturating_mul(doubled);
            bound.min(self.delays.longest).mul_f64(chance)
        };
        self.failures = self.failures.saturating_add(1);
        let asked_for = retry_after.unwrap_or_default().min(LONGEST_RETRY_AFTER);
        (wait + asked_for, slows_down.then_some(Notice::SlowedDown))
    }

    /// All is well: a stream has been healthy for long enough, or a report was taken.
    pub(crate) fn recovered(&mut self) -> Option<Notice> {
        let notice = self.is_slow.then_some(Notice::Recovered);
        *self = Backoff::new(self.delays);
        notice
    }

    /// A poll was answered; the second in a row makes up for all failures.
    pub(crate) fn good_poll(&mut self) -> Option<Notice> {
        self.good_polls += 1;
        if self.good_polls >= 2 {
            self.recovered()
        } else {
            None
        }
    }
}

/// Reads `Retry-After`: whole seconds, or a date. `None` where it is neither.
pub(crate) fn retry_after(value: &str, now: SystemTime) -> Option<Duration> {
    let value = value.trim();
    if let Ok(seconds) = value.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let since_epoch = now.duration_since(UNIX_EPOCH).ok()?;
    Some(http_date(value)?.saturating_sub(since_epoch))
}

/// Reads `Sun, 06 Nov 1994 08:49:37 GMT`, the one form that HTTP still generates.
fn http_date(text: &str) -> Option<Duration> {
    const MONTHS: &str = "JanFebMarAprMayJunJulAugSepOctNovDec";
    let (_, date) = text.split_once(", ")?;
    let mut parts = date.split(' ');
    let day: u64 = parts.next()?.parse().ok()?;
    let month = u64::try_from(MONTHS.find(parts.next()?)?).ok()? / 3;
    let year: u64 = parts.next()?.parse().ok()?;
    let mut time = parts.next()?.splitn(3, ':').map(str::parse::<u64>);
    let mut next = || time.next()?.ok();
    let (hour, minute, second) = (next()?, next()?, next()?);
    let sane = (1..=31).contains(&day)
        && (1970..10_000).contains(&year)
        && hour < 24
        && minute < 60
        && second <= 60;
    if !sane || parts.next() != Some("GMT") {
        return None;
    }
    // Years that begin in March put the leap day last.
    let (year, month) = match month {
        0 | 1 => (year - 1, month + 10),
        _ => (year, month - 2),
    };
    let leap_days = year / 4 - year / 100 + year / 400;
    let days = year * 365 + leap_days + (month * 306 + 5) / 10 + day - 1;
    let days = days.checked_sub(719_468)?;
    Some(Duration::from_secs(
        days * 86_400 + hour * 3_600 + minute * 60 + second,
    ))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const DELAYS: Delays = Delays {
        first: Duration::from_millis(500),
        longest: Duration::from_secs(30),
        slow: Duration::from_secs(300),
    };

    #[test]
    fn waits_double_up_to_the_longest() {
        let mut backoff = Backoff::new(DELAYS);
        let bounds: Vec<f64> = (0..9)
            .map(|_| backoff.after(Attempt::Failed, None, 1.0).0.as_secs_f64())
            .collect();
        assert_eq!(bounds, [0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 30.0, 30.0, 30.0]);
        assert_eq!(backoff.recovered(), None);
        assert_eq!(
            backoff.after(Attempt::Failed, None, 1.0).0,
            Duration::from_millis(500)
        );
    }

    #[test]
    fn five_refusals_slow_down_with_one_notice_and_recovery_gives_another() {
        let mut backoff = Backoff::new(DELAYS);
        let mut notices = Vec::new();
        for _ in 0..20 {
            notices.extend(backoff.after(Attempt::Refused, None, 0.5).1);
        }
        assert_eq!(notices, [Notice::SlowedDown]);
        let (wait, _) = backoff.after(Attempt::Refused, None, 0.5);
        assert_eq!(wait, Duration::from_secs(300));
        // A server that restarts is tried at the normal pace, and nobody is told twice.
        let (wait, notice) = backoff.after(Attempt::Failed, None, 1.0);
        assert!(wait <= Duration::from_secs(30) && notice.is_none());
        assert_eq!(backoff.good_poll(), None);
        assert_eq!(backoff.good_poll(), Some(Notice::Recovered));
        assert_eq!(backoff.good_poll(), None);
    }

    #[test]
    fn ten_thousand_that_lose_their_server_come_back_spread_out() {
        let mut state = 1_u64;
        let mut chance = || {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            f64::from(u32::try_from(state >> 33).unwrap()) / f64::from(1_u32 << 31)
        };
        let mut bins = std::collections::BTreeMap::<u64, u32>::new();
        for _ in 0..10_000 {
            let mut backoff = Backoff::new(DELAYS);
            let mut at = Duration::ZERO;
            while at < Duration::from_secs(300) {
                at += backoff.after(Attempt::Failed, None, chance()).0;
                *bins.entry(at.as_secs()).or_default() += 1;
            }
        }
        // From the second minute on the waits are uniform up to 30 s: one attempt per 15 s each.
        let late = bins.range(60..300).map(|(_, count)| *count);
        assert!(late.max().unwrap() < 2 * 10_000 / 15);
    }

    #[test]
    fn retry_after_is_seconds_or_a_date() {
        let now = UNIX_EPOCH + Duration::from_secs(784_111_777);
        let read = |value| retry_after(value, now);
        assert_eq!(read("120"), Some(Duration::from_secs(120)));
        assert_eq!(read("Sun, 06 Nov 1994 08:49:37 GMT"), Some(Duration::ZERO));
        assert_eq!(
            read("Sun, 06 Nov 1994 08:50:07 GMT"),
            Some(Duration::from_secs(30))
        );
        assert_eq!(
            read("Tue, 08 Nov 1994 08:49:37 GMT"),
            Some(Duration::from_secs(2 * 86_400))
        );
        assert_eq!(read("Thu, 01 Jan 1970 00:00:00 GMT"), Some(Duration::ZERO));
        for rubbish in ["", "-1", "1.5", "soon", "Sun, 06 Foo 1994 08:49:37 GMT"] {
            assert_eq!(read(rubbish), None, "{rubbish}");
        }
        let mut backoff = Backoff::new(DELAYS);
        let week = Duration::from_secs(604_800);
        assert_eq!(
            backoff.after(Attempt::Failed, Some(week), 0.0).0,
            LONGEST_RETRY_AFTER
        );
    }

    proptest! {
        #[test]
        fn a_wait_is_within_its_bounds(
            refused in prop::collection::vec(any::<bool>(), 1..40),
            chance in 0.0..1.0_f64,
            asked in prop::option::of(0..10_000_u64),
        ) {
            let mut backoff = Backoff::new(DELAYS);
            for refused in refused {
                let attempt = if refused { Attempt::Refused } else { Attempt::Failed };
                let asked = asked.map(Duration::from_secs);
                let (wait, _) = backoff.after(attempt, asked, chance);
                let asked = asked.unwrap_or_default().min(LONGEST_RETRY_AFTER);
                prop_assert!(wait >= asked);
                prop_assert!(wait <= asked + DELAYS.slow.mul_f64(1.2));
            }
        }

        #[test]
        fn rubbish_dates_are_no_panic(text in ".{0,40}", number in any::<u64>()) {
            let now = UNIX_EPOCH + Duration::from_secs(1);
            let _ = retry_after(&text, now);
            let _ = retry_after(&format!("Sun, {number} Jan {number} {number}:00:00 GMT"), now);
        }
    }
}
