//! Forms that are not sent from a page of ours, or not by who may send them.

use switchover_server::domain::actor::Role;
use switchover_server::page_forms;

use super::person::{Filled, Person};
use super::{address, app, dev};
use crate::support::{App, Who};

/// Every address that a form of the page is sent to.
fn addresses() -> impl Iterator<Item = (String, Role)> {
    page_forms().map(|(pattern, role)| (address(&pattern, "w"), role))
}

/// A form as an admin has it, sent to this address.
fn filled(person: &Person<'_>, path: &str) -> Filled {
    person
        .form(path)
        .with("reason", "test")
        .with("step", "apply")
}

fn state(app: &App) -> (i64, String) {
    (app.audit_count(), app.get("routes/w").body)
}

#[test]
fn nothing_is_taken_without_the_sessions_own_token() {
    let app = app();
    let ada = Person::signed_in(&app, Who::ADMIN);
    let other = Person::signed_in(&app, Who::MAINTAINER).form(&dev("halt"));
    let before = state(&app);
    for (path, _) in addresses() {
        let form = filled(&ada, &path);
        for forged in [
            form.without("csrf"),
            form.with("csrf", ""),
            form.with("csrf", "x"),
            form.with("csrf", other.get("csrf")),
        ] {
            let reply = ada.send(&forged);
            assert_eq!(reply.status, 403, "{path}: {}", reply.body);
        }
        for origin in ["https://elsewhere.example", "null"] {
            let reply = ada.send_from(&form, Some(origin));
            assert_eq!(reply.status, 403, "{path} from {origin}: {}", reply.body);
        }
    }
    assert_eq!(state(&app), before);
}

#[test]
fn nothing_is_taken_from_who_may_not_send_it() {
    let app = app();
    let ada = Person::signed_in(&app, Who::ADMIN);
    let before = state(&app);
    for (path, needs) in addresses() {
        let form = filled(&ada, &path);
        for role in Role::ALL.into_iter().filter(|role| *role < needs) {
            let person = Person::signed_in(&app, Who::of(role));
            // A token of their own does not help.
            let own = match role {
                Role::Viewer => form.get("csrf").to_owned(),
                _ => person.form(&dev("halt")).get("csrf").to_owned(),
            };
            let reply = person.send(&form.with("csrf", &own));
            assert_eq!(reply.status, 403, "{role}: {path}: {}", reply.body);
        }
    }
    assert_eq!(state(&app), before);
}

#[test]
fn nothing_is_taken_without_a_session() {
    let app = app();
    let ada = Person::signed_in(&app, Who::ADMIN);
    let before = state(&app);
    for (path, _) in addresses() {
        let form = filled(&ada, &path);
        let reply = app
            .request("POST", &form.action)
            .header("content-type", "application/x-www-form-urlencoded")
            .body(format!("csrf={}&reason=test&step=apply", form.get("csrf")))
            .send();
        assert_eq!(reply.status, 303, "{path}: {}", reply.body);
        assert!(reply.header("location").unwrap().starts_with("/sign-in?"));
    }
    assert_eq!(state(&app), before);
}
