//! The playground: an address, and the answer to it.

use serde_json::json;

use crate::support::{App, Engine, Who, at};

#[test]
fn an_address_is_explained_by_what_decides() {
    let app = App::start(Engine::Sqlite);
    app.route("blame");
    app.bring("blame", &["dev"], "opt_in");
    app.set("blame", "dev", json!({ "mode": "ramp", "percent": 12.5 }))
        .expect(200);
    let ask = |query: &str| {
        let path = format!("/explain?route=blame&environment=dev&{query}");
        app.page(Who::VIEWER, &path).expect(200).body
    };
    for key in ["1", "2", "42", "a-b"] {
        let page = ask(&format!("key={key}"));
        let body = json!({ "key": key });
        let told = app.post(Who::VIEWER, &at("blame", "dev", "explain"), &body);
        let told = told.expect(200).json();
        let path = if told["path"] == "new" {
            "New path"
        } else {
            "Old path"
        };
        assert!(page.contains(&format!(">{path}</h2>")), "{key}");
        assert!(page.contains(told["reason"].as_str().unwrap()));
        assert!(page.contains(told["version"].as_str().unwrap()));
        assert_eq!(page.matches("class=\"chain-number\"").count(), 12);
        assert_eq!(page.matches("class=\"decides\"").count(), 1);
    }
    // What an override hides is shown as hidden, and what was asked stays in the form.
    let page = ask("key=1&variables=%23+mine%0AGITALY_BLAME%3D%221%22");
    assert!(page.contains(">New path</h2>"), "{page}");
    assert!(page.contains("Hides: Ramp, On by its stage"), "{page}");
    assert!(page.contains("not heard"));
    assert!(
        page.contains("GITALY_BLAME=&#34;1&#34;</textarea>"),
        "{page}"
    );
    assert!(ask("").contains("for a call without a key"));
    let unknown = app.page(Who::VIEWER, "/explain?route=nobody&environment=dev");
    assert!(unknown.expect(200).body.contains("nobody knows the route"));
}

#[test]
fn what_cannot_be_asked_stays_in_the_form() {
    let app = App::start(Engine::Sqlite);
    app.route("blame");
    let many: String = (0..101).map(|number| format!("V{number}%3D1%0A")).collect();
    for (query, told) in [
        (
            "key=9&variables=not+a+variable".to_owned(),
            "line 1 is no NAME=value",
        ),
        (
            format!("key=9&variables={many}"),
            "has at most 100 variables",
        ),
        (
            format!("key={}", "9".repeat(4_097)),
            "has at most 4,096 bytes",
        ),
    ] {
        let path = format!("/explain?route=blame&environment=dev&{query}");
        let page = app.page(Who::VIEWER, &path).expect(422).body;
        assert!(page.contains(told), "{told}: {page}");
        assert!(page.contains("value=\"9"), "{told}");
        assert!(!page.contains("class=\"chain\""));
    }
    let page = app.page(Who::VIEWER, "/explain?route=blame&environment=none");
    assert!(
        page.expect(404)
            .body
            .contains("there is no environment `none`")
    );
}
