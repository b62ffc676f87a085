//! Prometheus itself: it scrapes the server, and checks and evaluates the rules that the program
//! writes.

mod gates;
mod guards;
mod monitor;
mod rules;
mod strange;

use std::time::Duration;

use serde_json::json;

use crate::support::{Fleet, Place, Remote, calls_of, eventually};
use monitor::{Monitor, promtool};

const PATIENCE: Duration = Duration::from_secs(60);

/// A server of its own with two routes under a policy that limits errors, in opt-in in dev.
pub(crate) fn place() -> Place {
    let place = Place::serving();
    let policy = json!({
        "name": "watched",
        "gates": { "opt_out": [{ "gate": "telemetry", "error_rate": 0.01, "p99_ms": 300,
            "mismatch_rate": 0.01 }] },
        "guards": [
            { "name": "errors", "measure": "error_rate", "limit": 0.01, "action": "notify" },
            { "name": "p99", "measure": "p99_ms", "limit": 300, "action": "notify" },
            { "name": "mismatches", "measure": "mismatches_per_hour", "limit": 5, "action": "pause" },
        ],
    });
    let file = place.file("policy.json");
    std::fs::write(&file, policy.to_string()).unwrap();
    place.well(&["policy", "write", &file, "--reason", "test"]);
    for route in ["bad", "good"] {
        place.well(&[
            "route",
            "add",
            &format!("gitaly.Service/{route}"),
            "--key",
            route,
            "--operation",
            "read",
            "--owner",
            "gitaly",
            "--policy",
            "watched",
        ]);
        place.well(&[
            "promote", route, "dev", "--to", "opt_in", "--reason", "test",
        ]);
    }
    place
}

#[test]
fn the_alert_fires_and_stays_quiet() {
    let place = place();
    let rules = place.file("rules.yml");
    let arguments = [
        "alerts",
        "--all",
        "--environment",
        "dev",
        "--for",
        "0s",
        "--window",
        "15s",
    ];
    place.well(&[&arguments[..], &["--output", &rules]].concat());
    promtool(&["check", "rules", &rules]);
    let monitor = Monitor::start(&place.address(), Some(&rules));
    monitor.until_known("switchover_route_calls_total{route=\"bad\",environment=\"dev\"}");

    let key = place.well(&[
        "sdk-key",
        "create",
        "--environment",
        "dev",
        "--name",
        "test",
    ]);
    let fleet = Fleet::new(key.trim().to_owned(), 4);
    let remote = Remote::at(&place.address());
    let firing = eventually("the alert fires", PATIENCE, || {
        // Five in a hundred fail on one route, and five in a thousand on the other.
        fleet.report(&remote, |_| {
            vec![calls_of("bad", 200, 10), calls_of("good", 200, 1)]
        });
        std::thread::sleep(Duration::from_millis(500));
        let firing = monitor.firing();
        let errors = firing
            .iter()
            .any(|alert| alert["alertname"] == "SwitchoverNewPathErrors");
        let guards = firing
            .iter()
            .any(|alert| alert["alertname"] == "SwitchoverGuardBreach");
        // Until the first reports are seen, nobody reports; each route's rules are evaluated at a time of
        // their own, so one may still say it while another has the errors.
        let silence = firing
            .iter()
            .any(|alert| alert["alertname"] == "SwitchoverNobodyReports");
        (errors && guards && !silence).then_some(firing)
    });
    let about = |route: &str| {
        firing
            .iter()
            .filter(|alert| alert["route"] == *route)
            .count()
    };
    assert!(about("bad") >= 2, "{firing:?}");
    // As many calls of the other were seen, and there is nothing to tell of it.
    let calls = "increase(switchover_route_calls_total{route=\"good\",path=\"new\"}[15s])";
    assert!(monitor.value(calls) >= 300.0);
    assert_eq!(about("good"), 0, "{firing:?}");
    let alert = firing
        .iter()
        .find(|alert| alert["alertname"] == "SwitchoverNewPathErrors");
    let alert = alert.unwrap();
    assert_eq!(alert["environment"], "dev");
    assert_eq!(alert["owner"], "gitaly");
    assert_eq!(alert["severity"], "critical");
    // Whatever else is scraped can be read.
    assert_eq!(monitor.value("min(up)"), 1.0);
    assert!(monitor.value("switchover_leader") >= 1.0);
}
