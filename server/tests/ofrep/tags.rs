//! Tags: what a client has is not sent again, and what it lacks is.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::{ALL, Ofrep};
use crate::support::{App, Engine, on_both_engines};

on_both_engines!(an_answer_that_the_client_has_is_not_sent_again);

fn an_answer_that_the_client_has_is_not_sent_again(engine: Engine) {
    let ofrep = Ofrep::start(engine);
    let app = &ofrep.app;
    app.route("a");
    app.set("a", "dev", json!({ "mode": "ramp", "percent": 50 }))
        .expect(200);
    let keys: Vec<String> = (0..20).map(|number| format!("user-{number}")).collect();
    let is_new = |key: &String| ofrep.one("a", Some(key))["value"] == true;
    let (new, old): (Vec<&String>, Vec<&String>) = keys.iter().partition(|key| is_new(key));
    let first = ofrep.all(Some(new[0]));
    let tag = first.etag();
    let bare = tag.trim_matches('"').to_owned();
    for sent in [
        tag.clone(),
        bare.clone(),
        format!("W/{tag}"),
        format!("W/{bare}"),
        format!("\"x\", {tag}"),
        "*".to_owned(),
    ] {
        let same = ofrep.all_but(Some(new[0]), &sent);
        assert_eq!((same.status, same.body.as_str()), (304, ""), "{sent}");
        assert_eq!(same.etag(), tag);
    }
    for other in ["\"x\"", "", "\"\"", &bare[1..]] {
        assert_eq!(ofrep.all_but(Some(new[0]), other).status, 200, "{other}");
    }
    // The tag is over what the context decides: whoever is decided otherwise gets the answer.
    assert_eq!(ofrep.all_but(Some(new[1]), &tag).status, 304);
    let other = ofrep.all_but(Some(old[0]), &tag);
    assert_eq!((other.status, other.etag() == tag), (200, false));
    assert_eq!(ofrep.all_but(None, &tag).status, 200);
    // What changes nothing of the answer is no news; what does is.
    app.set("a", "staging", json!({ "mode": "on" })).expect(200);
    assert_eq!(ofrep.all_but(Some(new[0]), &tag).status, 304);
    app.set("a", "dev", json!({ "mode": "on" })).expect(200);
    let changed = ofrep.all_but(Some(new[0]), &tag);
    assert_eq!(changed.status, 200);
    assert_eq!(ofrep.all_but(Some(new[0]), &changed.etag()).status, 304);
    app.route("b");
    assert_eq!(ofrep.all_but(Some(new[0]), &changed.etag()).status, 200);
}

/// A client that is told 304 stays with the stream's address that it has, so a tag ends with the ticket.
#[test]
fn a_tag_brings_the_next_ticket_in_time() {
    let ofrep = Ofrep::start(Engine::Sqlite);
    ofrep.app.route("a");
    let without_stream = |reply: &crate::support::Reply| {
        let mut all = reply.json();
        all["eventStreams"] = Value::Null;
        all
    };
    let first = ofrep.all(None);
    ofrep.app.advance(chrono::Duration::hours(1));
    assert_eq!(ofrep.all_but(None, &first.etag()).status, 304);
    ofrep.app.advance(chrono::Duration::hours(6));
    let next = ofrep.all_but(None, &first.etag());
    assert_eq!(next.status, 200);
    assert_eq!(without_stream(&next), without_stream(&first));
    assert_ne!(next.json()["eventStreams"], first.json()["eventStreams"]);
    assert_eq!(ofrep.all_but(None, &next.etag()).status, 304);
}

/// Nodes answer alike, so a client may ask any of them; one that has not heard yet of what the client
/// has waits for it.
#[test]
fn nodes_agree_and_none_goes_back() {
    let app = App::start(Engine::Postgres);
    let other = App::over(app.database().clone());
    let ofrep = Ofrep::over(app);
    ofrep.app.route("a");
    let ask = |node: &App, query: &str| {
        let request = node.request("POST", &format!("{ALL}{query}"));
        request.bearer(&ofrep.key).send()
    };
    for number in 0..20 {
        let mode = if number % 2 == 0 { "on" } else { "off" };
        ofrep
            .app
            .set("a", "dev", json!({ "mode": mode }))
            .expect(200);
        let version = ofrep.snapshot().version().to_string();
        let etag = if number % 3 == 0 {
            format!("%22{version}%22")
        } else {
            version
        };
        let query = format!("?flagConfigLastModified=1&flagConfigEtag={etag}");
        let there = crate::support::eventually("the key is known", Duration::from_secs(2), || {
            Some(ask(&other, &query)).filter(|reply| reply.status == 200)
        });
        assert_eq!(there.json()["flags"][0]["value"], number % 2 == 0);
        assert_eq!(there.body, ofrep.all(None).body, "byte for byte");
    }
    // What was never published, and what is no version, is waited for briefly or not at all.
    let version = ofrep.snapshot().version().clone();
    let started = Instant::now();
    for nonsense in ["x", "", "%22%22", "other.5", "1767607200", "%FF"] {
        let query = format!("?flagConfigEtag={nonsense}&flagConfigEtag=1&other");
        assert_eq!(ask(&ofrep.app, &query).status, 200);
    }
    assert!(started.elapsed() < Duration::from_secs(1));
    let future = format!("?flagConfigEtag={}.{}", version.epoch, u64::MAX);
    assert_eq!(ask(&ofrep.app, &future).status, 200);
}
