//! The SDK itself reports to the server itself.

use std::time::Duration;

use serde_json::json;
use switchover::{Client, Overrides};

use crate::support::{App, Engine, at, on_both_engines};

on_both_engines!(what_the_sdk_counts_is_what_the_server_shows);

const SOON: Duration = Duration::from_secs(10);

fn what_the_sdk_counts_is_what_the_server_shows(engine: Engine) {
    let app = App::start(engine);
    app.route("a");
    app.route("b");
    app.set("a", "dev", json!({ "mode": "on" })).expect(200);
    let key = app.sdk_key("dev");
    let client = Client::builder()
        .server(format!("http://{}", app.address()), &key)
        .instance_name("web-1")
        .application("web", "1.4.0")
        .overrides([("GITALY_B", "0")].into_iter().collect::<Overrides>())
        .start()
        .unwrap();
    assert!(client.wait_ready(SOON));
    let route = client.route("a");
    for number in 0..1_000_u64 {
        let new = || match number % 100 {
            0 => Err("failed"),
            _ => Ok(()),
        };
        let _ = route.call(number).old(|| Ok(())).new(new).run();
    }
    assert!(client.flush(SOON));
    let found = app.get(&at("a", "dev", "telemetry")).expect(200).json();
    let new = &found["totals"]["new"];
    assert_eq!((&new["calls"], &new["errors"]), (&json!(1_000), &json!(10)));
    assert_eq!(found["totals"]["old"], json!(null));
    let instances = || app.get(&at("a", "dev", "instances")).expect(200).json();
    let found = instances();
    let [instance] = found["items"].as_array().unwrap().as_slice() else {
        panic!("{found}");
    };
    assert_eq!(instance["name"], "web-1");
    assert_eq!(instance["application"], "web");
    assert_eq!(instance["drift"], json!([]), "{instance}");
    assert_eq!(instance["has_code"], true);
    assert!(instance["memory_bytes"].as_u64() > Some(1_000_000));
    let found = app.get(&at("b", "dev", "instances")).expect(200).json();
    let of_b = &found["items"][0];
    assert_eq!(of_b["overrides"], json!([{ "route": "b", "on": false }]));
    assert_eq!(of_b["has_code"], false);
    client.shutdown();
    assert_eq!(instances()["items"], json!([]));
}
