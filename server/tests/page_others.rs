//! Pages that are not about one route: explain, audit, releases, environments, policies, cohorts,
//! keys.

mod explain;
mod forms;
mod record;
mod releases;

use serde_json::json;
use switchover_server::domain::actor::Role;

use crate::support::{App, Engine, Who, at, hidden};

/// Text that would be a script, were it not shown as text.
pub(crate) const HOSTILE: &str =
    "<script>alert(1)</script> \u{5de}\u{5e1}\u{5dc}\u{5d5}\u{5dc} \u{1F680} \"'&";

/// Every page, the role that it needs, and what it says while nothing is there.
const PAGES: [(&str, Role, &str); 9] = [
    ("/explain", Role::Viewer, "Ask about a call"),
    ("/audit", Role::Viewer, "Nothing is on record yet"),
    ("/audit/checkpoints", Role::Viewer, "was not signed yet"),
    ("/releases", Role::Viewer, "No release was frozen yet"),
    ("/forecast", Role::Viewer, "There is no release to compare"),
    (
        "/environments",
        Role::Viewer,
        "No change freeze is open or planned",
    ),
    ("/cohorts", Role::Viewer, "There is no cohort yet"),
    ("/webhooks", Role::Viewer, "There is no webhook yet"),
    ("/keys", Role::Maintainer, "No SDK key is in force"),
];

/// Every form, and the role that it needs.
const FORMS: [(&str, Role); 16] = [
    ("/new/freeze", Role::Operator),
    ("/new/environment", Role::Admin),
    ("/environments/dev/change", Role::Admin),
    ("/new/policy", Role::Admin),
    ("/policies/reviewed/delete", Role::Admin),
    ("/new/cohort", Role::Operator),
    ("/cohorts/beta/change", Role::Operator),
    ("/cohorts/beta/delete", Role::Operator),
    ("/new/ramp-group", Role::Operator),
    ("/ramp-groups/commits/delete", Role::Operator),
    ("/new/release", Role::Maintainer),
    ("/releases/on-prem/17.5.0/publish", Role::Maintainer),
    ("/releases/on-prem/17.5.0/delete", Role::Maintainer),
    ("/new/webhook", Role::Maintainer),
    ("/new/key", Role::Maintainer),
    ("/new/revocation", Role::Admin),
];

#[test]
fn every_page_says_what_to_do_first() {
    let app = App::start(Engine::Sqlite);
    for (path, role, told) in PAGES {
        let nobody = app
            .request("GET", path)
            .header("accept", "text/html")
            .send();
        let to_sign_in = nobody.expect(303).header("location").unwrap().to_owned();
        assert!(to_sign_in.starts_with("/sign-in?next="), "{path}");
        for other in Role::ALL {
            let reply = app.page(Who::of(other), path);
            if other < role {
                reply.expect(403);
                continue;
            }
            let page = reply.expect(200).body;
            assert!(page.contains(told), "{path} by {other}: {page}");
            assert_eq!(page.matches("<h1").count(), 1, "{path}");
            for inline in ["<style", " style=", " onclick=", "javascript:"] {
                assert!(!page.contains(inline), "{path}: {inline}");
            }
        }
    }
    let policies = app.page(Who::VIEWER, "/policies").expect(200).body;
    assert!(policies.contains("data_migration"));
}

/// The tag that a form was made for, as a browser sends it.
fn tag(form: &str) -> String {
    hidden(form, "tag").replace("&#34;", "\"")
}

/// Something of everything that has a page.
fn furnish(app: &App) {
    app.route_with(
        "count_commits",
        json!({ "owner": HOSTILE, "description": HOSTILE }),
    );
    let operator = |path: &str, body: &serde_json::Value| {
        app.post(Who::OPERATOR, path, body).expect(201);
    };
    let cohort = json!({ "name": "beta", "keys": ["7", HOSTILE], "description": HOSTILE, "reason": HOSTILE });
    operator("cohorts", &cohort);
    operator(
        "freezes",
        &json!({ "environments": ["production"], "reason": HOSTILE }),
    );
    let group = json!({ "keys": HOSTILE, "description": HOSTILE, "reason": "r" });
    app.put(Who::OPERATOR, "ramp-groups/commits", &group)
        .expect(200);
    let policy = json!({ "name": "reviewed", "description": HOSTILE });
    app.post(
        Who::ADMIN,
        "policies",
        &json!({ "policy": policy, "reason": "r" }),
    )
    .expect(201);
    let release = json!({ "name": "17.5.0", "environment": "on-prem", "reason": HOSTILE });
    app.post(Who::MAINTAINER, "releases", &release).expect(201);
    let key = json!({ "environment": "dev", "name": HOSTILE });
    app.post(Who::MAINTAINER, "sdk-keys", &key).expect(201);
    let hook = json!({ "name": HOSTILE, "url": "https://example.com/%3Cscript%3E", "owners": [HOSTILE],
        "reason": HOSTILE });
    app.post(Who::MAINTAINER, "webhooks", &hook).expect(201);
    let halt = json!({ "reason": HOSTILE });
    app.post(Who::OPERATOR, &at("count_commits", "dev", "halt"), &halt)
        .expect(200);
}

#[test]
fn forms_are_for_whoever_may() {
    let app = App::start(Engine::Sqlite);
    furnish(&app);
    let before = app.database().fingerprint();
    for (path, role) in FORMS {
        for other in Role::ALL {
            let shown = app.page(Who::of(other), path);
            if other >= role {
                let page = shown.expect(200).body;
                assert!(
                    page.contains(&format!("action=\"{path}\"")),
                    "{path}: {page}"
                );
                continue;
            }
            shown.expect(403);
            let sent = app.submit(Who::of(other), path, &[("reason", "r")]);
            assert_eq!(sent.status, 403, "{path} by {other}");
        }
        // What another site sends, or a page of another session.
        let foreign = app.send_form(Some(Who::of(role)), path, &[("reason", "r")]);
        assert_eq!(foreign.status, 403, "{path}");
    }
    // A viewer is shown no way to what they may not do.
    for path in [
        "/cohorts",
        "/cohorts/beta",
        "/webhooks",
        "/environments",
        "/environments/dev",
        "/releases",
        "/releases/on-prem/17.5.0",
        "/policies",
        "/policies/reviewed",
        "/audit/checkpoints",
    ] {
        let page = app.page(Who::VIEWER, path).expect(200).body;
        for way in [
            "href=\"/new/",
            "/change\"",
            "/delete\"",
            "/publish\"",
            "/close\"",
            "Sign the record",
        ] {
            assert!(!page.contains(way), "{path}: {way}");
        }
    }
    assert_eq!(app.database().fingerprint(), before);
}

#[test]
fn hostile_texts_are_texts() {
    let app = App::start(Engine::Sqlite);
    furnish(&app);
    for path in [
        "/audit",
        "/audit?by=%3Cscript%3E&route=%22%3E%3Cb%3E&action=%27",
        "/cohorts",
        "/cohorts/beta",
        "/cohorts/beta/change",
        "/environments",
        "/environments/production",
        "/policies",
        "/policies/reviewed",
        "/new/policy?from=reviewed",
        "/releases",
        "/releases/on-prem/17.5.0",
        "/keys",
        "/webhooks",
        "/new/ramp-group?group=commits",
        "/explain?route=%3Cscript%3E&environment=dev&key=%22%3E%3Cscript%3E&variables=A%3D%3C%2Ftextarea%3E%3Cscript%3E",
        "/explain?route=a&environment=%3Cscript%3E",
        "/forecast?environment=on-prem&from=%3Cscript%3E&to=17.5.0",
    ] {
        let page = app.page(Who::ADMIN, path).body;
        assert!(page.contains("<h1"), "{path}: {page}");
        let scripts = page.matches("<script").count();
        assert_eq!(scripts, 1, "{path}: {page}");
        assert!(!page.contains("\"><b>"), "{path}");
    }
    for path in [
        "/cohorts/none",
        "/policies/none",
        "/releases/on-prem/none",
        "/environments/none",
        "/keys/none/revoke",
        "/webhooks/none",
        "/webhooks/none/rotate",
        "/freezes/none/close",
        "/cohorts/%3Cscript%3E",
    ] {
        let page = app.page(Who::ADMIN, path).expect(404).body;
        assert_eq!(page.matches("<script").count(), 1, "{path}");
    }
}
