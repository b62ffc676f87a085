//! Alerting rules for Prometheus about what this server's metrics say of a route.
//!
//! Every node tells the same of a rollout, so rules take the greatest of what nodes say: to add them up
//! would count each call once per node.

mod limits;

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use serde::Serialize;

use crate::domain::number::real;

pub use limits::Limits;

/// A length of time as PromQL writes it: `30s`, `5m`, `1h`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Span(String);

impl FromStr for Span {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Span, &'static str> {
        const FORM: &str = "a length of time is a whole number and s, m, h or d, such as 5m";
        let number = ["s", "m", "h", "d"]
            .into_iter()
            .find_map(|unit| text.strip_suffix(unit))
            .ok_or(FORM)?;
        let is_number = number.len() <= 6 && number.bytes().all(|byte| byte.is_ascii_digit());
        if number.is_empty() || !is_number {
            return Err(FORM);
        }
        Ok(Span(text.to_owned()))
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// How rules look at numbers.
#[derive(Clone, Debug)]
pub struct Look {
    /// How far back rates go.
    pub window: Span,
    /// For how long a condition holds before it is an alert.
    pub lasting: Span,
}

/// A route in an environment, as far as alerts tell of it.
#[derive(Clone, Debug)]
pub struct Subject {
    /// The route.
    pub route: String,
    /// Its environment variable.
    pub flag: String,
    /// Who answers for it.
    pub owner: String,
    /// Where.
    pub environment: String,
    /// Where its runbook is.
    pub runbook: Option<String>,
    /// Where its dashboard is.
    pub dashboard: Option<String>,
    /// What its policy limits.
    pub limits: Limits,
}

/// A file of rules.
#[derive(Clone, Debug, Serialize)]
pub struct RuleFile {
    /// What is evaluated together.
    pub groups: Vec<RuleGroup>,
}

/// Rules that are evaluated together.
#[derive(Clone, Debug, Serialize)]
pub struct RuleGroup {
    /// Unique in its file.
    pub name: String,
    /// The rules.
    pub rules: Vec<AlertRule>,
}

/// When an alert fires, and what it says.
#[derive(Clone, Debug, Serialize)]
pub struct AlertRule {
    /// Its name.
    pub alert: &'static str,
    /// The condition, in PromQL.
    pub expr: String,
    /// For how long the condition holds before.
    #[serde(rename = "for")]
    pub lasting: Span,
    /// What alerts are routed by.
    pub labels: BTreeMap<&'static str, String>,
    /// What people read.
    pub annotations: BTreeMap<&'static str, String>,
}

/// The rules about a route in an environment.
#[must_use]
pub fn of_route(subject: &Subject, look: &Look) -> RuleGroup {
    let mut rules = Vec::new();
    let limits = &subject.limits;
    rules.extend(limits.error_rate.map(|limit| errors(subject, look, limit)));
    rules.extend(limits.p99_ms.map(|limit| slow(subject, look, limit)));
    rules.extend(
        limits
            .mismatch_rate
            .map(|limit| mismatch_rate(subject, look, limit)),
    );
    rules.extend(
        limits
            .mismatches_per_hour
            .map(|limit| mismatches(subject, look, limit)),
    );
    if limits.has_guards {
        rules.push(breach(subject, look));
        rules.push(halted(subject, look));
    }
    rules.push(silence(subject, look));
    RuleGroup {
        name: format!("switchover-{}-{}", subject.route, subject.environment),
        rules,
    }
}

fn errors(subject: &Subject, look: &Look, limit: f64) -> AlertRule {
    let (place, window) = (new_path(subject), &look.window);
    let least = (3.0 / limit).ceil();
    let expr = format!(
        "{BY_ROUTE} (rate(switchover_route_errors_total{{{place}}}[{window}]))\n\
         / {BY_ROUTE} (rate(switchover_route_calls_total{{{place}}}[{window}]))\n\
         > {limit}\n\
         and {BY_ROUTE} (increase(switchover_route_calls_total{{{place}}}[{window}])) >= {least}"
    );
    let what = "calls of the new path fail";
    let value = "{{ $value | humanizePercentage }} of the calls that took the new path failed";
    let detail = format!("{value}, limit {} %", percent(limit));
    subject.rule(
        "SwitchoverNewPathErrors",
        (CRITICAL, look),
        expr,
        (what, detail),
    )
}

fn slow(subject: &Subject, look: &Look, limit_ms: f64) -> AlertRule {
    /// A 99th percentile of fewer calls is chance.
    const LEAST: u32 = 300;
    let window = &look.window;
    let place = format!("{},path=\"new\"", subject.place());
    let (name, limit) = ("switchover_route_call_duration_seconds", limit_ms / 1_000.0);
    let expr = format!(
        "histogram_quantile(0.99, max by (route, environment, le) \
         (rate({name}_bucket{{{place}}}[{window}])))\n\
         > {limit}\n\
         and {BY_ROUTE} (increase({name}_count{{{place}}}[{window}])) >= {LEAST}"
    );
    let what = "the new path is slow";
    let value = "the 99th percentile of the new path is {{ $value | humanizeDuration }}";
    let detail = format!("{value}, limit {limit_ms} ms");
    subject.rule(
        "SwitchoverNewPathSlow",
        (CRITICAL, look),
        expr,
        (what, detail),
    )
}

fn mismatch_rate(subject: &Subject, look: &Look, limit: f64) -> AlertRule {
    let (place, window) = (subject.place(), &look.window);
    let least = (3.0 / limit).ceil();
    let expr = format!(
        "{BY_ROUTE} (rate(switchover_route_mismatches_total{{{place}}}[{window}]))\n\
         / {BY_ROUTE} (rate(switchover_route_comparisons_total{{{place}}}[{window}]))\n\
         > {limit}\n\
         and {BY_ROUTE} (increase(switchover_route_comparisons_total{{{place}}}[{window}])) >= {least}"
    );
    let what = "the two paths disagree";
    let value = "{{ $value | humanizePercentage }} of the results that were compared differ";
    let detail = format!("{value}, limit {} %", percent(limit));
    subject.rule(
        "SwitchoverMismatchRate",
        (WARNING, look),
        expr,
        (what, detail),
    )
}

fn mismatches(subject: &Subject, look: &Look, limit: f64) -> AlertRule {
    let place = subject.place();
    let expr = format!(
        "{BY_ROUTE} (increase(switchover_route_mismatches_total{{{place}}}[1h])) > {limit}"
    );
    let what = "the two paths disagree";
    let value = "{{ $value | humanize }} results differed in the last hour";
    let detail = format!("{value}, limit {limit}");
    subject.rule(
        "SwitchoverMismatches",
        (WARNING, look),
        expr,
        (what, detail),
    )
}

fn breach(subject: &Subject, look: &Look) -> AlertRule {
    let place = subject.place();
    let expr = format!(
        "max by (route, environment, guard, action) \
         (switchover_guard_state{{{place},state=\"breach\"}}) > 0"
    );
    let what = "a guard's limit is passed";
    let detail = "guard {{ $labels.guard }} is in breach; its action is {{ $labels.action }}";
    let said = (what, detail.to_owned());
    subject.rule("SwitchoverGuardBreach", (CRITICAL, look), expr, said)
}

fn halted(subject: &Subject, look: &Look) -> AlertRule {
    let place = subject.place();
    let expr = format!("{BY_ROUTE} (switchover_rollout_halted_by_guard{{{place}}}) > 0");
    let what = "a guard has halted it";
    let detail = "everything takes the old path until a person resumes it".to_owned();
    let said = (what, detail);
    subject.rule("SwitchoverHaltedByGuard", (CRITICAL, look), expr, said)
}

fn silence(subject: &Subject, look: &Look) -> AlertRule {
    let (place, environment) = (subject.place(), &subject.environment);
    let expr = format!(
        "{BY_ROUTE} (switchover_rollout_exposure_ratio{{{place}}}) > 0\n\
         and on (environment) max by (environment) \
         (switchover_instances{{environment=\"{environment}\"}}) == 0"
    );
    let what = "nobody reports";
    let detail = "calls may take the new path, and no instance has reported for ten minutes: gates \
                  and guards know nothing";
    let said = (what, detail.to_owned());
    subject.rule("SwitchoverNobodyReports", (WARNING, look), expr, said)
}

/// The rules about the server itself.
#[must_use]
pub fn of_server(look: &Look) -> RuleGroup {
    let behind: Span = Span("10m".to_owned());
    let rules = [
        (
            "SwitchoverDatabaseAway",
            (CRITICAL, &look.lasting),
            "switchover_database_up == 0",
            "a node is cut off from its database",
            "{{ $labels.instance }} serves what it knows and refuses changes",
        ),
        (
            "SwitchoverNobodyActs",
            (CRITICAL, &look.lasting),
            "max(switchover_leader) == 0",
            "no node acts for guards and ramps",
            "guards see nothing and ramps stand still until a node leads again",
        ),
        (
            "SwitchoverInstancesBehind",
            (WARNING, &behind),
            "max by (environment) (switchover_instances_behind) > 0",
            "instances decide by an old version",
            "{{ $value }} instances in {{ $labels.environment }} have not followed what is \
             published: switchover instances {{ $labels.environment }}",
        ),
        (
            "SwitchoverRolloutsLeftOut",
            (WARNING, &look.lasting),
            "max(switchover_rollouts_left_out) > 0",
            "there are too many rollouts for metrics",
            "{{ $value }} rollouts have no metrics, so no alert can fire for them",
        ),
    ];
    let rules = rules.map(
        |(alert, (severity, lasting), expr, summary, description)| AlertRule {
            alert,
            expr: expr.to_owned(),
            lasting: lasting.clone(),
            labels: BTreeMap::from([("severity", severity.to_owned())]),
            annotations: BTreeMap::from([
                ("summary", format!("Switchover: {summary}")),
                ("description", description.to_owned()),
            ]),
        },
    );
    RuleGroup {
        name: "switchover".to_owned(),
        rules: rules.into(),
    }
}

const BY_ROUTE: &str = "max by (route, environment)";
const CRITICAL: &str = "critical";
const WARNING: &str = "warning";

impl Subject {
    fn place(&self) -> String {
        let (route, environment) = (&self.route, &self.environment);
        format!("route=\"{route}\",environment=\"{environment}\"")
    }

    fn rule(
        &self,
        alert: &'static str,
        (severity, look): (&str, &Look),
        expr: String,
        (what, detail): (&str, String),
    ) -> AlertRule {
        let (route, environment) = (&self.route, &self.environment);
        let halt = format!("switchover halt {route} {environment} --reason \"{alert}\"");
        let mut annotations = BTreeMap::from([
            ("summary", format!("{route} in {environment}: {what}")),
            (
                "description",
                format!(
                    "{detail}. To take everything back to the old path: {halt}. The flag is {}.",
                    self.flag
                ),
            ),
            ("halt", halt),
        ]);
        if let Some(runbook) = &self.runbook {
            annotations.insert("runbook_url", literal(runbook));
        }
        if let Some(dashboard) = &self.dashboard {
            annotations.insert("dashboard_url", literal(dashboard));
        }
        AlertRule {
            alert,
            expr,
            lasting: look.lasting.clone(),
            // The place is that of the condition's series too; said here, rules of two places differ in
            // their labels, which tools want.
            labels: BTreeMap::from([
                ("severity", severity.to_owned()),
                ("route", route.clone()),
                ("environment", environment.clone()),
                ("owner", literal(&self.owner)),
            ]),
            annotations,
        }
    }
}

fn new_path(subject: &Subject) -> String {
    format!("{},path=\"new\",role=\"authoritative\"", subject.place())
}

/// What people have written, where a template is read.
fn literal(text: &str) -> String {
    text.replace("{{", "{{ \"{{\" }}")
}

fn percent(share: f64) -> f64 {
    (share * real(1_000_000)).round() / 10_000.0
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::domain::policy::Policy;

    fn look() -> Look {
        Look {
            window: "5m".parse().unwrap(),
            lasting: "2m".parse().unwrap(),
        }
    }

    fn subject(limits: Limits) -> Subject {
        Subject {
            route: "count_commits".to_owned(),
            flag: "GITALY_COUNT_COMMITS".to_owned(),
            owner: "git {{ team }}".to_owned(),
            environment: "production".to_owned(),
            runbook: Some("https://runbooks.example.com/count_commits".to_owned()),
            dashboard: None,
            limits,
        }
    }

    #[test]
    fn a_route_has_an_alert_for_each_limit() {
        let data = &Policy::built_in()[2];
        let group = of_route(&subject(Limits::of(data)), &look());
        insta::assert_json_snapshot!(group);
        let names: Vec<&str> = of_route(&subject(Limits::default()), &look())
            .rules
            .iter()
            .map(|rule| rule.alert)
            .collect();
        assert_eq!(names, ["SwitchoverNobodyReports"]);
    }

    #[test]
    fn rules_of_different_places_differ_in_their_labels() {
        let limits = Limits::of(&Policy::built_in()[2]);
        let mut seen = BTreeSet::new();
        for (route, environment) in [
            ("count_commits", "staging"),
            ("count_commits", "production"),
            ("find_commit", "production"),
        ] {
            let subject = Subject {
                route: route.to_owned(),
                environment: environment.to_owned(),
                ..subject(limits)
            };
            for rule in of_route(&subject, &look()).rules {
                assert_eq!(rule.labels["route"], route);
                assert_eq!(rule.labels["environment"], environment);
                assert!(seen.insert((rule.alert, rule.labels)), "{}", rule.alert);
            }
        }
    }

    #[test]
    fn lengths_of_time_are_whole() {
        for good in ["0s", "30s", "5m", "1h", "7d"] {
            assert_eq!(good.parse::<Span>().unwrap().to_string(), good);
        }
        for bad in [
            "", "5", "m", "1.5m", "-1m", "5m ", "5ms", "1h30m", "1234567s",
        ] {
            assert!(bad.parse::<Span>().is_err(), "{bad}");
        }
    }
}
