//! A route on a Grafana dashboard: a row of panels, or a dashboard with that row alone.

use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::domain::alerts::Limits;

/// The longest identity that a dashboard may have.
const LONGEST_UID: usize = 40;

/// A route, as far as its panels tell of it.
#[derive(Clone, Debug)]
pub struct Board {
    /// The route.
    pub route: String,
    /// What its policy limits: drawn as lines.
    pub limits: Limits,
    /// The environments to choose from.
    pub environments: Vec<String>,
}

/// What a panel is made of besides its place.
struct Panel {
    title: &'static str,
    kind: &'static str,
    unit: &'static str,
    limit: Option<f64>,
    queries: Vec<(String, &'static str)>,
}

impl Board {
    /// The row: its panels are inside it, so that it can be folded.
    #[must_use]
    pub fn row(&self) -> Value {
        let panels = self.panels().into_iter().zip(0_u32..);
        let panels: Vec<Value> = panels.map(|(panel, index)| drawn(panel, index)).collect();
        json!({
            "id": 1,
            "type": "row",
            "title": format!("Switchover: {}", self.route),
            "collapsed": true,
            "gridPos": { "h": 1, "w": 24, "x": 0, "y": 0 },
            "panels": panels,
        })
    }

    /// A dashboard that can be imported.
    #[must_use]
    pub fn dashboard(&self) -> Value {
        let panels = self.panels().into_iter().zip(0_u32..);
        let panels: Vec<Value> = panels.map(|(panel, index)| drawn(panel, index)).collect();
        let options: Vec<Value> = self
            .environments
            .iter()
            .map(|key| json!({ "text": key, "value": key, "selected": false }))
            .collect();
        let current = self.environments.last();
        json!({
            "uid": uid(&self.route),
            "title": format!("Switchover: {}", self.route),
            "tags": ["switchover"],
            "schemaVersion": 39,
            "version": 1,
            "editable": true,
            "refresh": "30s",
            "time": { "from": "now-3h", "to": "now" },
            "templating": { "list": [
                { "name": "datasource", "type": "datasource", "query": "prometheus", "label": "Prometheus" },
                {
                    "name": "environment",
                    "type": "custom",
                    "query": self.environments.join(","),
                    "options": options,
                    "current": { "text": current, "value": current },
                },
            ] },
            "panels": panels,
        })
    }

    fn panels(&self) -> Vec<Panel> {
        let place = format!("route=\"{}\",environment=\"$environment\"", self.route);
        let most = |by: &str, what: &str| format!("max by ({by}) ({what})");
        let rate = |name: &str, more: &str| {
            format!("rate(switchover_route_{name}{{{place}{more}}}[$__rate_interval])")
        };
        let callers = ",role=\"authoritative\"";
        let line = |title, unit, limit, queries| Panel {
            title,
            kind: "timeseries",
            unit,
            limit,
            queries,
        };
        let gauge = |name: &str| format!("switchover_rollout_{name}{{{place}}}");
        vec![
            Panel {
                title: "Stage",
                kind: "stat",
                unit: "none",
                limit: None,
                queries: vec![(most("stage", &gauge("stage")), "{{stage}}")],
            },
            line(
                "Share of the new path, and of the mirror",
                "percentunit",
                None,
                vec![
                    (most("route", &gauge("exposure_ratio")), "new path"),
                    (most("kind", &gauge("mirror_ratio")), "mirrored {{kind}}s"),
                    (most("route", &gauge("halted")), "halted"),
                ],
            ),
            line(
                "Calls",
                "reqps",
                None,
                vec![(most("path", &rate("calls_total", callers)), "{{path}}")],
            ),
            line(
                "Errors per call",
                "percentunit",
                self.limits.error_rate,
                vec![(
                    format!(
                        "{} / {}",
                        most("path", &rate("errors_total", callers)),
                        most("path", &rate("calls_total", callers))
                    ),
                    "{{path}}",
                )],
            ),
            line(
                "99th percentile",
                "s",
                self.limits.p99_ms.map(|limit| limit / 1_000.0),
                vec![(
                    format!(
                        "histogram_quantile(0.99, {})",
                        most("path, le", &rate("call_duration_seconds_bucket", ""))
                    ),
                    "{{path}}",
                )],
            ),
            line(
                "Mismatches in an hour",
                "short",
                self.limits.mismatches_per_hour,
                vec![(
                    most(
                        "route",
                        &format!("increase(switchover_route_mismatches_total{{{place}}}[1h])"),
                    ),
                    "mismatches",
                )],
            ),
            Panel {
                title: "Guards in breach",
                kind: "state-timeline",
                unit: "none",
                limit: None,
                queries: vec![(
                    most(
                        "guard",
                        &format!("switchover_guard_state{{{place},state=\"breach\"}}"),
                    ),
                    "{{guard}}",
                )],
            },
        ]
    }
}

/// A panel at its place: four in a line.
fn drawn(panel: Panel, index: u32) -> Value {
    let source = json!({ "type": "prometheus", "uid": "${datasource}" });
    let targets = panel.queries.into_iter().zip(["A", "B", "C"]);
    let targets: Vec<Value> = targets
        .map(|((query, legend), name)| {
            json!({ "refId": name, "datasource": source, "expr": query, "legendFormat": legend })
        })
        .collect();
    let steps = match panel.limit {
        None => json!([{ "color": "green", "value": null }]),
        Some(limit) => json!([
            { "color": "green", "value": null },
            { "color": "red", "value": limit },
        ]),
    };
    let style = if panel.limit.is_some() { "line" } else { "off" };
    json!({
        "id": index + 2,
        "type": panel.kind,
        "title": panel.title,
        "datasource": source,
        "gridPos": { "h": 8, "w": 6, "x": (index % 4) * 6, "y": 1 + (index / 4) * 8 },
        "fieldConfig": {
            "defaults": {
                "unit": panel.unit,
                "thresholds": { "mode": "absolute", "steps": steps },
                "custom": { "thresholdsStyle": { "mode": style } },
            },
            "overrides": [],
        },
        "targets": targets,
    })
}

/// The same for a route every time, so that a dashboard that is imported again takes its own place.
fn uid(route: &str) -> String {
    let plain = format!("switchover-{route}");
    if plain.len() <= LONGEST_UID {
        return plain;
    }
    let digest = Sha256::digest(route.as_bytes());
    let digest: String = digest
        .iter()
        .take(14)
        .map(|byte| format!("{byte:02x}"))
        .collect();
    format!("switchover-{digest}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn board(route: &str) -> Board {
        Board {
            route: route.to_owned(),
            limits: Limits {
                error_rate: Some(0.01),
                p99_ms: Some(500.0),
                ..Limits::default()
            },
            environments: vec!["staging".to_owned(), "production".to_owned()],
        }
    }

    #[test]
    fn a_route_has_a_row() {
        insta::assert_json_snapshot!(board("count_commits").row());
    }

    #[test]
    fn a_dashboard_has_an_identity_that_stays() {
        let dashboard = board("count_commits").dashboard();
        assert_eq!(dashboard["uid"], "switchover-count_commits");
        assert_eq!(dashboard["panels"].as_array().unwrap().len(), 7);
        let (one, other) = ("a".repeat(63), format!("{}b", "a".repeat(62)));
        assert!(uid(&one).len() <= LONGEST_UID && uid(&one) == uid(&one));
        assert_ne!(uid(&one), uid(&other));
    }
}
