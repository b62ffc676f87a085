//! The pages of webhooks: what they show to whom, and what their forms do.

use std::sync::Arc;

use serde_json::json;

use crate::support::{App, Engine, TestDatabase, Who, eventually};
use crate::webhooks::consumer::{Consumer, Manner};
use crate::webhooks::{SOON, deliveries, halt, hook, in_state};

#[test]
fn a_webhook_is_made_tried_changed_and_deleted_by_hand() {
    let app = App::delivering(Arc::new(TestDatabase::new(Engine::Sqlite)));
    let consumer = Consumer::new(Manner::Take);
    let url = consumer.url();
    let fields = [
        ("name", "release room"),
        ("url", url.as_str()),
        ("events", "release\nrollout.halted"),
        ("environments", "dev"),
        ("environments", "production"),
        ("reason", "asked for"),
    ];
    let made = app
        .submit(Who::MAINTAINER, "/new/webhook", &fields)
        .expect(200)
        .body;
    let secret = made
        .split("whsec_")
        .nth(1)
        .expect("the secret")
        .split('<')
        .next()
        .unwrap();
    let secret = format!(
        "whsec_{}",
        secret
            .replace("&#43;", "+")
            .replace("&#47;", "/")
            .replace("&#61;", "=")
    );
    let listed = app.get("webhooks").json();
    let seen = &listed["items"][0];
    assert_eq!(seen["events"], json!(["release", "rollout.halted"]));
    assert_eq!(seen["environments"], json!(["dev", "production"]));
    let id = seen["id"].as_str().unwrap();
    let place = format!("/webhooks/{id}");
    app.submit(Who::MAINTAINER, &format!("{place}/test"), &[])
        .expect(303);
    consumer.wait_for(1)[0].assert_signed_with(&secret);
    in_state(&app, id, "delivered");
    let page = app.page(Who::MAINTAINER, &place).expect(200).body;
    assert!(
        page.contains("webhook.ping") && page.contains("delivered"),
        "{page}"
    );
    assert!(
        !page.contains("room=1") && !page.contains("whsec_"),
        "{page}"
    );
    let one = deliveries(&app, id)[0]["id"].as_str().unwrap().to_owned();
    let again = format!("{place}/deliveries/{one}/redeliver");
    app.submit(Who::MAINTAINER, &again, &[]).expect(303);
    consumer.wait_for(2);
    let form = app
        .page(Who::MAINTAINER, &format!("{place}/change"))
        .expect(200)
        .body;
    assert!(
        form.contains("rollout.halted") && form.matches("checked").count() == 2,
        "{form}"
    );
    let changed = [("name", "all"), ("enabled", "false"), ("reason", "moved")];
    app.submit(Who::MAINTAINER, &format!("{place}/change"), &changed)
        .expect(303);
    let page = app.page(Who::VIEWER, &place).expect(200).body;
    assert!(
        page.contains("It is sent nothing") && page.contains("everything"),
        "{page}"
    );
    assert!(
        !page.contains("webhook.ping") && !page.contains("/rotate"),
        "a viewer: {page}"
    );
    app.submit(
        Who::MAINTAINER,
        &format!("{place}/delete"),
        &[("reason", "over")],
    )
    .expect(303);
    app.page(Who::MAINTAINER, &place).expect(404);
}

#[test]
fn what_is_wrong_stands_beside_its_field() {
    let app = App::start(Engine::Sqlite);
    for (url, told) in [
        ("ftp://example.com/", "begins with https://"),
        ("https://10.0.0.1/", "not public"),
        ("nonsense", "is an address such as"),
    ] {
        let fields = [("name", "room"), ("url", url), ("reason", "r")];
        let page = app
            .submit(Who::MAINTAINER, "/new/webhook", &fields)
            .expect(422)
            .body;
        assert!(page.contains(told), "{url}: {page}");
    }
    assert_eq!(app.get("webhooks").json()["items"], json!([]));
}

/// What a receiver answers is text of somebody who may mean ill.
#[test]
fn an_answer_is_shown_as_text() {
    let app = App::delivering(Arc::new(TestDatabase::new(Engine::Sqlite)));
    let consumer = Consumer::new(Manner::Answer(400, "<script>alert(1)</script>\u{202e}"));
    let (id, _) = hook(&app, &consumer.url(), json!({ "events": ["rollout"] }));
    app.route("count_commits");
    halt(&app, "count_commits").expect(200);
    in_state(&app, &id, "failed");
    let page = eventually("the log", SOON, || {
        let page = app.page(Who::MAINTAINER, &format!("/webhooks/{id}")).body;
        page.contains("alert(1)").then_some(page)
    });
    assert_eq!(page.matches("<script").count(), 1, "{page}");
    assert!(!page.contains('\u{202e}'));
}
