//! Levels and moments that are marked in a chart, and how numbers are written there.

use chrono::{DateTime, Datelike as _, Utc};

/// The most levels above nothing.
const MOST_LEVELS: u32 = 4;
/// The most moments.
const MOST_TIMES: i64 = 5;
/// How far moments are apart, in seconds; all but the longest divide a day.
const APART: [i64; 12] = [
    60, 300, 600, 900, 1_800, 3_600, 7_200, 10_800, 21_600, 43_200, 86_400, 172_800,
];

/// Round levels from nothing up to at least the highest value.
pub(super) struct Levels {
    step: f64,
    count: u32,
}

impl Levels {
    /// Where nothing is above nothing, one level.
    pub(super) fn up_to(highest: f64) -> Levels {
        if !(highest.is_finite() && highest > 0.0) {
            return Levels {
                step: 1.0,
                count: 1,
            };
        }
        let rough = highest / f64::from(MOST_LEVELS);
        let power = 10f64.powf(rough.log10().floor());
        let steps = [1.0, 2.0, 5.0, 10.0].map(|factor| factor * power);
        // A little is forgiven: 0.3 / 0.1 is above 3.
        let fits = |step: &f64| highest / step <= f64::from(MOST_LEVELS) + 1e-9;
        let step = steps.into_iter().find(fits).unwrap_or(10.0 * power);
        let counts = 1..=MOST_LEVELS;
        let reaches = |count: &u32| step * f64::from(*count) >= highest * (1.0 - 1e-9);
        let count = counts.into_iter().find(reaches).unwrap_or(MOST_LEVELS);
        Levels { step, count }
    }

    pub(super) fn top(&self) -> f64 {
        self.step * f64::from(self.count)
    }

    pub(super) fn all(&self) -> impl Iterator<Item = f64> {
        let step = self.step;
        (0..=self.count).map(move |index| step * f64::from(index))
    }
}

/// Round moments between two, by the clock of UTC, as they are labelled.
pub(super) fn clock_times(
    from: DateTime<Utc>,
    until: DateTime<Utc>,
) -> Vec<(DateTime<Utc>, String)> {
    let (begin, end) = (from.timestamp(), until.timestamp());
    let fits = |apart: &i64| (end - begin) / apart < MOST_TIMES;
    let apart = APART.into_iter().find(fits).unwrap_or((end - begin).max(1));
    let first = begin + (apart - begin.rem_euclid(apart)) % apart;
    let mut times = Vec::new();
    let mut at = first;
    while at <= end {
        if let Some(moment) = DateTime::from_timestamp(at, 0) {
            let label = if apart < 86_400 {
                moment.format("%H:%M").to_string()
            } else {
                format!("{} {}", moment.format("%b"), moment.day())
            };
            times.push((moment, label));
        }
        at = at.saturating_add(apart);
    }
    times
}

/// A number with three digits that count: `0.25`, `12`, `1.5k`, `18.4E`.
pub(crate) fn short(value: f64) -> String {
    const LARGE: [(f64, &str); 6] = [
        (1e18, "E"),
        (1e15, "P"),
        (1e12, "T"),
        (1e9, "G"),
        (1e6, "M"),
        (1e3, "k"),
    ];
    // What would be rounded up to a thousand of a unit is one of the next.
    let large = LARGE.into_iter().find(|(unit, _)| value >= unit * 0.999_5);
    let (value, name) = match large {
        Some((unit, name)) => (value / unit, name),
        None => (value, ""),
    };
    let digits = match value {
        zero if zero <= 0.0 => 0,
        small if small < 0.001 => return "<0.001".to_owned(),
        small if small < 0.1 => 3,
        small if small < 10.0 => 2,
        middle if middle < 100.0 => 1,
        _ => 0,
    };
    let text = format!("{value:.digits$}");
    let text = match text.contains('.') {
        true => text.trim_end_matches('0').trim_end_matches('.'),
        false => &text,
    };
    format!("{text}{name}")
}

/// A coordinate.
pub(super) fn fixed(value: f64) -> String {
    let text = format!("{value:.1}");
    text.strip_suffix(".0").map_or(text.clone(), str::to_owned)
}
