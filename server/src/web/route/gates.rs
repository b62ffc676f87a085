//! What comes next, and the gates and guards in its way, as they are shown.

use chrono::{DateTime, Utc};

use crate::domain::gate::{GateReport, GateState};
use crate::domain::guard::{GuardReport, GuardState};
use crate::domain::next_action::{By, Next, NextAction};
use crate::service::Target;
use crate::web::actions::remedy_form;
use crate::web::route::Badge;
use crate::web::words::When;

/// What comes next.
pub(super) struct NextView {
    /// In a sentence.
    pub(super) told: String,
    /// Who does it.
    pub(super) by: String,
    /// What is to be read besides.
    pub(super) details: Vec<String>,
    /// The moment that is waited for.
    pub(super) at: Option<When>,
    /// `is-good`, `is-wait`, `is-bad`, or nothing.
    pub(super) class: &'static str,
}

impl NextView {
    pub(super) fn of(next: &NextAction, now: DateTime<Utc>) -> NextView {
        let class = match (&next.what, next.by) {
            (Next::Resume { .. } | Next::Mend { .. }, _) => "is-bad",
            (Next::Mandatory { .. } | Next::Retired { .. } | Next::Promote { .. }, _) => "is-good",
            (_, By::Itself) => "is-wait",
            _ => "",
        };
        NextView {
            told: capital(&next.what.told()),
            by: match next.by {
                By::Nobody => String::new(),
                by => by.told(),
            },
            details: match next.what {
                // The halt itself stands beside it, with its reason.
                Next::Resume { .. } => Vec::new(),
                _ => next.what.details(),
            },
            at: next.what.at().map(|at| When::of(at, now)),
            class,
        }
    }
}

/// The same with its first letter large.
fn capital(text: &str) -> String {
    let mut chars = text.chars();
    match chars.next() {
        Some(first) => first.to_uppercase().chain(chars).collect(),
        None => String::new(),
    }
}

/// A gate's answer.
pub(super) struct GateView {
    pub(super) gate: String,
    pub(super) badge: Badge,
    pub(super) detail: String,
    /// What would satisfy it; empty when it passes.
    pub(super) remedy: String,
    /// Where that can be done or seen.
    pub(super) link: Option<GateLink>,
}

/// Where a gate can be satisfied, or seen why it is not.
pub(super) struct GateLink {
    pub(super) label: &'static str,
    pub(super) address: String,
    /// Whether something is changed there.
    pub(super) is_form: bool,
}

/// Where to go for a gate: the form that helps, or what shows why it does not pass.
fn link(report: &GateReport, target: &Target) -> Option<GateLink> {
    let form = remedy_form(report.gate, &report.remedy, target);
    let form = form.map(|(label, address)| GateLink {
        label,
        address,
        is_form: true,
    });
    let seen = |label, address: &str| {
        Some(GateLink {
            label,
            address: address.to_owned(),
            is_form: false,
        })
    };
    form.or_else(|| match report.gate {
        "code_deployed" => seen("See the instances", "#instances"),
        "telemetry" => seen("See the charts", "#charts"),
        "census" => seen("See the installations", "#sites"),
        _ => None,
    })
}

/// The gates of a rollout, those that do not pass first.
pub(super) fn gates(reports: &[GateReport], target: &Target) -> Vec<GateView> {
    let mut sorted: Vec<&GateReport> = reports.iter().collect();
    sorted.sort_by_key(|report| match report.state {
        GateState::Fail => 0,
        GateState::Insufficient => 1,
        GateState::Pass => 2,
    });
    let gates = sorted.into_iter().map(|report| GateView {
        gate: report.gate.replace('_', " "),
        badge: match report.state {
            GateState::Pass => Badge::new("is-good", "passes"),
            GateState::Fail => Badge::new("is-bad", "does not pass"),
            GateState::Insufficient => Badge::new("is-wait", "too little is known"),
        },
        detail: report.detail.clone(),
        remedy: report.remedy.clone(),
        link: link(report, target).filter(|_| report.state != GateState::Pass),
    });
    gates.collect()
}

/// A guard's answer.
pub(super) struct GuardView {
    pub(super) name: String,
    pub(super) measure: String,
    /// What it does when its limit is passed.
    pub(super) action: String,
    pub(super) badge: Badge,
    pub(super) detail: String,
    pub(super) instance: Option<String>,
    /// The numbers that it answered from, by name.
    pub(super) numbers: Vec<(String, String)>,
}

pub(super) fn guards(reports: &[GuardReport]) -> Vec<GuardView> {
    let guards = reports.iter().map(|report| GuardView {
        name: report.guard.name.clone(),
        measure: format!(
            "{} above {}",
            report.guard.measure.name().replace('_', " "),
            report.guard.limit
        ),
        action: report.guard.action.name().replace('_', " "),
        badge: guard_badge(report.state),
        detail: report.detail.clone(),
        instance: report.instance.clone(),
        numbers: report
            .numbers
            .iter()
            .map(|(name, value)| (name.replace('_', " "), crate::domain::words::plain(value)))
            .collect(),
    });
    guards.collect()
}

fn guard_badge(state: GuardState) -> Badge {
    match state {
        GuardState::Pass => Badge::new("is-good", "passes"),
        GuardState::Breach => Badge::new("is-bad", "in breach"),
        GuardState::Insufficient => Badge::new("is-wait", "too little is known"),
    }
}

/// All guards in one badge; `None` where there are none.
pub(super) fn guards_at_a_glance(reports: &[GuardReport], unread: bool) -> Option<Badge> {
    if unread {
        return Some(Badge::new("is-wait", "guards cannot be asked"));
    }
    let count = |state| {
        reports
            .iter()
            .filter(|report| report.state == state)
            .count()
    };
    let (all, breached) = (reports.len(), count(GuardState::Breach));
    match (all, breached, count(GuardState::Pass)) {
        (0, ..) => None,
        (_, 1.., _) => Some(Badge::new(
            "is-bad",
            format!("guards: {breached} of {all} in breach"),
        )),
        (_, 0, passing) if passing == all => Some(Badge::new("is-good", "guards pass")),
        (_, 0, passing) => Some(Badge::new(
            "is-wait",
            format!("guards: {passing} of {all} pass, the others know too little"),
        )),
    }
}
