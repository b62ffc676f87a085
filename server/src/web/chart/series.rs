//! What was counted of a route, as charts and as a table.

use chrono::{DateTime, Utc};

use crate::domain::number::real;
use crate::domain::telemetry::{Tallies, Tally};
use crate::service::{Series, SeriesSpan};
use crate::web::chart::{Chart, Drawing, Frame, Kind, draw, scale};

/// The most rows of the table.
const MOST_ROWS: i64 = 24;

/// How far back charts look.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Span {
    /// One hour.
    #[default]
    Hour,
    /// Six hours.
    SixHours,
    /// A day.
    Day,
    /// Seven days.
    Week,
}

impl Span {
    /// Every span, shortest first.
    pub(crate) const ALL: [Span; 4] = [Span::Hour, Span::SixHours, Span::Day, Span::Week];

    /// As it stands in an address.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Span::Hour => "1h",
            Span::SixHours => "6h",
            Span::Day => "24h",
            Span::Week => "7d",
        }
    }

    /// As a person reads it.
    pub(crate) const fn told(self) -> &'static str {
        match self {
            Span::Hour => "1 hour",
            Span::SixHours => "6 hours",
            Span::Day => "24 hours",
            Span::Week => "7 days",
        }
    }

    /// The span of this name; an hour when it is none.
    pub(crate) fn named(name: &str) -> Span {
        let mut all = Span::ALL.into_iter();
        all.find(|span| span.name() == name).unwrap_or_default()
    }

    /// What to ask for: about a hundred steps.
    pub(crate) fn asked(self) -> SeriesSpan {
        let (last_seconds, step_seconds) = match self {
            Span::Hour => (3_600, 30),
            Span::SixHours => (21_600, 180),
            Span::Day => (86_400, 900),
            Span::Week => (604_800, 7_200),
        };
        SeriesSpan {
            last_seconds: Some(last_seconds),
            step_seconds: Some(step_seconds),
            ..SeriesSpan::default()
        }
    }
}

/// Both paths of a route side by side, as charts and as a table.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Charts {
    /// Calls, error rate, both percentiles, mismatches.
    pub(crate) charts: Vec<Chart>,
    /// The same in rows; spans without anything are left out.
    pub(crate) rows: Vec<Row>,
}

/// What was counted in a span of time.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Row {
    /// When it began, in UTC.
    pub(crate) at: String,
    /// The old path.
    pub(crate) old: Cells,
    /// The new path.
    pub(crate) new: Cells,
    /// Mismatches, of how many comparisons.
    pub(crate) mismatches: String,
}

/// What was counted of one path.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Cells {
    /// Calls.
    pub(crate) calls: String,
    /// The share of them that failed.
    pub(crate) errors: String,
    /// Half of them were within.
    pub(crate) p50: String,
    /// 99 % of them were within.
    pub(crate) p99: String,
}

impl Charts {
    /// Of what was counted.
    pub(crate) fn of(series: &Series) -> Charts {
        let frame = Frame {
            from: series.from,
            until: series.until,
            step_seconds: series.step_seconds,
        };
        let drawings = [
            calls(series),
            both(series, ("errors", "Calls that failed", " %"), |tally| {
                tally.error_rate().map(|rate| rate * 100.0)
            }),
            both(
                series,
                ("p50", "Half of the calls within (p50)", " ms"),
                |tally| tally.quantile_ms(0.5),
            ),
            both(
                series,
                ("p99", "99 % of the calls within (p99)", " ms"),
                |tally| tally.quantile_ms(0.99),
            ),
            mismatches(series),
        ];
        Charts {
            charts: drawings.map(|drawing| draw(drawing, frame)).into(),
            rows: rows(series),
        }
    }

    /// Whether nothing was reported.
    pub(crate) fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }
}

/// Calls by the second, or by the minute where there are few.
fn calls(series: &Series) -> Drawing {
    let seconds = real(u64::try_from(series.step_seconds).unwrap_or(1)).max(1.0);
    let most = series
        .points
        .values()
        .map(|it| it.old.calls.max(it.new.calls));
    let is_few = real(most.max().unwrap_or(0)) < seconds;
    let (unit, times) = if is_few {
        (" per minute", 60.0)
    } else {
        (" per second", 1.0)
    };
    both(series, ("calls", "Calls", unit), |tally| {
        (tally.calls > 0).then(|| real(tally.calls) * times / seconds)
    })
}

/// What both paths answer to callers.
fn both(
    series: &Series,
    (id, title, unit): (&'static str, &'static str, &'static str),
    value: impl Fn(&Tally) -> Option<f64>,
) -> Drawing {
    let of = |path: fn(&Tallies) -> &Tally| {
        let points = series.points.iter();
        let points = points.filter_map(|(at, tallies)| Some((*at, value(path(tallies))?)));
        points.collect::<Vec<_>>()
    };
    Drawing {
        id,
        title,
        unit,
        lines: vec![
            (Kind::Old, of(|tallies| &tallies.old)),
            (Kind::New, of(|tallies| &tallies.new)),
        ],
    }
}

/// Results that differed, of those that were compared, whichever path answered.
fn mismatches(series: &Series) -> Drawing {
    let points = series.points.iter().filter_map(|(at, tallies)| {
        let compared = tallies.traffic(None, false);
        let rate = real(compared.mismatches) / real(compared.comparisons);
        (compared.comparisons > 0).then_some((*at, rate * 100.0))
    });
    Drawing {
        id: "mismatches",
        title: "Compared results that differed",
        unit: " %",
        lines: vec![(Kind::Compared, points.collect())],
    }
}

fn rows(series: &Series) -> Vec<Row> {
    let whole = (series.until - series.from).num_seconds().max(1);
    let steps = whole / series.step_seconds.max(1) / MOST_ROWS + 1;
    let length = steps.saturating_mul(series.step_seconds.max(1));
    let place = |at: DateTime<Utc>| at.timestamp().div_euclid(length);
    let points: Vec<(&DateTime<Utc>, &Tallies)> = series.points.iter().collect();
    let spans = points.chunk_by(|(one, _), (other, _)| place(**one) == place(**other));
    spans.filter_map(row).collect()
}

fn row(points: &[(&DateTime<Utc>, &Tallies)]) -> Option<Row> {
    let (at, _) = points.first()?;
    let mut sum = Tallies::default();
    for (_, tallies) in points {
        sum.old.merge(&tallies.old);
        sum.new.merge(&tallies.new);
        sum.old_mirror.merge(&tallies.old_mirror);
        sum.new_mirror.merge(&tallies.new_mirror);
    }
    let compared = sum.traffic(None, false);
    let mismatches = match compared.comparisons {
        0 => "–".to_owned(),
        comparisons => format!("{} of {comparisons}", compared.mismatches),
    };
    Some(Row {
        at: at.format("%Y-%m-%d %H:%M").to_string(),
        old: Cells::of(&sum.old),
        new: Cells::of(&sum.new),
        mismatches,
    })
}

impl Cells {
    fn of(tally: &Tally) -> Cells {
        let told = |value: Option<f64>, unit: &str| match value {
            Some(value) => format!("{}{unit}", scale::short(value)),
            None => "–".to_owned(),
        };
        Cells {
            calls: crate::web::words::count(tally.calls),
            errors: told(tally.error_rate().map(|rate| rate * 100.0), " %"),
            p50: told(tally.quantile_ms(0.5), " ms"),
            p99: told(tally.quantile_ms(0.99), " ms"),
        }
    }
}
