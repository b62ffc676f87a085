//! Charts of both paths side by side, made on the server: from what was counted to the geometry that
//! a template writes down as SVG.
//!
//! A chart is as wide as its place. Across, everything is a share of the width; only the lines are
//! stretched, in an inner picture of [`WIDTH`] units, so that texts and marks keep their size on a
//! phone and on a wall. Down, a unit is a pixel.

mod scale;
mod series;

use chrono::{DateTime, Utc};

pub(crate) use scale::short;
pub(crate) use series::{Charts, Span};

use scale::{Levels, clock_times, fixed};

/// The units that the inner picture is wide.
const WIDTH: f64 = 1_000.0;
/// Where the highest value stands, in pixels from above.
const TOP: f64 = 18.0;
/// Where nothing stands.
const BOTTOM: f64 = 138.0;

/// A chart as a template draws it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Chart {
    /// Its name in the page.
    pub(crate) id: &'static str,
    /// What it shows, with the unit.
    pub(crate) title: String,
    /// The same in sentences, for whoever does not see it.
    pub(crate) described: String,
    /// The levels that are marked, from the lowest.
    pub(crate) levels: Vec<Level>,
    /// The moments that are marked.
    pub(crate) times: Vec<Moment>,
    /// The lines that have something to show.
    pub(crate) lines: Vec<Line>,
}

/// A level that is marked.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Level {
    /// Pixels from above.
    pub(crate) y: String,
    /// Where its label stands.
    pub(crate) label_y: String,
    pub(crate) label: String,
}

/// A moment that is marked.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Moment {
    /// Percent of the width.
    pub(crate) x: String,
    pub(crate) label: String,
    /// Which end of the label stands there: `start`, `middle` or `end`.
    pub(crate) anchor: &'static str,
}

/// One line: dashed or not, and marked at its end by a disc or a square.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Line {
    pub(crate) kind: Kind,
    /// The path of the inner picture; empty where no two steps meet.
    pub(crate) path: String,
    /// Steps that stand alone, and the last one.
    pub(crate) marks: Vec<Mark>,
    /// The last value, with its unit.
    pub(crate) last: String,
    /// The highest value, with its unit.
    pub(crate) most: String,
}

/// A place of its own.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Mark {
    /// Percent of the width.
    pub(crate) x: String,
    /// Pixels from above.
    pub(crate) y: String,
}

/// What a line stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// The old path.
    Old,
    /// The new path.
    New,
    /// Results of both, compared.
    Compared,
}

impl Kind {
    /// The name of its class.
    pub(crate) const fn class(self) -> &'static str {
        match self {
            Kind::Old => "is-old",
            Kind::New => "is-new",
            Kind::Compared => "is-compared",
        }
    }

    /// In words.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Kind::Old => "old path",
            Kind::New => "new path",
            Kind::Compared => "both compared",
        }
    }

    /// Whether its marks are squares; discs else.
    pub(crate) const fn is_square(self) -> bool {
        matches!(self, Kind::New)
    }
}

impl Chart {
    /// Whether nothing was reported that it could show.
    pub(crate) fn is_empty(&self) -> bool {
        self.lines.is_empty()
    }
}

/// Values by the beginning of their steps.
type Values = Vec<(DateTime<Utc>, f64)>;

/// What is drawn: values by the beginning of their steps, with nothing where nothing was reported.
struct Drawing {
    id: &'static str,
    /// What is shown, without the unit.
    title: &'static str,
    /// The unit, as it stands behind a number.
    unit: &'static str,
    lines: Vec<(Kind, Values)>,
}

/// The time that a chart covers.
#[derive(Clone, Copy, Debug)]
struct Frame {
    from: DateTime<Utc>,
    until: DateTime<Utc>,
    step_seconds: i64,
}

impl Frame {
    /// How far across a moment is: 0 to 1.
    fn across(&self, at: DateTime<Utc>) -> f64 {
        let whole = seconds(self.until - self.from).max(1.0);
        (seconds(at - self.from) / whole).clamp(0.0, 1.0)
    }

    /// The middle of a step.
    fn middle(&self, begin: DateTime<Utc>) -> f64 {
        let half = chrono::Duration::milliseconds(self.step_seconds.saturating_mul(500));
        self.across(begin.checked_add_signed(half).unwrap_or(begin))
    }

    /// Whether one step begins where the other ends.
    fn touch(&self, one: DateTime<Utc>, next: DateTime<Utc>) -> bool {
        (next - one).num_seconds() <= self.step_seconds
    }
}

fn seconds(length: chrono::Duration) -> f64 {
    let whole = u64::try_from(length.num_milliseconds().max(0)).unwrap_or(0);
    crate::domain::number::real(whole) / 1_000.0
}

fn draw(drawing: Drawing, frame: Frame) -> Chart {
    let values = drawing.lines.iter().flat_map(|(_, points)| points);
    let highest = values.map(|(_, value)| *value).fold(0.0, f64::max);
    let levels = Levels::up_to(highest);
    let down = |value: f64| BOTTOM - (BOTTOM - TOP) * (value / levels.top()).clamp(0.0, 1.0);
    let unit = drawing.unit;
    let lines: Vec<Line> = drawing
        .lines
        .iter()
        .filter(|(_, points)| !points.is_empty())
        .map(|(kind, points)| line(*kind, points, &frame, &down, unit))
        .collect();
    Chart {
        id: drawing.id,
        title: format!("{}, {}", drawing.title, unit.trim()),
        described: described(&drawing, &lines, frame),
        levels: levels
            .all()
            .map(|value| Level {
                y: fixed(down(value)),
                label_y: fixed(down(value) - 4.0),
                label: short(value),
            })
            .collect(),
        times: clock_times(frame.from, frame.until)
            .into_iter()
            .map(|(at, label)| moment(frame.across(at), label))
            .collect(),
        lines,
    }
}

fn moment(across: f64, label: String) -> Moment {
    let anchor = match across {
        near if near < 0.08 => "start",
        far if far > 0.92 => "end",
        _ => "middle",
    };
    Moment {
        x: fixed(across * 100.0),
        label,
        anchor,
    }
}

fn line(
    kind: Kind,
    points: &[(DateTime<Utc>, f64)],
    frame: &Frame,
    down: &dyn Fn(f64) -> f64,
    unit: &str,
) -> Line {
    let mut path = String::new();
    let mut marks = Vec::new();
    for run in points.chunk_by(|(one, _), (next, _)| frame.touch(*one, *next)) {
        match run {
            [(at, value)] => marks.push(mark(frame.middle(*at), down(*value))),
            run => {
                for (index, (at, value)) in run.iter().enumerate() {
                    let letter = if index == 0 { 'M' } else { 'L' };
                    let (x, y) = (frame.middle(*at) * WIDTH, down(*value));
                    path.push(letter);
                    path.push_str(&fixed(x));
                    path.push(' ');
                    path.push_str(&fixed(y));
                }
            }
        }
    }
    let last = points.last();
    if let Some((at, value)) = last {
        let last = mark(frame.middle(*at), down(*value));
        if marks.last() != Some(&last) {
            marks.push(last);
        }
    }
    let most = points.iter().map(|(_, value)| *value).fold(0.0, f64::max);
    let told = |value: f64| format!("{}{unit}", short(value));
    Line {
        kind,
        path,
        marks,
        last: last.map_or_else(String::new, |(_, value)| told(*value)),
        most: told(most),
    }
}

fn mark(across: f64, y: f64) -> Mark {
    Mark {
        x: fixed(across * 100.0),
        y: fixed(y),
    }
}

fn described(drawing: &Drawing, lines: &[Line], frame: Frame) -> String {
    let minute = |at: DateTime<Utc>| at.format("%Y-%m-%d %H:%M UTC");
    let span = format!("from {} to {}", minute(frame.from), minute(frame.until));
    if lines.is_empty() {
        return format!("{} {span}: nothing was reported.", drawing.title);
    }
    let lines = lines.iter().map(|line| {
        let name = line.kind.name();
        format!("{name}: at most {}, at last {}", line.most, line.last)
    });
    let lines: Vec<String> = lines.collect();
    format!("{} {span}. {}.", drawing.title, lines.join("; "))
}

#[cfg(test)]
mod tests;
