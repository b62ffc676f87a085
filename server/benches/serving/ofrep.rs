//! OpenFeature evaluations a second, as a ratio to a hello-world server in the same run.

use serde_json::json;

use crate::requests::{Load, TURNS, address, load};
use crate::server::{Filled, Process};
use crate::{headline, quantile, row};

const ROUTES: usize = 100;

pub(crate) fn run() {
    headline("OFREP: 32 connections, 100 routes in a ramp, the generator on the same two cores");
    let hello = Process::limit("serve-hello");
    let filled = Filled::with_routes(ROUTES);
    for route in 0..ROUTES {
        let ramp = json!({ "mode": "ramp", "percent": 50, "reason": "bench" });
        filled.put(
            &format!("/routes/route_{route}/environments/dev/setting"),
            &ramp,
        );
    }
    let (limit, ours) = (address(&hello), address(&filled.process));
    let body = r#"{"context":{"targetingKey":"user-4711","email":"ann@example.com"}}"#;
    let post = |path: &str| {
        format!(
            "POST /ofrep/v1/evaluate/flags{path} HTTP/1.1\r\nHost: bench\r\n\
             Authorization: Bearer {}\r\nContent-Type: application/json\r\n\
             Content-Length: {}\r\n\r\n{body}",
            filled.sdk_key,
            body.len()
        )
    };
    let hello = "GET / HTTP/1.1\r\nHost: bench\r\n\r\n";
    let (single, bulk) = (post("/route_42"), post(""));
    let (mut limits, mut singles, mut bulks) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..TURNS {
        limits.push(load(&limit, hello));
        singles.push(load(&ours, &single));
        bulks.push(load(&ours, &bulk));
    }
    let limit = median(&limits, |load| load.rate);
    row("hello-world server", &format!("{limit:.0}/s"), "the limit");
    for (what, loads, budget) in [
        (
            "one flag",
            &singles,
            "0.83 x hello-world (1.5 x Edge), p99 1.5 ms",
        ),
        ("all flags", &bulks, "0.19 x hello-world (3 x Edge)"),
    ] {
        let rate = median(loads, |load| load.rate);
        let p99 = median(loads, |load| load.p99);
        row(
            &format!("POST /ofrep/v1/evaluate/flags, {what}"),
            &format!("{rate:.0}/s = {:.2} x, p99 {p99:.2} ms", rate / limit),
            budget,
        );
    }
}

fn median(loads: &[Load], figure: impl Fn(&Load) -> f64) -> f64 {
    let mut figures: Vec<f64> = loads.iter().map(figure).collect();
    figures.sort_by(f64::total_cmp);
    quantile(&figures, 0.5)
}
