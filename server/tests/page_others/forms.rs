//! Forms of environments, freezes, policies, cohorts, keys: what they do, and what they say.

use serde_json::json;
use switchover_server::domain::actor::Role;

use crate::support::{App, Engine, Who};

use super::HOSTILE;

#[test]
fn environments_are_added_and_changed() {
    let app = App::start(Engine::Sqlite);
    let fields = |key: &'static str, position: &'static str| {
        [
            ("key", key),
            ("kind", "hosted"),
            ("position", position),
            ("production", ""),
        ]
    };
    for (key, position, told) in [
        ("Canary", "5", "a lower-case letter"),
        ("canary", "five", "is a whole number"),
        ("canary", "-1", "is 0 to 1,000,000"),
        ("dev", "5", "dev"),
    ] {
        let page = app.submit(Who::ADMIN, "/new/environment", &fields(key, position));
        assert!([409, 422].contains(&page.status), "{}", page.status);
        assert!(page.body.contains(told), "{told}: {}", page.body);
        assert!(page.body.contains(&format!("value=\"{key}\"")), "{key}");
        assert!(
            page.body.contains(&format!("value=\"{position}\"")),
            "{position}"
        );
    }
    app.submit(Who::ADMIN, "/new/environment", &fields("canary", "5"))
        .expect(303);
    let made = app.get("environments/canary").expect(200).json();
    assert_eq!(made["production"], true, "it comes after production");
    let change = "/environments/canary/change";
    let form = app.page(Who::ADMIN, change).expect(200).body;
    assert!(form.contains("value=\"5\""), "{form}");
    let tag = super::tag(&form);
    let fields = [
        ("tag", tag.as_str()),
        ("position", "0"),
        ("production", "no"),
        ("reason", "it is first"),
    ];
    let changed = app.submit(Who::ADMIN, change, &fields).expect(303);
    assert_eq!(changed.header("location"), Some("/environments/canary"));
    let again = app.submit(Who::ADMIN, change, &fields).expect(412).body;
    assert!(again.contains("value=\"it is first\""), "{again}");
    let page = app
        .page(Who::VIEWER, "/environments/canary")
        .expect(200)
        .body;
    assert!(page.contains("No instance has reported"), "{page}");
}

#[test]
fn freezes_are_opened_and_closed() {
    let app = App::start(Engine::Sqlite);
    let wrong = [
        ("environments", "dev"),
        ("until", "2020-01-01T00:00"),
        ("reason", "r <b>"),
    ];
    let page = app
        .submit(Who::OPERATOR, "/new/freeze", &wrong)
        .expect(422)
        .body;
    assert!(page.contains("must be later than its beginning"), "{page}");
    assert!(page.contains("value=\"dev\" checked"), "{page}");
    assert!(page.contains("value=\"2020-01-01T00:00\""), "{page}");
    assert!(page.contains("value=\"r &#60;b&#62;\""), "{page}");
    let right = [
        ("environments", "dev"),
        ("environments", "staging"),
        ("reason", "storage"),
    ];
    app.submit(Who::OPERATOR, "/new/freeze", &right).expect(303);
    let open = app.get("freezes").json();
    assert_eq!(open["items"][0]["environments"], json!(["dev", "staging"]));
    let id = open["items"][0]["id"].as_str().unwrap();
    let list = app.page(Who::VIEWER, "/environments").expect(200).body;
    assert!(
        list.contains("dev, staging") && list.contains("storage"),
        "{list}"
    );
    let close = format!("/freezes/{id}/close");
    app.page(Who::OPERATOR, &close).expect(403);
    assert!(
        app.page(Who::MAINTAINER, &close)
            .expect(200)
            .body
            .contains("storage")
    );
    app.submit(Who::MAINTAINER, &close, &[]).expect(422);
    app.submit(Who::MAINTAINER, &close, &[("reason", "over")])
        .expect(303);
    assert_eq!(app.get("freezes").json()["items"], json!([]));
}

#[test]
fn policies_are_written_with_what_is_wrong_beside_them() {
    let app = App::start(Engine::Sqlite);
    for (document, told) in [
        ("{ \"name\": \"mine\",", "policy"),
        (
            "{ \"name\": \"mine\", \"gates\": { \"opt_in\": [{ \"gate\": \"magic\" }] } }",
            "magic",
        ),
        ("{ \"name\": \"gitaly\" }", "comes with the product"),
    ] {
        let fields = [("policy", document), ("reason", "r")];
        let page = app.submit(Who::ADMIN, "/new/policy", &fields);
        assert!([400, 409, 422].contains(&page.status), "{}", page.status);
        assert!(page.body.contains(told), "{told}: {}", page.body);
        let kept = document.replace('"', "&#34;");
        assert!(page.body.contains(&kept), "{kept}: {}", page.body);
    }
    for count in ["1", "2"] {
        let document = format!(
            "{{\"name\":\"mine\",\"gates\":{{\"opt_in\":[{{\"gate\":\"approval\",\"count\":{count}}}]}}}}"
        );
        let fields = [("policy", document.as_str()), ("reason", "r")];
        app.submit(Who::ADMIN, "/new/policy", &fields).expect(303);
    }
    let page = app.page(Who::VIEWER, "/policies/mine").expect(200).body;
    assert!(
        page.contains("approvals: 2") && page.contains("version 2"),
        "{page}"
    );
    let old = app
        .page(Who::VIEWER, "/policies/mine?version=1")
        .expect(200)
        .body;
    assert!(
        old.contains("approvals: 1") && old.contains("version 1 of 2"),
        "{old}"
    );
    app.page(Who::VIEWER, "/policies/mine?version=3")
        .expect(404);
    let built_in = app
        .page(Who::ADMIN, "/policies/data_migration")
        .expect(200)
        .body;
    for told in [
        "failed mirror writes above 5 % → stops the mirror",
        "80 %",
        "holds 2 d",
        "30 days",
    ] {
        assert!(built_in.contains(told), "{told}: {built_in}");
    }
    // What a page shows of a policy can be written as it stands.
    let form = app
        .page(Who::ADMIN, "/new/policy?from=data_migration")
        .expect(200)
        .body;
    let (_, rest) = form.split_once("rows=\"24\"").unwrap();
    let (_, rest) = rest.split_once(">\n").unwrap();
    let document = rest
        .split_once("</textarea>")
        .unwrap()
        .0
        .replace("&#34;", "\"");
    let document = document.replace("data_migration", "like_it");
    let fields = [("policy", document.as_str()), ("reason", "r")];
    app.submit(Who::ADMIN, "/new/policy", &fields).expect(303);
    app.submit(Who::ADMIN, "/policies/like_it/delete", &[("reason", "r")])
        .expect(303);
    app.page(Who::VIEWER, "/policies/like_it").expect(404);
}

#[test]
fn cohorts_are_made_changed_and_deleted() {
    let app = App::start(Engine::Sqlite);
    app.route("blame");
    let wrong = [
        ("name", "Beta"),
        ("keys", "7\n42"),
        ("description", HOSTILE),
        ("reason", "r"),
    ];
    let page = app
        .submit(Who::OPERATOR, "/new/cohort", &wrong)
        .expect(422)
        .body;
    assert!(page.contains("is a lower-case letter"), "{page}");
    assert!(page.contains("7\n42</textarea>"), "{page}");
    assert_eq!(page.matches("<script").count(), 1);
    let keys: Vec<String> = (0..300).map(|key| key.to_string()).collect();
    let keys = keys.join("\r\n");
    let right = [
        ("name", "beta"),
        ("keys", keys.as_str()),
        ("description", ""),
        ("reason", "r"),
    ];
    app.submit(Who::OPERATOR, "/new/cohort", &right).expect(303);
    let taken = app
        .submit(Who::OPERATOR, "/new/cohort", &right)
        .expect(409)
        .body;
    assert!(taken.contains("there is a cohort `beta`"), "{taken}");
    let page = app.page(Who::VIEWER, "/cohorts/beta").expect(200).body;
    assert!(page.contains("The first 200 of 300"), "{page}");

    let uses = json!({ "include": [], "exclude": [], "include_cohorts": ["beta"], "reason": "r" });
    app.put(
        Who::OPERATOR,
        "routes/blame/environments/dev/cohorts",
        &uses,
    )
    .expect(200);
    let form = app
        .page(Who::OPERATOR, "/cohorts/beta/change")
        .expect(200)
        .body;
    assert!(form.contains("One rollout uses it"), "{form}");
    let tag = super::tag(&form);
    let fields = [("tag", tag.as_str()), ("keys", "7"), ("reason", "r")];
    app.submit(Who::OPERATOR, "/cohorts/beta/change", &fields)
        .expect(303);
    assert_eq!(app.rollout("blame", "dev")["include"], json!(["7"]));
    let late = app.submit(Who::OPERATOR, "/cohorts/beta/change", &fields);
    late.expect(412);
    let tag = super::tag(&app.page(Who::OPERATOR, "/cohorts/beta/delete").body);
    let fields = [("tag", tag.as_str()), ("reason", "r")];
    let used = app
        .submit(Who::OPERATOR, "/cohorts/beta/delete", &fields)
        .expect(409);
    assert!(used.body.contains("blame in dev"), "{}", used.body);

    let group = [
        ("group", "commits"),
        ("keys", ""),
        ("description", "d"),
        ("reason", "r"),
    ];
    let page = app
        .submit(Who::OPERATOR, "/new/ramp-group", &group)
        .expect(422)
        .body;
    assert!(page.contains("value=\"commits\""), "{page}");
    let group = [("group", "commits"), ("keys", "project"), ("reason", "r")];
    app.submit(Who::OPERATOR, "/new/ramp-group", &group)
        .expect(303);
    let form = app
        .page(Who::OPERATOR, "/new/ramp-group?group=commits")
        .body;
    assert!(form.contains("value=\"project\""), "{form}");
    app.submit(
        Who::OPERATOR,
        "/ramp-groups/commits/delete",
        &[("reason", "r")],
    )
    .expect(303);
}

#[test]
fn a_key_is_shown_once_and_revoked_for_good() {
    let app = App::start(Engine::Sqlite);
    let wrong = [("environment", "dev"), ("name", "")];
    let page = app
        .submit(Who::MAINTAINER, "/new/key", &wrong)
        .expect(422)
        .body;
    assert!(
        page.contains("must be 1 to 100 printable characters"),
        "{page}"
    );
    assert!(page.contains("value=\"dev\" selected"), "{page}");
    let fields = [("environment", "dev"), ("name", "web"), ("once", "0123")];
    let made = app.submit(Who::MAINTAINER, "/new/key", &fields).expect(200);
    assert_eq!(made.header("cache-control"), Some("no-store"));
    let (_, rest) = made.body.split_once("SWITCHOVER_SDK_KEY=").unwrap();
    let key = rest.split_once('<').unwrap().0.trim();
    app.snapshot(key).expect(200);
    assert!(
        made.body
            .contains(&format!("SWITCHOVER_URL=http://{}", app.address()))
    );
    // Sent twice, it is made once, and its secret is not shown again.
    let again = app
        .submit(Who::MAINTAINER, "/new/key", &fields)
        .expect(200)
        .body;
    assert!(
        again.contains("was made already") && !again.contains("swk_"),
        "{again}"
    );
    let list = app.page(Who::MAINTAINER, "/keys").expect(200).body;
    assert!(!list.contains("swk_"), "{list}");
    let listed = app
        .request("GET", "sdk-keys")
        .by(Who::MAINTAINER)
        .send()
        .json();
    assert_eq!(listed["items"].as_array().unwrap().len(), 1);
    let revoke = format!(
        "/keys/{}/revoke",
        listed["items"][0]["id"].as_str().unwrap()
    );
    app.submit(Who::MAINTAINER, &revoke, &[]).expect(422);
    app.submit(Who::MAINTAINER, &revoke, &[("reason", "it leaked")])
        .expect(303);
    app.snapshot(key).expect(401);
    let entries = app.get("audit?action=sdk_key_revoke").json();
    assert_eq!(entries["items"][0]["reason"], "it leaked");
    let list = app.page(Who::MAINTAINER, "/keys").expect(200).body;
    assert!(list.contains("1 revoked"), "{list}");

    let leaver = Who(Role::Operator, "leaver@example.com");
    app.page(leaver, "/").expect(200);
    let claims = App::keys().verify(&leaver.token()).unwrap();
    let fields = [("jti", claims.jti.as_str()), ("reason", "left")];
    app.submit(Who::ADMIN, "/new/revocation", &fields)
        .expect(303);
    let reply = app.page(leaver, "/").expect(303);
    assert!(reply.header("location").unwrap().contains("ended=1"));
}

/// Its page says how pages use it, and no SDK does.
#[test]
fn a_key_for_pages_is_made_on_the_page() {
    let app = App::start(Engine::Sqlite);
    let form = app.page(Who::MAINTAINER, "/new/key").expect(200).body;
    assert!(form.contains("value=\"page\""), "{form}");
    let fields = [("environment", "dev"), ("name", "shop"), ("kind", "page")];
    let page = app.submit(Who::MAINTAINER, "/new/key", &fields).expect(200);
    assert!(page.body.contains("/ofrep/v1") && !page.body.contains("SWITCHOVER_SDK_KEY"));
    let (_, rest) = page.body.split_once("class=\"secret\">").unwrap();
    app.snapshot(rest.split_once('<').unwrap().0).expect(403);
    let list = app.page(Who::MAINTAINER, "/keys").expect(200).body;
    assert!(list.contains("<td>page</td>"), "{list}");
    let wrong = [("environment", "dev"), ("name", "shop"), ("kind", "all")];
    let page = app.submit(Who::MAINTAINER, "/new/key", &wrong).expect(422);
    assert!(
        page.body.contains("kind is `server` or `page`"),
        "{}",
        page.body
    );
}

#[test]
fn keys_keep_their_blanks_and_production_asks_for_the_name() {
    let app = App::start(Engine::Sqlite);
    app.route("a");
    let keys = "keys";
    let made = [
        ("name", "vip"),
        (keys, " lead\r\ntrail \r\nplain"),
        ("reason", "x"),
    ];
    app.submit(Who::OPERATOR, "/new/cohort", &made).expect(303);
    let kept = json!([" lead", "plain", "trail "]);
    assert_eq!(app.get("cohorts/vip").expect(200).json()["keys"], kept);
    let change = "/cohorts/vip/change";
    let described = [
        ("description", "d"),
        (keys, " lead\r\ntrail \r\nplain"),
        ("reason", "x"),
    ];
    app.submit(Who::OPERATOR, change, &described).expect(303);
    assert_eq!(app.get("cohorts/vip").expect(200).json()["keys"], kept);

    app.bring("a", &["dev", "staging", "production"], "opt_in");
    let uses = json!({
        "include": [], "exclude": [], "include_cohorts": ["vip"], "reason": "x",
    });
    let place = crate::support::at("a", "production", "cohorts");
    app.put(Who::MAINTAINER, &place, &uses).expect(200);
    let refused = app
        .submit(Who::OPERATOR, change, &described)
        .expect(422)
        .body;
    assert!(refused.contains("type the cohort&#39;s name"), "{refused}");
    let mut typed = described.to_vec();
    typed.push(("confirm", "vip"));
    app.submit(Who::OPERATOR, change, &typed).expect(303);
}
