use std::collections::BTreeMap;

use chrono::{DateTime, Duration, TimeZone as _, Utc};
use switchover::Latency;

use super::scale::{Levels, clock_times, fixed, short};
use super::*;
use crate::domain::telemetry::{Tallies, Tally};
use crate::service::Series;

fn start() -> DateTime<Utc> {
    Utc.with_ymd_and_hms(2026, 3, 1, 10, 0, 0).unwrap()
}

fn frame(seconds: i64, step_seconds: i64) -> Frame {
    Frame {
        from: start(),
        until: start() + Duration::seconds(seconds),
        step_seconds,
    }
}

/// A chart of 100 s in steps of 10 s, of these values by step.
fn chart(values: &[(i64, f64)]) -> Chart {
    let points = values.iter();
    let points = points.map(|(step, value)| (start() + Duration::seconds(step * 10), *value));
    let drawing = Drawing {
        id: "it",
        title: "Something",
        unit: " ms",
        lines: vec![(Kind::Old, points.collect()), (Kind::New, Vec::new())],
    };
    draw(drawing, frame(100, 10))
}

fn levels(highest: f64) -> Vec<String> {
    Levels::up_to(highest).all().map(short).collect()
}

#[test]
fn levels_are_few_and_round() {
    assert_eq!(levels(0.0), ["0", "1"]);
    assert_eq!(levels(0.3), ["0", "0.1", "0.2", "0.3"]);
    assert_eq!(levels(7.0), ["0", "2", "4", "6", "8"]);
    assert_eq!(levels(10.0), ["0", "5", "10"]);
    assert_eq!(levels(1_234.0), ["0", "500", "1k", "1.5k"]);
    for wrong in [f64::NAN, f64::INFINITY, -1.0] {
        assert_eq!(levels(wrong), ["0", "1"]);
    }
    for power in -12..300 {
        let highest = 3.7 * 10f64.powi(power);
        let levels = Levels::up_to(highest);
        assert!(levels.top() >= highest * (1.0 - 1e-9), "{highest}");
        assert!((2..=5).contains(&levels.all().count()), "{highest}");
    }
}

#[test]
fn numbers_are_short_whatever_their_size() {
    for (value, said) in [
        (0.0, "0"),
        (0.000_01, "<0.001"),
        (0.025, "0.025"),
        (0.25, "0.25"),
        (12.0, "12"),
        (12.34, "12.3"),
        (999.4, "999"),
        (999.9, "1k"),
        (1_500.0, "1.5k"),
        (18_446_744_073_709_551_615.0, "18.4E"),
    ] {
        assert_eq!(short(value), said);
    }
    assert_eq!(
        (fixed(12.0), fixed(12.34)),
        ("12".to_owned(), "12.3".to_owned())
    );
}

#[test]
fn moments_are_those_of_the_clock() {
    let labels = |from: DateTime<Utc>, length: Duration| {
        let times = clock_times(from, from + length);
        times
            .into_iter()
            .map(|(_, label)| label)
            .collect::<Vec<_>>()
    };
    let late = start() + Duration::minutes(7);
    assert_eq!(
        labels(late, Duration::hours(1)),
        ["10:15", "10:30", "10:45", "11:00"]
    );
    assert_eq!(
        labels(late, Duration::hours(6)),
        ["12:00", "14:00", "16:00"]
    );
    assert_eq!(
        labels(late, Duration::hours(24)),
        ["12:00", "18:00", "00:00", "06:00"]
    );
    assert_eq!(
        labels(late, Duration::days(7)),
        ["Mar 2", "Mar 4", "Mar 6", "Mar 8"]
    );
    assert!(labels(late, Duration::zero()).len() <= 1);
    assert!(labels(late, Duration::days(4_000)).len() <= 6);
}

#[test]
fn nothing_is_drawn_of_nothing() {
    let chart = chart(&[]);
    assert!(chart.is_empty());
    assert_eq!(
        chart.described,
        "Something from 2026-03-01 10:00 UTC to 2026-03-01 10:01 UTC: nothing was reported."
    );
    assert_eq!(chart.title, "Something, ms");
}

#[test]
fn values_stand_in_the_middle_of_their_steps() {
    let chart = chart(&[(0, 0.0), (1, 5.0), (2, 10.0)]);
    let [line] = chart.lines.as_slice() else {
        panic!("{:?}", chart.lines);
    };
    assert_eq!(line.path, "M50 138L150 78L250 18");
    let end = Mark {
        x: "25".to_owned(),
        y: "18".to_owned(),
    };
    assert_eq!(line.marks, [end]);
    assert_eq!((line.last.as_str(), line.most.as_str()), ("10 ms", "10 ms"));
    let levels: Vec<&str> = chart.levels.iter().map(|level| level.y.as_str()).collect();
    assert_eq!(levels, ["138", "78", "18"]);
    assert!(
        chart
            .described
            .ends_with("old path: at most 10 ms, at last 10 ms.")
    );
}

#[test]
fn a_gap_is_left_where_nothing_was_reported() {
    let chart = chart(&[(0, 1.0), (1, 1.0), (4, 1.0), (6, 1.0), (7, 1.0)]);
    let line = &chart.lines[0];
    assert_eq!(line.path, "M50 18L150 18M650 18L750 18");
    let alone: Vec<&str> = line.marks.iter().map(|mark| mark.x.as_str()).collect();
    assert_eq!(alone, ["45", "75"]);
}

#[test]
fn one_point_is_a_mark() {
    let chart = chart(&[(3, 2.0)]);
    let line = &chart.lines[0];
    assert_eq!(line.path, "");
    assert_eq!(line.marks.len(), 1);
    assert_eq!(line.marks[0].x, "35");
}

#[test]
fn nothing_above_nothing_lies_at_the_bottom() {
    let chart = chart(&[(0, 0.0), (1, 0.0)]);
    assert_eq!(chart.lines[0].path, "M50 138L150 138");
    assert_eq!(chart.levels.len(), 2);
}

#[test]
fn the_largest_counts_stay_in_the_picture() {
    let chart = chart(&[(0, 1.0), (1, f64::MAX), (9, 1e300)]);
    for line in &chart.lines {
        assert!(!line.path.contains("inf") && !line.path.contains("NaN"));
        for mark in &line.marks {
            let y: f64 = mark.y.parse().unwrap();
            assert!((TOP..=BOTTOM).contains(&y));
        }
    }
}

fn tally(calls: u64, errors: u64) -> Tally {
    Tally {
        calls,
        errors,
        latency: Latency::default(),
        ..Tally::default()
    }
}

fn series(points: BTreeMap<DateTime<Utc>, Tallies>) -> Series {
    Series {
        from: start(),
        until: start() + Duration::hours(1),
        step_seconds: 30,
        points,
        totals: Tallies::default(),
    }
}

#[test]
fn both_paths_are_shown_side_by_side() {
    let counted = |old, new, comparisons, mismatches| Tallies {
        old: Tally {
            comparisons,
            mismatches,
            ..tally(old, 0)
        },
        new: tally(new, 1),
        ..Tallies::default()
    };
    let points = BTreeMap::from([
        (start(), counted(60, 30, 10, 1)),
        (start() + Duration::seconds(30), counted(120, 0, 0, 0)),
        (start() + Duration::minutes(50), counted(u64::MAX, 1, 0, 0)),
    ]);
    let charts = Charts::of(&series(points));
    let ids: Vec<&str> = charts.charts.iter().map(|chart| chart.id).collect();
    assert_eq!(ids, ["calls", "errors", "p50", "p99", "mismatches"]);
    assert_eq!(charts.charts[0].title, "Calls, per second");
    assert_eq!(charts.charts[0].lines.len(), 2);
    assert_eq!(charts.charts[4].lines[0].last, "10 %");
    assert!(charts.charts[2].is_empty(), "nothing was timed");
    assert_eq!(charts.rows.len(), 2);
    let row = &charts.rows[0];
    assert_eq!(row.at, "2026-03-01 10:00");
    assert_eq!(row.old.calls, "180");
    assert_eq!(
        (row.new.errors.as_str(), row.new.p99.as_str()),
        ("6.67 %", "–")
    );
    assert_eq!(row.mismatches, "1 of 10");
}

#[test]
fn few_calls_are_counted_by_the_minute() {
    let points = BTreeMap::from([(
        start(),
        Tallies {
            new: tally(3, 0),
            ..Tallies::default()
        },
    )]);
    let charts = Charts::of(&series(points));
    assert_eq!(charts.charts[0].title, "Calls, per minute");
    assert_eq!(charts.charts[0].lines[0].last, "6 per minute");
    assert!(Charts::of(&series(BTreeMap::new())).is_empty());
}

#[test]
fn a_span_that_is_none_is_an_hour() {
    for span in Span::ALL {
        assert_eq!(Span::named(span.name()), span);
    }
    assert_eq!(Span::named("<script>"), Span::Hour);
}
