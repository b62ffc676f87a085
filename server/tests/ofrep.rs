//! The OpenFeature Remote Evaluation Protocol, as it is written and as clients take it.

use serde_json::{Value, json};
use switchover::{Decision, Overrides, Path, Snapshot, Source, decide};

use crate::support::{App, Engine, Reply, on_both_engines};

mod conformance;
mod decisions;
mod pages;
mod streams;
mod tags;

on_both_engines!(a_request_without_a_key_takes_the_old_path);

const ONE: &str = "/ofrep/v1/evaluate/flags/";
const ALL: &str = "/ofrep/v1/evaluate/flags";

/// A server, and a client of dev.
struct Ofrep {
    app: App,
    key: String,
}

impl Ofrep {
    fn over(app: App) -> Ofrep {
        let key = app.sdk_key("dev");
        Ofrep { app, key }
    }

    fn start(engine: Engine) -> Ofrep {
        Ofrep::over(App::start(engine))
    }

    fn post(&self, path: &str, body: &Value) -> Reply {
        let request = self.app.request("POST", path).bearer(&self.key);
        request.json(body).send()
    }

    #[track_caller]
    fn one(&self, flag: &str, key: Option<&str>) -> Value {
        let reply = self.post(&format!("{ONE}{flag}"), &about(key)).expect(200);
        assert_eq!(reply.header("content-type"), Some("application/json"));
        reply.json()
    }

    fn all(&self, key: Option<&str>) -> Reply {
        self.post(ALL, &about(key)).expect(200)
    }

    /// All flags for a key, where the client says that it has the answer with this tag.
    fn all_but(&self, key: Option<&str>, tag: &str) -> Reply {
        let request = self.app.request("POST", ALL).bearer(&self.key);
        let request = request.json(&about(key)).header("if-none-match", tag);
        request.send()
    }

    /// Where this client hears of changes.
    fn stream(&self) -> String {
        let all = self.all(None).json();
        let stream = &all["eventStreams"][0];
        assert_eq!(stream["type"], "sse");
        let address = stream["endpoint"]["requestUri"].as_str().unwrap();
        address.to_owned()
    }

    /// What an SDK in dev has.
    fn snapshot(&self) -> Snapshot {
        let snapshot = self.app.snapshot(&self.key).expect(200);
        Snapshot::from_json(&snapshot.body, Source::Live).unwrap()
    }
}

fn about(key: Option<&str>) -> Value {
    match key {
        Some(key) => json!({ "context": { "targetingKey": key } }),
        None => json!({ "context": {} }),
    }
}

fn decision(snapshot: &Snapshot, route: &str, key: Option<&str>) -> Decision {
    decide(snapshot.table(), route, &Overrides::none(), key)
}

/// A flag's answer is whole, has nothing that clients do not know, and is what the SDK decides.
#[track_caller]
fn assert_is(answer: &Value, route: &str, decision: &Decision) {
    let flag = answer["key"].as_str().unwrap();
    let path = decision.path.name();
    match flag.strip_prefix(route) {
        Some("") => assert_eq!(answer["value"], decision.path == Path::New, "{answer}"),
        Some(".path") => assert_eq!(answer["value"], path, "{answer}"),
        _ => panic!("{flag} is not of {route}"),
    }
    assert_eq!(answer["variant"], path, "{answer}");
    let reason = answer["reason"].as_str().unwrap();
    let known = ["STATIC", "SPLIT", "TARGETING_MATCH", "DEFAULT"];
    assert!(known.contains(&reason), "{answer}");
    let metadata = answer["metadata"].as_object().unwrap();
    assert_eq!(metadata["reason"], decision.reason.name(), "{answer}");
    assert_eq!(metadata["flagSetId"], metadata["environment"], "{answer}");
    assert!(metadata["stage"].is_string() && metadata["version"].is_string());
    let is_plain = |value: &Value| value.is_string() || value.is_number() || value.is_boolean();
    assert!(metadata.values().all(is_plain), "{answer}");
    assert_eq!(answer.as_object().unwrap().len(), 5, "{answer}");
}

/// What cannot be told apart without a key is not: the old path, and an answer rather than an error.
fn a_request_without_a_key_takes_the_old_path(engine: Engine) {
    let ofrep = Ofrep::start(engine);
    ofrep.app.route("ramped");
    ofrep.app.route("on");
    let ramp = json!({ "mode": "ramp", "percent": 99.999 });
    ofrep.app.set("ramped", "dev", ramp).expect(200);
    ofrep
        .app
        .set("on", "dev", json!({ "mode": "on" }))
        .expect(200);
    let bodies = [
        None,
        Some(""),
        Some("null"),
        Some("{}"),
        Some(r#"{"context":null}"#),
        Some(r#"{"context":{}}"#),
        Some(r#"{"context":{"targetingKey":null,"email":"a@example.com"}}"#),
        Some(r#"{"context":{"targetingKey":""}}"#),
    ];
    for body in bodies {
        let ask = |path: &str| {
            let request = ofrep.app.request("POST", path).bearer(&ofrep.key);
            let reply = match body {
                None => request.send(),
                Some(body) => request
                    .header("content-type", "application/json")
                    .body(body)
                    .send(),
            };
            reply.expect(200).json()
        };
        let ramped = ask(&format!("{ONE}ramped"));
        assert_eq!(ramped["value"], false, "{body:?}");
        assert_eq!(ramped["reason"], "DEFAULT");
        assert_eq!(ramped["metadata"]["reason"], "no_key");
        assert_eq!(ask(&format!("{ONE}on"))["value"], true, "{body:?}");
        assert_eq!(ask(ALL)["flags"].as_array().unwrap().len(), 4);
    }
}
