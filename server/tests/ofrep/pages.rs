//! Pages of other sites: those that the operator names may read answers, and no others.

use std::time::Duration;

use serde_json::json;
use switchover_server::http::Front;

use super::{ALL, ONE, Ofrep};
use crate::support::{App, Engine, Events, Reply, Who, on_both_engines};

on_both_engines!(a_key_for_pages_opens_flags_alone);

const PAGE: &str = "https://app.example.com";

fn ask(ofrep: &Ofrep, method: &str, path: &str, origin: &str) -> Reply {
    let request = ofrep.app.request(method, path).header("origin", origin);
    if method == "OPTIONS" {
        let request = request.header("access-control-request-method", "POST");
        let asked = "authorization,content-type,if-none-match";
        return request
            .header("access-control-request-headers", asked)
            .send();
    }
    request.bearer(&ofrep.key).send()
}

fn start(origins: &[&str]) -> Ofrep {
    let front = Front {
        cors_origins: origins.join(",").parse().unwrap(),
        ..Front::default()
    };
    let ofrep = Ofrep::over(App::behind(front));
    ofrep.app.route("a");
    ofrep
}

/// Whoever opens a page has its key: no rule, no cohort's keys and no report goes through it.
fn a_key_for_pages_opens_flags_alone(engine: Engine) {
    let app = App::start(engine);
    app.route("a");
    let body = json!({ "environment": "dev", "name": "shop", "kind": "page" });
    let made = app.post(Who::MAINTAINER, "sdk-keys", &body).expect(201);
    let key = made.json()["key"].as_str().unwrap().to_owned();
    let ofrep = Ofrep { app, key };
    assert_eq!(ofrep.one("a", Some("user-42"))["value"], json!(false));
    assert_eq!(ofrep.all(None).json()["flags"].as_array().unwrap().len(), 2);
    let events = Events::open_at(ofrep.app.address(), &ofrep.stream(), "", None);
    assert_eq!(events.event(Duration::from_secs(5)).0, "message");

    let mut refused = 0;
    let document = serde_json::to_value(switchover_server::http::openapi()).unwrap();
    for (path, item) in document["paths"].as_object().unwrap() {
        if !path.starts_with("/sdk/") {
            continue;
        }
        let path = path.replace("{id}", "0199b1c2-0000-7000-8000-000000000000");
        for (method, operation) in item.as_object().unwrap() {
            let request = ofrep.app.request(&method.to_uppercase(), &path);
            let reply = request.bearer(&ofrep.key).send();
            assert_eq!(reply.code(403), "forbidden", "{method} {path}");
            let detail = reply.json()["detail"].as_str().unwrap().to_owned();
            assert!(detail.contains("/ofrep/v1") && detail.contains("--kind server"));
            assert!(operation["responses"]["403"].is_object(), "{method} {path}");
            refused += 1;
        }
    }
    assert!(refused >= 6, "{refused}");
    let reply = ofrep.app.request("GET", "routes").bearer(&ofrep.key).send();
    assert_eq!(reply.code(401), "unauthenticated");
}

/// A cache that keeps an answer must not show it to another page, nor a refused page's to one that may.
#[test]
fn answers_say_that_they_differ_by_page() {
    for (origins, varies) in [
        (&[][..], false),
        (&["*"][..], false),
        (&[PAGE][..], true),
        (&[PAGE, "*"][..], true),
    ] {
        let ofrep = start(origins);
        let path = format!("{ONE}a");
        let from = |origin: Option<&str>, method: &str| {
            let request = ofrep.app.request(method, &path).bearer(&ofrep.key);
            match origin {
                Some(origin) => request.header("origin", origin).send(),
                None => request.send(),
            }
        };
        for origin in [None, Some(PAGE), Some("https://evil.example")] {
            for method in ["POST", "GET", "OPTIONS"] {
                let reply = from(origin, method);
                let says = reply.header("vary") == Some("Origin");
                assert_eq!(says, varies, "{origins:?}: {method} from {origin:?}");
            }
        }
    }
}

#[test]
fn a_page_that_is_named_may_read_answers() {
    let ofrep = start(&[PAGE, "http://localhost:3000"]);
    for path in [ALL, &format!("{ONE}a"), "/ofrep/v1/streams"] {
        let before = ask(&ofrep, "OPTIONS", path, PAGE).expect(204);
        assert_eq!(before.header("access-control-allow-origin"), Some(PAGE));
        let words = |name: &str| before.header(name).unwrap().to_lowercase();
        let methods = words("access-control-allow-methods");
        assert!(methods.contains("post") && methods.contains("get"));
        let headers = words("access-control-allow-headers");
        for header in [
            "authorization",
            "content-type",
            "if-none-match",
            "x-api-key",
        ] {
            assert!(headers.contains(header), "{headers}");
        }
        assert_eq!(before.header("vary"), Some("Origin"));
        assert!(before.header("access-control-allow-credentials").is_none());
    }
    // Errors too: a page that cannot read them cannot tell what is wrong.
    for (path, status) in [
        (ALL, 200),
        (&*format!("{ONE}a"), 200),
        (&*format!("{ONE}b"), 404),
    ] {
        let reply = ask(&ofrep, "POST", path, "http://localhost:3000").expect(status);
        let origin = reply.header("access-control-allow-origin");
        assert_eq!(origin, Some("http://localhost:3000"));
        let shown = reply.header("access-control-expose-headers").unwrap();
        for header in ["ETag", "Retry-After", "Switchover-Stale"] {
            assert!(shown.contains(header), "{shown}");
        }
    }
    let denied = ask(&ofrep, "GET", "/ofrep/v1/streams", PAGE).expect(401);
    assert_eq!(denied.header("access-control-allow-origin"), Some(PAGE));
    let tag = ofrep.all(None).etag();
    let request = ofrep.app.request("POST", ALL).bearer(&ofrep.key);
    let same = request
        .header("origin", PAGE)
        .header("if-none-match", &tag)
        .send()
        .expect(304);
    assert_eq!(same.header("access-control-allow-origin"), Some(PAGE));
}

#[test]
fn no_other_page_may() {
    for (origins, strangers) in [
        (&[][..], &[PAGE, "null"][..]),
        (
            &[PAGE][..],
            &["https://evil.example", "http://app.example.com", "null", ""][..],
        ),
    ] {
        let ofrep = start(origins);
        for stranger in strangers {
            let before = ask(&ofrep, "OPTIONS", ALL, stranger);
            assert_eq!(before.status, 405, "{stranger}");
            assert!(before.header("access-control-allow-origin").is_none());
            let reply = ask(&ofrep, "POST", ALL, stranger).expect(200);
            assert!(reply.header("access-control-allow-origin").is_none());
        }
    }
}

/// What people do stays with their own page, whatever is said of flags.
#[test]
fn the_rest_of_the_server_is_open_to_no_page() {
    let ofrep = start(&["*"]);
    let reply = ask(&ofrep, "POST", ALL, "https://any.example").expect(200);
    assert_eq!(reply.header("access-control-allow-origin"), Some("*"));
    for path in ["/api/v1/routes", "/sdk/v1/snapshot", "/", "/healthz"] {
        for method in ["OPTIONS", "GET"] {
            let reply = ask(&ofrep, method, path, "https://any.example");
            assert!(
                reply.header("access-control-allow-origin").is_none(),
                "{method} {path}"
            );
        }
    }
    assert_eq!(ofrep.one("a", None)["value"], json!(false));
}

/// Behind a proxy the stream is where clients see the server.
#[test]
fn the_stream_is_below_the_path_that_clients_see() {
    let front = Front {
        prefix: "/switchover".parse().unwrap(),
        ..Front::default()
    };
    let ofrep = Ofrep::over(App::behind(front));
    ofrep.app.route("a");
    let address = ofrep.stream();
    assert!(address.starts_with("/switchover/ofrep/v1/streams?ticket="));
    let below = ofrep.app.request("POST", &format!("/switchover{ONE}a"));
    below.bearer(&ofrep.key).send().expect(200);
    let events = Events::open_at(ofrep.app.address(), &address, "", None);
    assert_eq!(events.event(Duration::from_secs(5)).0, "message");
}
