//! Gates and guards in words.

use crate::domain::policy::{Asks, GateKind, Guard, GuardAction, Measure, Rule, Scope};

/// A gate of a policy: what it asks for, with which numbers, and where.
pub(super) struct GateWords {
    pub(super) name: &'static str,
    pub(super) numbers: Vec<String>,
    /// Where it applies, when not everywhere.
    pub(super) only: Option<&'static str>,
}

pub(super) fn gate_words(rule: &Rule) -> GateWords {
    GateWords {
        name: gate_name(rule.gate),
        numbers: rule
            .numbers
            .iter()
            .filter(|_| rule.query.is_none())
            .map(|(name, value)| number_words(name, *value))
            .chain(rule.query.as_ref().map(|asks| asks_words(asks, rule)))
            .collect(),
        only: match rule.only {
            Scope::All => None,
            Scope::Hosted => Some("hosted only"),
            Scope::OnPrem => Some("on-prem only"),
            Scope::Guarded => Some("production and on-prem only"),
        },
    }
}

pub(super) fn guard_words(guard: &Guard) -> String {
    let action = match guard.action {
        GuardAction::Notify => "tells people",
        GuardAction::Pause => "pauses the ramp",
        GuardAction::StopMirror => "stops the mirror",
        GuardAction::Halt => "halts",
    };
    let least = guard
        .min_calls
        .map(|least| format!("; silent below {least} calls"));
    if let Some(query) = &guard.query {
        let (text, side) = (&query.text, query.worse.name());
        return format!("Prometheus: {text} {side} {} → {action}", guard.limit);
    }
    format!(
        "{} above {} → {action}{}",
        measure_name(guard.measure),
        limit(guard.measure, guard.limit),
        least.unwrap_or_default()
    )
}

const fn gate_name(gate: GateKind) -> &'static str {
    match gate {
        GateKind::Order => "the stage is the next one, and earlier environments have it",
        GateKind::Requires => "required routes have the stage",
        GateKind::Incident => "no change freeze is open",
        GateKind::Acceptance => "acceptance tests passed in every hosted environment",
        GateKind::RollbackDrill => "a halt and a resume were carried out around traffic",
        GateKind::CodeDeployed => "every running instance has the code",
        GateKind::Telemetry => "what callers report is within limits",
        GateKind::Runbook => "a runbook says how to turn it off",
        GateKind::Dashboard => "a dashboard is linked",
        GateKind::Alert => "an alert is linked",
        GateKind::Approval => "other maintainers approved exactly this",
        GateKind::Plan => "the plan's steps for the stage are done",
        GateKind::External => "outside dependencies are confirmed",
        GateKind::Soak => "it has been left alone for a while",
        GateKind::Release => "a published release carries the present stage",
        GateKind::Repairs => "both stores hold the same",
        GateKind::Census => "nobody depends on an override that is about to die",
        GateKind::Prometheus => "what Prometheus answers is within a limit",
    }
}

const fn measure_name(measure: Measure) -> &'static str {
    match measure {
        Measure::ErrorRate => "errors of the new path",
        Measure::ErrorRatio => "errors of the new path, to those of the old one,",
        Measure::P99Ms => "99th percentile of the new path",
        Measure::MismatchesPerHour => "mismatches in an hour",
        Measure::MirrorFailureRate => "failed mirror writes",
        Measure::MirrorP99Ms => "99th percentile of mirror calls",
        Measure::Inconsistency => "rows that differ",
        Measure::Prometheus => "what Prometheus answers",
    }
}

fn limit(measure: Measure, limit: f64) -> String {
    match measure {
        Measure::ErrorRate | Measure::MirrorFailureRate | Measure::Inconsistency => percent(limit),
        Measure::ErrorRatio => format!("{limit} to 1"),
        Measure::P99Ms | Measure::MirrorP99Ms => format!("{limit} ms"),
        Measure::MismatchesPerHour | Measure::Prometheus => limit.to_string(),
    }
}

/// What a gate asks Prometheus, and when it does not pass.
fn asks_words(asks: &Asks, rule: &Rule) -> String {
    let (name, text, side) = (&asks.name, &asks.query.text, asks.query.worse.name());
    let limit = rule.number("limit").map(|limit| limit.to_string());
    format!("{name}: not {side} {} in {text}", limit.unwrap_or_default())
}

fn number_words(name: &str, value: f64) -> String {
    match name {
        "count" => format!("approvals: {value}"),
        "days" => format!("{value} days"),
        "on_prem_days" => format!("on-prem {value} days"),
        "full_exposure_days" => format!("{value} days with every key on the new path"),
        "error_rate" => format!("errors up to {}", percent(value)),
        "p99_ms" => format!("99th percentile up to {value} ms"),
        "mismatch_rate" => format!("mismatches up to {}", percent(value)),
        "mirror_failure_rate" => format!("failed mirror writes up to {}", percent(value)),
        "window_minutes" => format!("over {value} minutes"),
        other => format!("{other} {value}"),
    }
}

/// A rate in percent, without the digits that only binary fractions have.
fn percent(rate: f64) -> String {
    let told = format!("{:.4}", rate * 100.0);
    let told = told.trim_end_matches('0').trim_end_matches('.');
    format!("{told} %")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_told_without_dust() {
        assert_eq!(percent(0.01), "1 %");
        assert_eq!(percent(0.07), "7 %");
        assert_eq!(percent(0.001), "0.1 %");
        assert_eq!(percent(0.5), "50 %");
        assert_eq!(percent(0.000_001), "0.0001 %");
    }
}
