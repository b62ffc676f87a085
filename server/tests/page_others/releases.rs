//! Releases: frozen, looked at, published, compared.

use serde_json::json;

use crate::support::{App, Engine, Reply, Who};

const PLACES: [&str; 4] = ["dev", "staging", "production", "on-prem"];

fn send(app: &App, path: &str, fields: &[(&str, &str)]) -> Reply {
    app.submit(Who::MAINTAINER, path, fields)
}

fn freeze(app: &App, name: &str, more: &[(&str, &str)]) -> Reply {
    let mut fields = vec![
        ("environment", "on-prem"),
        ("name", name),
        ("reason", "test"),
    ];
    fields.extend_from_slice(more);
    send(app, "/new/release", &fields)
}

#[test]
fn a_release_is_frozen_published_and_compared_by_forms() {
    let app = App::start(Engine::Sqlite);
    app.route("blame");
    app.bring("blame", &PLACES, "opt_in");
    let frozen = freeze(&app, "17.4.0", &[]).expect(303);
    let at = "/releases/on-prem/17.4.0";
    assert_eq!(frozen.header("location"), Some(at));
    let page = app.page(Who::VIEWER, at).expect(200).body;
    assert!(page.contains("draft") && page.contains("Opt-in"), "{page}");

    // A form is for the draft that it showed.
    let stale = super::tag(&app.page(Who::MAINTAINER, &format!("{at}/publish")).body);
    freeze(&app, "17.4.0", &[]).expect(303);
    let publish = format!("{at}/publish");
    let refused = send(&app, &publish, &[("tag", &stale), ("reason", "it is out")]);
    let refused = refused.expect(412).body;
    assert!(refused.contains("value=\"it is out\""), "{refused}");
    assert!(refused.contains("Load the form as it is now"), "{refused}");
    let tag = super::tag(&app.page(Who::MAINTAINER, &publish).body);
    send(&app, &publish, &[("tag", &tag), ("reason", "")]).expect(422);
    send(&app, &publish, &[("tag", &tag), ("reason", "it is out")]).expect(303);
    let manifest = app.page(Who::VIEWER, &format!("{at}/manifest")).expect(200);
    assert_eq!(
        manifest.body,
        app.get("releases/on-prem/17.4.0/manifest").body
    );

    promote_on(&app);
    freeze(&app, "17.5.0", &[("after", "17.4.0")]).expect(303);
    let page = app.page(Who::VIEWER, "/forecast").expect(200).body;
    assert!(page.contains("17.4.0 → 17.5.0"), "{page}");
    let fields = [
        ("environment", "on-prem"),
        ("from", "17.4.0"),
        ("to", "17.5.0"),
        ("variables", "SECRET=hush\nexport GITALY_BLAME='0'"),
    ];
    let told = app
        .submit(Who::VIEWER, "/forecast", &fields)
        .expect(200)
        .body;
    assert!(told.contains("1 override stops"), "{told}");
    assert!(told.contains("GITALY_BLAME=0"), "{told}");
    assert!(
        told.contains("the route is mandatory: remove the variable"),
        "{told}"
    );
    let wrong = [
        ("from", "17.4.0"),
        ("to", "17.5.0"),
        ("variables", "A=1\nwhat is this"),
    ];
    let wrong = app
        .submit(Who::VIEWER, "/forecast", &wrong)
        .expect(422)
        .body;
    assert!(wrong.contains("line 2 is no NAME=value"), "{wrong}");
    assert!(wrong.contains("what is this</textarea>"), "{wrong}");

    let list = app.page(Who::VIEWER, "/releases").expect(200).body;
    let (newer, older) = (
        list.find(">17.5.0<").unwrap(),
        list.find(">17.4.0<").unwrap(),
    );
    assert!(newer < older, "newest first");
    let delete = "/releases/on-prem/17.5.0/delete";
    let tag = super::tag(&app.page(Who::MAINTAINER, delete).body);
    send(&app, delete, &[("tag", &tag), ("reason", "too early")]).expect(303);
    let entries = app.get("audit?action=release_delete").json();
    assert_eq!(entries["items"][0]["reason"], "too early");
}

#[test]
fn what_cannot_be_frozen_is_said_beside_its_field() {
    let app = App::start(Engine::Sqlite);
    app.route("blame");
    for (name, more, told) in [
        ("", vec![], "complaint"),
        ("a b", vec![], "complaint"),
        ("1", vec![("after", "0")], "there is no release 0 here"),
        ("1", vec![("based_on", "0")], "there is no release 0 here"),
    ] {
        let page = freeze(&app, name, &more).expect(422).body;
        assert!(page.contains(told), "{page}");
        assert!(
            page.contains(&format!("name=\"name\" type=\"text\" value=\"{name}\"")),
            "{page}"
        );
        assert!(page.contains("aria-invalid=\"true\""), "{page}");
    }
    app.sign_manifests_with(None);
    let page = freeze(&app, "1", &[]);
    assert!(
        page.status >= 400 && page.body.contains("set one up"),
        "{}",
        page.body
    );
    assert!(page.body.contains("value=\"1\""), "what was typed stays");
    assert_eq!(app.get("releases").json()["items"], json!([]));
}

/// From opt-in to mandatory, everywhere.
fn promote_on(app: &App) {
    for environment in PLACES {
        for stage in ["opt_out", "mandatory"] {
            app.promote(Who::MAINTAINER, "blame", environment, stage)
                .expect(201);
        }
    }
}
