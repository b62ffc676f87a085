//! What happens between a plan and its end: somebody else changes something, a connection is cut.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use serde_json::{Value, json};

use super::{apply, outcomes, write};
use crate::support::{App, Engine, Place, Who, on_both_engines};

on_both_engines!(
    what_somebody_changed_meanwhile_is_not_overwritten,
    a_change_of_something_else_is_no_reason_to_stop,
    a_cut_connection_does_nothing_twice,
    what_is_always_too_late_is_given_up,
    a_cohort_grows_after_the_rollouts_that_drop_it,
);

/// What becomes of a request on its way: `Some` passes it on, and says whether its answer comes back.
type OnTheWay = dyn Fn(&str) -> bool + Send + Sync;

/// Stands between the program and a server; takes one request per connection.
fn between(app: &Arc<App>, on_the_way: Box<OnTheWay>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let server = app.address().to_owned();
    let on_the_way: Arc<OnTheWay> = Arc::from(on_the_way);
    std::thread::spawn(move || {
        for client in listener.incoming() {
            let (server, on_the_way) = (server.clone(), Arc::clone(&on_the_way));
            std::thread::spawn(move || pass(client.unwrap(), &server, &*on_the_way));
        }
    });
    address
}

fn pass(mut client: TcpStream, server: &str, on_the_way: &OnTheWay) {
    let Some(request) = read_request(&mut client) else {
        return;
    };
    let first = request.lines().next().unwrap_or_default().to_owned();
    let answers = on_the_way(&first);
    let mut upstream = TcpStream::connect(server).unwrap();
    let request = request.replacen("\r\n", "\r\nConnection: close\r\n", 1);
    upstream.write_all(request.as_bytes()).unwrap();
    let mut answer = Vec::new();
    upstream.read_to_end(&mut answer).unwrap();
    if answers {
        let _ = client.write_all(&answer);
    }
}

fn read_request(client: &mut TcpStream) -> Option<String> {
    let mut seen = Vec::new();
    let mut chunk = [0; 4096];
    loop {
        let text = String::from_utf8(seen.clone()).unwrap();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = head.lines().find_map(|line| {
                let (name, value) = line.split_once(": ")?;
                name.eq_ignore_ascii_case("content-length")
                    .then(|| value.parse().unwrap())
            });
            if body.len() >= length.unwrap_or(0) {
                return Some(text);
            }
        }
        match client.read(&mut chunk) {
            Ok(0) | Err(_) => return None,
            Ok(read) => seen.extend_from_slice(&chunk[..read]),
        }
    }
}

const TWO_STAGES: &str = "version: 1\nroutes: {a: {rollouts: {dev: {stage: opt_out}}}}\n";

fn setting(app: &App, body: Value) {
    app.set("a", "dev", body).expect(200);
}

fn what_somebody_changed_meanwhile_is_not_overwritten(engine: Engine) {
    let app = Arc::new(App::start(engine));
    app.route("a");
    let (other, seen) = (Arc::clone(&app), AtomicU32::new(0));
    let address = between(
        &app,
        Box::new(move |request| {
            if request.starts_with("POST") && seen.fetch_add(1, Ordering::SeqCst) == 1 {
                setting(&other, json!({ "mode": "off" }));
            }
            true
        }),
    );
    let place = Place::with_server_at(&address, Who::ADMIN);
    let file = write(&place, TWO_STAGES);
    let done = apply(&place, &file, &["--json"]);
    assert_eq!(done.status, 1, "{}{}", done.out, done.err);
    assert_eq!(outcomes(&done), ["a in dev: changed"]);
    assert!(done.out.contains("somebody has changed it"), "{}", done.out);
    let rollout = app.rollout("a", "dev");
    assert_eq!(rollout["stage"], "opt_in");
    assert_eq!(rollout["setting"]["mode"], "off");
}

fn a_change_of_something_else_is_no_reason_to_stop(engine: Engine) {
    let app = Arc::new(App::start(engine));
    app.route("a");
    let (other, seen) = (Arc::clone(&app), AtomicU32::new(0));
    let address = between(
        &app,
        Box::new(move |request| {
            if request.starts_with("POST") && seen.fetch_add(1, Ordering::SeqCst) == 1 {
                // There and back: the tag is another, and what it stands for is the same.
                setting(&other, json!({ "mode": "off" }));
                setting(&other, json!({ "mode": "stage_default" }));
            }
            true
        }),
    );
    let place = Place::with_server_at(&address, Who::ADMIN);
    let file = write(&place, TWO_STAGES);
    let done = apply(&place, &file, &[]);
    assert_eq!(done.status, 0, "{}{}", done.out, done.err);
    assert_eq!(app.rollout("a", "dev")["stage"], "opt_out");
}

fn a_cut_connection_does_nothing_twice(engine: Engine) {
    let app = Arc::new(App::start(engine));
    app.route("a");
    let seen = AtomicU32::new(0);
    // Each change is carried out, and every other answer is lost.
    let address = between(
        &app,
        Box::new(move |request| {
            request.starts_with("GET") || seen.fetch_add(1, Ordering::SeqCst) % 2 == 1
        }),
    );
    let place = Place::with_server_at(&address, Who::ADMIN);
    let file = write(
        &place,
        "version: 1\ncohorts: {beta: {keys: [7]}}\nroutes:\n  a: {owner: me, rollouts: {dev: {stage: \
         opt_out, setting: {mode: ramp, percent: 5}, include_cohorts: [beta]}}}\n  b: {endpoint: x.Y/B, \
         operation: read, owner: o, policy: open}\n",
    );
    let before = app.audit_count();
    let done = apply(&place, &file, &[]);
    assert_eq!(done.status, 0, "{}{}", done.out, done.err);
    let steps = done.out.lines().filter(|line| line.starts_with("done"));
    // One entry of the record for each step that is told, however often it was sent.
    assert_eq!(
        app.audit_count() - before,
        i64::try_from(steps.count()).unwrap()
    );
    assert_eq!(app.rollout("a", "dev")["stage"], "opt_out");
    assert_eq!(app.rollout("a", "dev")["setting"]["percent"], 5);
}

fn what_is_always_too_late_is_given_up(engine: Engine) {
    let app = Arc::new(App::start(engine));
    app.route("a");
    let (other, seen) = (Arc::clone(&app), Arc::new(AtomicU32::new(0)));
    let sent = Arc::clone(&seen);
    let address = between(
        &app,
        Box::new(move |request| {
            if request.starts_with("POST") && request.contains("/promotions") {
                seen.fetch_add(1, Ordering::SeqCst);
                setting(&other, json!({ "mode": "off" }));
                setting(&other, json!({ "mode": "stage_default" }));
            }
            true
        }),
    );
    let place = Place::with_server_at(&address, Who::ADMIN);
    let file = write(&place, TWO_STAGES);
    let done = apply(&place, &file, &["--json"]);
    assert_eq!(done.status, 1, "{}{}", done.out, done.err);
    assert_eq!(outcomes(&done), ["a in dev: refused"]);
    assert_eq!(sent.load(Ordering::SeqCst), 4);
    assert_eq!(app.rollout("a", "dev")["stage"], "ready_for_testing");
}

fn a_cohort_grows_after_the_rollouts_that_drop_it(engine: Engine) {
    let app = App::start(engine);
    app.route("a");
    app.bring("a", &["dev"], "opt_in");
    app.set("a", "dev", json!({ "mode": "ramp", "percent": 0 }))
        .expect(200);
    let place = Place::with_server_at(app.address(), Who::ADMIN);
    let file = |keys: &str, cohorts: &str| {
        let text = format!(
            "version: 1\ncohorts: {{beta: {{keys: [{keys}]}}}}\nroutes: {{a: {{rollouts: {{dev: \
             {{include_cohorts: [{cohorts}]}}}}}}}}\n"
        );
        write(&place, &text)
    };
    let first = apply(&place, &file("1", "beta"), &[]);
    assert_eq!(first.status, 0, "{}{}", first.out, first.err);
    let second = file("2", "");
    let done = apply(&place, &second, &["--json"]);
    assert_eq!(done.status, 0, "{}{}", done.out, done.err);
    assert_eq!(
        outcomes(&done),
        ["beta: done", "a in dev: done", "beta: done"]
    );
    assert_eq!(app.rollout("a", "dev")["include"], json!([]));
    assert_eq!(apply(&place, &second, &[]).status, 0);
}
