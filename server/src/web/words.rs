//! How things are said and shown: moments, stages, settings, counts, shares. Each is escaped by
//! being rendered; what says [`HtmlSafe`] renders itself.

use askama::Template;
use askama::filters::HtmlSafe;
use chrono::{DateTime, Duration, SecondsFormat, Utc};
use switchover::{Setting, Stage};

/// A moment: how long ago it was or how soon it will be, with the exact time behind it.
#[derive(Clone, Debug, PartialEq, Eq, Template)]
#[template(
    source = r#"<time datetime="{{ exact }}" title="{{ exact }}">{{ told }}</time>"#,
    ext = "html"
)]
pub(crate) struct When {
    told: String,
    exact: String,
}

impl HtmlSafe for When {}

impl When {
    pub(crate) fn of(at: DateTime<Utc>, now: DateTime<Utc>) -> When {
        let apart = now - at;
        let told = if apart.abs() < Duration::seconds(5) {
            "just now".to_owned()
        } else if apart > Duration::zero() {
            format!("{} ago", span(apart))
        } else {
            format!("in {}", span(-apart))
        };
        When {
            told,
            exact: exact(at),
        }
    }
}

/// A moment as it is written everywhere else.
pub(crate) fn exact(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::Secs, true)
}

/// A length of time in its largest unit, and the next where the largest is small.
pub(crate) fn span(length: Duration) -> String {
    let seconds = length.num_seconds().max(0);
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3_600, seconds / 60);
    match () {
        () if days >= 10 => format!("{days} d"),
        () if days >= 1 => two(days, "d", hours % 24, "h"),
        () if hours >= 10 => format!("{hours} h"),
        () if hours >= 1 => two(hours, "h", minutes % 60, "min"),
        () if minutes >= 1 => format!("{minutes} min"),
        () => format!("{seconds} s"),
    }
}

fn two(large: i64, large_unit: &str, small: i64, small_unit: &str) -> String {
    if small == 0 {
        format!("{large} {large_unit}")
    } else {
        format!("{large} {large_unit} {small} {small_unit}")
    }
}

/// A count with its thousands apart.
pub(crate) fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut told = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            told.push(',');
        }
        told.push(digit);
    }
    told
}

/// A part of a whole in percent, so that neither none nor all is said of what is not: `0.4 %`,
/// `<0.1 %`, `99.9 %`. A dash where there is no whole.
pub(crate) fn share(part: u64, whole: u64) -> String {
    if whole == 0 {
        return "–".to_owned();
    }
    let tenths = u128::from(part) * 1_000 / u128::from(whole);
    match tenths {
        0 if part == 0 => "0 %".to_owned(),
        0 => "<0.1 %".to_owned(),
        1_000.. => "100 %".to_owned(),
        tenths if tenths % 10 == 0 => format!("{} %", tenths / 10),
        tenths => format!("{}.{} %", tenths / 10, tenths % 10),
    }
}

/// A stage in words.
pub(crate) const fn stage_name(stage: Stage) -> &'static str {
    match stage {
        Stage::ReadyForTesting => "Ready for testing",
        Stage::OptIn => "Opt-in",
        Stage::OptOut => "Opt-out",
        Stage::Mandatory => "Mandatory",
    }
}

/// A stage by its shape (a disc that fills up) and its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Template)]
#[template(
    source = r##"<span class="stage is-{{ stage.name() }}"><svg class="disc" aria-hidden="true"><use href="#{{ stage.name() }}"/></svg>{{ self.name() }}</span>"##,
    ext = "html"
)]
pub(crate) struct StageMark {
    stage: Stage,
}

impl HtmlSafe for StageMark {}

impl StageMark {
    pub(crate) const fn of(stage: Stage) -> StageMark {
        StageMark { stage }
    }

    fn name(&self) -> &'static str {
        stage_name(self.stage)
    }
}

/// A setting in words.
pub(crate) fn setting_name(setting: Setting) -> String {
    match setting {
        Setting::StageDefault => "as the stage says".to_owned(),
        Setting::Off => "off".to_owned(),
        Setting::On => "on".to_owned(),
        Setting::Ramp { percent } => format!("ramp {percent}"),
    }
}

/// How calls were split between the two paths: a thin bar, and the numbers behind it.
#[derive(Clone, Debug, PartialEq, Eq, Template)]
#[template(
    source = r#"<svg class="bar" role="img" aria-label="{{ label }}"><title>{{ label }}</title><rect class="is-old" width="100%" height="100%"/><rect class="is-new" width="{{ width }}%" height="100%"/></svg>"#,
    ext = "html"
)]
pub(crate) struct SplitBar {
    label: String,
    width: String,
}

impl HtmlSafe for SplitBar {}

impl SplitBar {
    /// Of calls that took the new path and the old; `None` where there were none.
    pub(crate) fn of(new: u64, old: u64) -> Option<SplitBar> {
        let all = new.saturating_add(old);
        if all == 0 {
            return None;
        }
        let tenths = u128::from(new) * 1_000 / u128::from(all);
        Some(SplitBar {
            label: format!(
                "{} of {} calls took the new path",
                share(new, all),
                count(all)
            ),
            width: format!("{}.{}", tenths / 10, tenths % 10),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_say_as_much_as_helps() {
        let said = |seconds: i64| span(Duration::seconds(seconds));
        assert_eq!(said(-4), "0 s");
        assert_eq!(said(59), "59 s");
        assert_eq!(said(61), "1 min");
        assert_eq!(said(3_600), "1 h");
        assert_eq!(said(5_460), "1 h 31 min");
        assert_eq!(said(36_061), "10 h");
        assert_eq!(said(90_000), "1 d 1 h");
        assert_eq!(said(864_000), "10 d");
    }

    #[test]
    fn shares_never_say_none_or_all_of_what_is_not() {
        assert_eq!(share(0, 0), "–");
        assert_eq!(share(0, 10), "0 %");
        assert_eq!(share(1, 100_000), "<0.1 %");
        assert_eq!(share(1, 3), "33.3 %");
        assert_eq!(share(999_999, 1_000_000), "99.9 %");
        assert_eq!(share(5, 5), "100 %");
        assert_eq!(share(u64::MAX, u64::MAX), "100 %");
    }

    #[test]
    fn counts_have_their_thousands_apart() {
        assert_eq!(count(0), "0");
        assert_eq!(count(999), "999");
        assert_eq!(count(1_000), "1,000");
        assert_eq!(count(12_345_678), "12,345,678");
    }

    #[test]
    fn moments_are_told_from_now() {
        let now = DateTime::from_timestamp(1_800_000_000, 0).unwrap();
        let told = |seconds: i64| When::of(now + Duration::seconds(seconds), now).told;
        assert_eq!(told(0), "just now");
        assert_eq!(told(-90), "1 min ago");
        assert_eq!(told(7_200), "in 2 h");
        assert_eq!(
            When::of(now, now).to_string(),
            "<time datetime=\"2027-01-15T08:00:00Z\" title=\"2027-01-15T08:00:00Z\">just now</time>"
        );
    }

    #[test]
    fn bars_are_as_wide_as_the_new_share() {
        assert_eq!(SplitBar::of(0, 0), None);
        assert_eq!(SplitBar::of(1, 2).unwrap().width, "33.3");
        assert_eq!(SplitBar::of(u64::MAX, 0).unwrap().width, "100.0");
    }
}
