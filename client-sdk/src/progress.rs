//! How far a backfill is, and how a terminal shows it.

use std::collections::VecDeque;
use std::fmt;
use std::io::{self, IsTerminal, Stderr, Write};
use std::time::{Duration, Instant};

use crate::writers::BackfillState;

/// What a rate is taken over.
const WINDOW: Duration = Duration::from_secs(60);
/// How far apart the readings of a rate are, at least.
const APART: Duration = Duration::from_millis(500);
/// How soon a terminal is written to again.
const TERMINAL: Duration = Duration::from_millis(250);
/// How soon anything else is: it keeps what was written.
const PLAIN: Duration = Duration::from_secs(5);

/// How far a backfill is.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct BackfillStatus {
    /// The route.
    pub route: String,
    /// Whether it runs.
    pub state: BackfillState,
    /// Keys that were looked at, also by processes before this one.
    pub keys: u64,
    /// Those of them that had to be copied.
    pub copied: u64,
    /// Those of them that could not be.
    pub failed: u64,
    /// How many there are, about, if known.
    pub total: Option<u64>,
    /// Keys per second over the last minute; `None` until that is known.
    pub per_second: Option<u64>,
    /// How long it takes at that rate until all are looked at.
    pub left: Option<Duration>,
}

/// What is told how far a backfill is. A closure is one.
pub trait Progress: Send {
    /// Called several times a batch, and each second while the backfill is paused. The backfill waits
    /// for it.
    fn show(&mut self, status: &BackfillStatus);
}

impl<F: FnMut(&BackfillStatus) + Send> Progress for F {
    fn show(&mut self, status: &BackfillStatus) {
        self(status);
    }
}

impl fmt::Display for BackfillStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "backfill of {}: ", self.route)?;
        match self.total.filter(|total| *total > 0) {
            None => write!(f, "{} keys", self.keys)?,
            Some(total) => {
                let percent = self.keys.saturating_mul(100).checked_div(total);
                let percent = percent.unwrap_or_default().min(100);
                write!(f, "{} of {total} keys, {percent} %", self.keys)?;
            }
        }
        if self.failed > 0 {
            write!(f, ", {} failed", self.failed)?;
        }
        match self.state {
            BackfillState::Running => {
                if let Some(rate) = self.per_second {
                    write!(f, ", {rate}/s")?;
                }
                match self.left {
                    None => Ok(()),
                    Some(left) => write!(f, ", {} left", Span(left)),
                }
            }
            BackfillState::Paused => f.write_str(", paused"),
            BackfillState::Complete => f.write_str(", complete"),
            BackfillState::Reset => f.write_str(", reset"),
            BackfillState::TakenOver => f.write_str(", taken over by another process"),
        }
    }
}

/// A time for people: its two largest units.
struct Span(Duration);

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.0.as_secs();
        let (minutes, hours) = (seconds / 60, seconds / 3_600);
        match (hours, minutes) {
            (0, 0) => write!(f, "{seconds} s"),
            (0, _) => write!(f, "{minutes} min {} s", seconds % 60),
            _ => write!(f, "{hours} h {} min", minutes % 60),
        }
    }
}

/// Shows a backfill as one line of a terminal that changes up to four times a second, and elsewhere as a
/// line every five seconds.
#[derive(Debug)]
pub struct TerminalProgress<W = Stderr> {
    out: W,
    is_terminal: bool,
    shown: Option<(Instant, BackfillState)>,
}

impl TerminalProgress {
    /// On standard error.
    #[must_use]
    pub fn stderr() -> TerminalProgress {
        let out = io::stderr();
        let is_terminal = out.is_terminal();
        TerminalProgress::new(out, is_terminal)
    }
}

impl<W> TerminalProgress<W> {
    /// On anything, which is a terminal or is not.
    pub fn new(out: W, is_terminal: bool) -> TerminalProgress<W> {
        TerminalProgress {
            out,
            is_terminal,
            shown: None,
        }
    }
}

impl<W: Write + Send> Progress for TerminalProgress<W> {
    fn show(&mut self, status: &BackfillStatus) {
        let apart = if self.is_terminal { TERMINAL } else { PLAIN };
        let is_soon =
            |(at, state): (Instant, BackfillState)| state == status.state && at.elapsed() < apart;
        if self.shown.is_some_and(is_soon) {
            return;
        }
        self.shown = Some((Instant::now(), status.state));
        let has_ended = !matches!(status.state, BackfillState::Running | BackfillState::Paused);
        let end = if has_ended { "\n" } else { "" };
        // Whether a terminal can be written to does not matter to a backfill.
        let _ = match self.is_terminal {
            true => write!(self.out, "\r{status}\x1b[K{end}"),
            false => writeln!(self.out, "{status}"),
        };
        let _ = self.out.flush();
    }
}

/// How fast it goes. Time is an argument: since some moment.
#[derive(Debug, Default)]
pub(crate) struct Speed {
    readings: VecDeque<(Duration, u64)>,
}

impl Speed {
    /// So many are done now.
    pub(crate) fn read(&mut self, now: Duration, done: u64) {
        // Begun anew: what was before says nothing.
        if self
            .readings
            .back()
            .is_some_and(|(_, before)| *before > done)
        {
            self.readings.clear();
        }
        let is_soon = |(at, _): &(Duration, u64)| now.saturating_sub(*at) < APART;
        if self.readings.len() > 1 && self.readings.back().is_some_and(is_soon) {
            return;
        }
        self.readings.push_back((now, done));
        let is_old = |(at, _): &(Duration, u64)| now.saturating_sub(*at) > WINDOW;
        while self.readings.len() > 2 && self.readings.front().is_some_and(is_old) {
            self.readings.pop_front();
        }
    }

    /// A second.
    pub(crate) fn per_second(&self) -> Option<u64> {
        let ((first, before), (last, after)) = self.readings.front().zip(self.readings.back())?;
        let millis = u64::try_from(last.saturating_sub(*first).as_millis()).ok()?;
        let done = after.saturating_sub(*before);
        done.saturating_mul(1_000).checked_div(millis)
    }

    /// Until a total is reached.
    pub(crate) fn left(&self, total: u64) -> Option<Duration> {
        let (_, done) = self.readings.back()?;
        let seconds = total
            .saturating_sub(*done)
            .checked_div(self.per_second()?)?;
        Some(Duration::from_secs(seconds))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status() -> BackfillStatus {
        BackfillStatus {
            route: "equipment".to_owned(),
            state: BackfillState::Running,
            keys: 3_000,
            copied: 2_900,
            failed: 2,
            total: Some(10_000),
            per_second: Some(812),
            left: Some(Duration::from_secs(68)),
        }
    }

    #[test]
    fn a_line_says_what_is_known() {
        let mut status = status();
        assert_eq!(
            status.to_string(),
            "backfill of equipment: 3000 of 10000 keys, 30 %, 2 failed, 812/s, 1 min 8 s left"
        );
        (status.total, status.left, status.per_second, status.failed) = (None, None, None, 0);
        assert_eq!(status.to_string(), "backfill of equipment: 3000 keys");
        status.state = BackfillState::Paused;
        status.total = Some(1);
        assert_eq!(
            status.to_string(),
            "backfill of equipment: 3000 of 1 keys, 100 %, paused"
        );
        assert_eq!(Span(Duration::from_secs(3_700)).to_string(), "1 h 1 min");
    }

    #[test]
    fn a_terminal_keeps_one_line_and_a_file_keeps_few() {
        let mut status = status();
        let (mut terminal, mut file) = (Vec::new(), Vec::new());
        let mut shown = [
            TerminalProgress::new(&mut terminal, true),
            TerminalProgress::new(&mut file, false),
        ];
        for _ in 0..100 {
            for shown in &mut shown {
                shown.show(&status);
            }
        }
        status.state = BackfillState::Complete;
        for shown in &mut shown {
            shown.show(&status);
        }
        let terminal = String::from_utf8(terminal).unwrap();
        assert_eq!(terminal.matches('\n').count(), 1, "{terminal:?}");
        assert!(terminal.starts_with('\r') && terminal.ends_with("complete\x1b[K\n"));
        let file = String::from_utf8(file).unwrap();
        assert_eq!(file.lines().count(), 2, "{file}");
    }

    #[test]
    fn a_rate_is_of_the_last_minute() {
        let mut speed = Speed::default();
        assert_eq!((speed.per_second(), speed.left(10)), (None, None));
        for second in 0..=600 {
            speed.read(Duration::from_secs(second), 100 * second);
        }
        assert_eq!(speed.per_second(), Some(100));
        for second in 601..=700 {
            speed.read(Duration::from_secs(second), 60_000 + 10 * (second - 600));
        }
        assert_eq!(speed.per_second(), Some(10));
        assert_eq!(speed.left(61_100), Some(Duration::from_secs(10)));
        assert!(speed.readings.len() <= 122);
        speed.read(Duration::from_secs(701), 5);
        assert_eq!(speed.per_second(), None);
    }
}
