//! `switchover webhook`: what people type, on the program itself.

use serde_json::Value;

use crate::support::{Place, eventually};
use crate::webhooks::SOON;
use crate::webhooks::consumer::{Consumer, Manner};

#[test]
fn a_webhook_from_the_terminal() {
    let mut place = Place::new();
    place.start_with(&["--webhook-allow", "127.0.0.0/8, 10.1.0.0/16"]);
    let consumer = Consumer::new(Manner::Take);
    let url = consumer.url();
    assert!(
        place
            .well(&["webhook", "list"])
            .contains("there are no webhooks")
    );
    let added = place.run(&[
        "webhook",
        "add",
        "release room",
        &url,
        "--event",
        "release",
        "--event",
        "rollout",
        "--environment",
        "dev",
        "--reason",
        "asked for",
    ]);
    assert_eq!(added.status, 0, "{}", added.err);
    let secret = added.out.trim();
    assert!(
        secret.starts_with("whsec_") && !secret.contains('\n'),
        "{secret}"
    );
    assert!(
        added.err.contains("release, rollout in dev"),
        "{}",
        added.err
    );
    let json = place.well(&["webhook", "list", "--json"]);
    let listed: Value = serde_json::from_str(&json).unwrap();
    let id = listed["items"][0]["id"].as_str().unwrap().to_owned();
    let list = place.well(&["webhook", "list"]);
    assert!(
        list.contains(&id) && list.contains("127.0.0.1") && !list.contains("room=1"),
        "{list}"
    );

    place.well(&["webhook", "test", &id]);
    let ping = consumer.wait_for(1);
    assert!(ping[0].is_verified_by(secret), "{ping:?}");
    let told = eventually("the log", SOON, || {
        let told = place.well(&["webhook", "deliveries", &id]);
        told.contains("delivered").then_some(told)
    });
    assert!(
        told.contains("webhook.ping") && told.contains("204"),
        "{told}"
    );
    let json = place.well(&["webhook", "deliveries", &id, "--json"]);
    let log: Value = serde_json::from_str(&json).unwrap();
    let one = log["items"][0]["id"].as_str().unwrap();
    place.well(&["webhook", "redeliver", &id, one]);
    assert_eq!(consumer.wait_for(2)[1].id(), ping[0].id());

    let rotated = place.run(&[
        "webhook",
        "rotate",
        &id,
        "--overlap",
        "1",
        "--reason",
        "yearly",
    ]);
    assert_eq!(rotated.status, 0, "{}", rotated.err);
    place.well(&["webhook", "test", &id]);
    let both = &consumer.wait_for(3)[2];
    assert!(both.is_verified_by(rotated.out.trim()) && both.is_verified_by(secret));

    place.well(&["webhook", "change", &id, "--everything", "--reason", "r"]);
    assert!(
        place
            .well(&["webhook", "show", &id])
            .contains("hears everything")
    );
    place.well(&["webhook", "change", &id, "--disable", "--reason", "moved"]);
    let shown = place.well(&["webhook", "show", &id]);
    assert!(
        shown.contains("disabled") && shown.contains("moved"),
        "{shown}"
    );
    let refused = place.run(&["webhook", "test", &id]);
    assert_ne!(refused.status, 0);
    assert!(refused.err.contains("sent nothing"), "{}", refused.err);
    place.well(&["webhook", "change", &id, "--enable", "--reason", "r"]);
    place.well(&["webhook", "remove", &id, "--reason", "over"]);
    assert!(
        place
            .well(&["webhook", "list"])
            .contains("there are no webhooks")
    );
    for (url, told) in [
        ("https://192.168.0.1/", "not public"),
        ("https://127.1/", "ends in a number"),
    ] {
        let refused = place.run(&["webhook", "add", "x", url, "--reason", "r"]);
        assert!(refused.err.contains(told), "{url}: {}", refused.err);
    }
}

#[test]
fn settings_that_cannot_be_are_refused_at_the_start() {
    let place = Place::new();
    for (arguments, told) in [
        (["--webhook-allow", "10.0.0.0/40"], "is no network"),
        (["--webhook-allow", "example.com"], "is no network"),
        (["--webhook-ca", "/nowhere.pem"], "cannot read"),
    ] {
        let mut all = vec!["serve", "--listen", "127.0.0.1:0"];
        all.extend(arguments);
        let refused = place.run(&all);
        assert_ne!(refused.status, 0);
        assert!(refused.err.contains(told), "{}", refused.err);
    }
}
