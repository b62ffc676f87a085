//! `repairs`, `backfill` and `consistency` on the command line.

use serde_json::{Value, json};

use crate::support::{Place, Remote};

const REASON: &str = "--reason=x";

/// A place with a data route, a process that writes it, and its SDK key.
fn started() -> (Place, impl Fn(&str, Value) -> Value) {
    let place = Place::serving();
    let add = [
        "route",
        "add",
        "gear.Items/SaveItem",
        "--key=save",
        "--operation=write",
        "--owner=gear",
        "--policy=open",
    ];
    place.well(&add);
    place.well(&["mirror", "save", "dev", "--read=0", "--write=100", REASON]);
    let key = place.well(&["sdk-key", "create", "--environment=dev", "--name=test"]);
    let remote = Remote::at(&place.address());
    let say = move |path: &str, body: Value| {
        let request = remote.request("POST", &format!("/sdk/v1/{path}"));
        let reply = request.bearer(key.trim()).json(&body).send();
        assert!(reply.status < 300, "{path}: {}", reply.body);
        serde_json::from_str(&reply.body).unwrap_or(Value::Null)
    };
    (place, say)
}

#[test]
fn a_backfill_is_followed_and_ordered() {
    let (place, say) = started();
    let none = place.well(&["backfill", "status", "save", "dev"]);
    assert!(none.contains("none was begun"), "{none}");
    let refused = place.run(&["backfill", "pause", "save", "dev", REASON]);
    assert!(
        refused.status != 0 && refused.err.contains("no backfill"),
        "{}",
        refused.err
    );
    let start = json!({ "instance": "a", "route": "save", "batch": 10, "total": 100 });
    let id = say("backfills", start)["id"].as_str().unwrap().to_owned();
    let path = format!("backfills/{id}");
    say(
        &path,
        json!({ "instance": "a", "cursor": "k1", "keys": 10, "copied": 9, "failed": ["k0"] }),
    );
    let shown = place.well(&["backfill", "status", "save", "dev"]);
    for part in [
        "running, 10 of about 100 keys, 9 copied, 1 failed",
        "run by a",
        "1 open",
    ] {
        assert!(shown.contains(part), "{part}: {shown}");
    }
    let said = place.well(&["backfill", "pause", "save", "dev", REASON]);
    assert!(said.contains("paused, after 10 keys"), "{said}");
    let said = place.well(&["backfill", "resume", "save", "dev", REASON, "--json"]);
    let resumed: Value = serde_json::from_str(&said).unwrap();
    assert_eq!(resumed["state"], "running");
    say(
        &path,
        json!({ "instance": "a", "cursor": "k2", "keys": 90, "copied": 1, "complete": true }),
    );
    let followed = place.well(&["backfill", "status", "save", "dev", "--follow"]);
    assert!(
        followed.contains("complete, 100 of about 100 keys"),
        "{followed}"
    );
    let said = place.well(&["backfill", "reset", "save", "dev", REASON]);
    assert!(said.contains("reset, after 100 keys"), "{said}");
}

#[test]
fn repairs_are_listed_and_settled() {
    let (place, say) = started();
    let none = place.well(&["repairs", "list", "save", "dev"]);
    assert!(none.contains("no such repairs"), "{none}");
    let repair = |key: &str, state: &str| {
        json!({ "key": key, "written": "old", "cause": "failed", "state": state, "attempts": 20,
                "failed_at": "save_new" })
    };
    let repairs = json!([repair("k\u{1b}[31m1", "failed"), repair("k2", "open")]);
    let route = json!({ "route": "save", "repairs": repairs });
    say(
        "writers",
        json!({ "instance": "a", "name": "web-1", "routes": [route] }),
    );
    let listed = place.well(&["repairs", "list", "save", "dev"]);
    assert!(
        listed.contains("k2") && listed.contains("save_new"),
        "{listed}"
    );
    assert!(!listed.contains('\u{1b}'), "{listed}");
    let failed = place.well(&["repairs", "list", "save", "dev", "--state=failed"]);
    assert!(!failed.contains("k2"), "{failed}");
    let said = place.well(&["repairs", "retry", "save", "dev", "--all", REASON]);
    assert!(said.contains("2 repairs to be tried again"), "{said}");
    let said = place.well(&["repairs", "resolve", "save", "dev", "k2", "k9", REASON]);
    assert!(
        said.contains("1 repair taken for settled\n  1 key without"),
        "{said}"
    );
    let wrong = place.run(&["repairs", "resolve", "save", "dev", REASON]);
    assert_eq!(wrong.status, 2, "{}", wrong.err);
}

#[test]
fn rows_are_compared_on_demand_and_by_schedule() {
    let (place, say) = started();
    let none = place.well(&["consistency", "list", "save", "dev"]);
    assert!(none.contains("nothing was compared yet"), "{none}");
    let said = place.well(&["consistency", "run", "save", "dev", "--sample=7", REASON]);
    assert!(
        said.contains("sample run waiting: the next process"),
        "{said}"
    );
    let route = json!({ "route": "save" });
    let answer = say(
        "writers",
        json!({ "instance": "a", "name": "web-1", "routes": [route] }),
    );
    let order = &answer["orders"][0]["consistency"];
    let result = json!({ "instance": "a", "route": "save", "order": order["id"], "kind": "sample",
                         "generation": 1, "duration_ms": 5, "compared": 7, "differing": 1,
                         "keys": ["k1"] });
    say("consistency", result);
    let listed = place.well(&["consistency", "list", "save", "dev"]);
    assert!(
        listed.contains("1 of 7 differ") && listed.contains("done"),
        "{listed}"
    );
    let late = [
        "consistency",
        "run",
        "save",
        "dev",
        "--checksum",
        "--wait=1s",
        REASON,
    ];
    assert_eq!(place.run(&late).status, 1);
    let every = |every: &str| {
        let every = format!("--every={every}");
        place.well(&["consistency", "schedule", "save", "dev", &every, REASON])
    };
    assert!(every("hourly").contains("hourly, a sample of 100 keys"));
    assert!(every("never").contains("not by itself"));
}
