//! What every page has: who may see it, what forms carry, and what browsers are told.

use std::collections::BTreeSet;

use chrono::{Duration, Utc};
use serde_json::json;
use switchover_server::domain::actor::{Actor, Role};

use crate::support::{App, Engine, Who, hidden, session};

#[test]
fn signing_in_by_a_token_and_out_again() {
    let app = App::start(Engine::Sqlite);
    let first = app
        .request("GET", "/?q=a%20b")
        .header("accept", "text/html")
        .send()
        .expect(303);
    let to_sign_in = first.header("location").unwrap();
    assert_eq!(to_sign_in, "/sign-in?next=%2F%3Fq%3Da%2520b");
    let form = app.request("GET", to_sign_in).send().expect(200).body;
    let next = hidden(&form, "next");
    assert_eq!(next, "/?q=a%20b");

    let token = Who::OPERATOR.token();
    let signed = app
        .send_form(None, "/sign-in", &[("token", &token), ("next", &next)])
        .expect(303);
    assert_eq!(signed.header("location"), Some("/?q=a%20b"));
    let cookie = signed.header("set-cookie").unwrap();
    let attributes: BTreeSet<&str> = cookie.split("; ").skip(1).collect();
    for attribute in ["HttpOnly", "SameSite=Strict", "Path=/"] {
        assert!(attributes.contains(attribute), "{cookie}");
    }
    assert!(!attributes.contains("Secure"), "{cookie}");
    let page = app.page(Who::OPERATOR, "/").expect(200).body;
    assert!(page.contains("otto@example.com"), "{page}");

    let out = app.submit(Who::OPERATOR, "/sign-out", &[]).expect(303);
    assert_eq!(out.header("location"), Some("/sign-in"));
    let cookie = out.header("set-cookie").unwrap();
    assert!(cookie.starts_with("switchover_session=;"), "{cookie}");
    assert!(cookie.contains("Max-Age=0"), "{cookie}");
}

#[test]
fn behind_tls_the_session_never_leaves_it() {
    let app = App::start(Engine::Sqlite);
    let token = Who::VIEWER.token();
    let signed = app
        .request("POST", "/sign-in")
        .header("content-type", "application/x-www-form-urlencoded")
        .header("x-forwarded-proto", "https")
        .body(format!("token={token}"))
        .send()
        .expect(303);
    let cookie = signed.header("set-cookie").unwrap();
    assert!(cookie.contains("; Secure"), "{cookie}");
}

#[test]
fn a_token_that_is_not_good_signs_nobody_in() {
    let app = App::start(Engine::Sqlite);
    let old = App::keys()
        .sign(
            &actor(),
            Utc::now() - Duration::hours(2),
            Duration::hours(1),
        )
        .unwrap();
    for (token, told) in [
        ("", "paste your token"),
        ("not-a-token", "is not a signed JSON Web Token"),
        (old.as_str(), "the token has expired"),
    ] {
        let reply = app
            .send_form(None, "/sign-in", &[("token", token)])
            .expect(401);
        assert!(reply.body.contains(told), "{told}: {}", reply.body);
        assert_eq!(reply.header("set-cookie"), None);
        assert!(
            token.is_empty() || !reply.body.contains(token),
            "a secret is shown"
        );
    }
    let large = "x".repeat(20_000);
    app.send_form(None, "/sign-in", &[("token", &large)])
        .expect(413);
    app.request("POST", "/sign-in")
        .json(&json!({ "token": "x" }))
        .send()
        .expect(415);
}

#[test]
fn a_session_ends_with_its_token() {
    let app = App::start(Engine::Sqlite);
    let token = App::keys()
        .sign(&actor(), Utc::now(), Duration::hours(1))
        .unwrap();
    let ask = |path: &str| {
        app.request("GET", path)
            .header("cookie", &format!("switchover_session={token}"))
            .header("accept", "text/html")
            .send()
    };
    ask("/").expect(200);
    let claims = App::keys().verify(&token).unwrap();
    app.post(
        Who::ADMIN,
        "tokens/revocations",
        &json!({ "jti": claims.jti, "reason": "lost" }),
    )
    .expect(201);
    let reply = ask("/").expect(303);
    assert_eq!(reply.header("location"), Some("/sign-in?next=%2F&ended=1"));
    let cookie = reply.header("set-cookie").unwrap();
    assert!(cookie.contains("Max-Age=0"), "{cookie}");
    let form = app
        .request("GET", "/sign-in?next=%2F&ended=1")
        .send()
        .expect(200);
    assert!(form.body.contains("Your session has ended"));
}

#[test]
fn forms_of_others_change_nothing() {
    let app = App::start(Engine::Sqlite);
    let csrf = hidden(&app.page(Who::OPERATOR, "/").body, "csrf");
    let foreign = hidden(&app.page(Who::ADMIN, "/").body, "csrf");
    assert_ne!(csrf, foreign);
    for fields in [vec![], vec![("csrf", "")], vec![("csrf", foreign.as_str())]] {
        let reply = app
            .send_form(Some(Who::OPERATOR), "/sign-out", &fields)
            .expect(403);
        assert!(
            reply.body.contains("made for another session"),
            "{}",
            reply.body
        );
    }
    for (name, value) in [
        ("sec-fetch-site", "cross-site"),
        ("sec-fetch-site", "same-site"),
        ("origin", "https://evil.example"),
        ("origin", "null"),
    ] {
        let reply = app
            .request("POST", "/sign-out")
            .header("cookie", &session(Who::OPERATOR))
            .header("content-type", "application/x-www-form-urlencoded")
            .header("accept", "text/html")
            .header(name, value)
            .body(format!("csrf={csrf}"))
            .send()
            .expect(403);
        assert!(
            reply.body.contains("sent by another site"),
            "{}",
            reply.body
        );
    }
    // Nobody is signed in, and nothing is read of what they send.
    let reply = app
        .send_form(None, "/sign-out", &[("csrf", &csrf)])
        .expect(303);
    assert_eq!(reply.header("location"), Some("/sign-in?next=%2F"));
    let reply = app
        .request("POST", "/sign-out")
        .header("referer", "http://any.example/routes/a?b=c")
        .send()
        .expect(303);
    let back = "/sign-in?next=%2Froutes%2Fa%3Fb%3Dc";
    assert_eq!(reply.header("location"), Some(back));
}

#[test]
fn the_api_takes_no_cookie() {
    let app = App::start(Engine::Sqlite);
    app.request("GET", "routes")
        .header("cookie", &session(Who::ADMIN))
        .send()
        .expect(401);
}

#[test]
fn browsers_are_told_to_run_nothing_from_elsewhere() {
    let app = App::start(Engine::Sqlite);
    for path in ["/", "/sign-in", "/nowhere"] {
        let reply = app.page(Who::VIEWER, path);
        let policy = reply.header("content-security-policy").unwrap();
        assert!(policy.starts_with("default-src 'none'"), "{policy}");
        assert!(!policy.contains("unsafe"), "{policy}");
        assert_eq!(reply.header("x-content-type-options"), Some("nosniff"));
        assert_eq!(reply.header("x-frame-options"), Some("DENY"));
        assert_eq!(reply.header("cache-control"), Some("no-store"));
        assert!(reply.body.starts_with("<!doctype html>"), "{path}");
        for refused in [" style=", "<style", " onclick=", "javascript:"] {
            assert!(!reply.body.contains(refused), "{path}: {refused}");
        }
    }
}

#[test]
fn what_is_nowhere_is_a_page_for_people_and_a_problem_for_programs() {
    let app = App::start(Engine::Sqlite);
    let page = app.page(Who::VIEWER, "/nowhere").expect(404);
    assert!(
        page.body.contains("There is no such thing"),
        "{}",
        page.body
    );
    assert_eq!(app.get("/nowhere").code(404), "not_found");
    assert_eq!(app.get("/api/v1/nowhere").code(404), "not_found");
    let post = app
        .request("POST", "/api/v1/environments/dev")
        .by(Who::ADMIN)
        .send();
    assert_eq!(post.code(405), "method_not_allowed");
}

#[test]
fn the_style_sheet_and_the_script_are_kept_by_browsers() {
    let app = App::start(Engine::Sqlite);
    let page = app.page(Who::VIEWER, "/").expect(200).body;
    for (start, kind) in [
        (
            "<link rel=\"stylesheet\" href=\"",
            "text/css; charset=utf-8",
        ),
        ("<script src=\"", "text/javascript; charset=utf-8"),
    ] {
        let (_, rest) = page.split_once(start).unwrap();
        let address = rest.split_once('"').unwrap().0;
        assert!(address.contains("?v="), "{address}");
        let asset = app.request("GET", address).send().expect(200);
        assert_eq!(asset.header("content-type"), Some(kind));
        assert!(asset.header("cache-control").unwrap().contains("immutable"));
        // Nothing is fetched from elsewhere.
        assert!(!asset.body.contains("http://") && !asset.body.contains("https://"));
    }
}

fn actor() -> Actor {
    Actor {
        subject: "temp@example.com".to_owned(),
        role: Role::Operator,
    }
}
