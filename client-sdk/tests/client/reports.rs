//! What a client reports of itself and of its calls.

use std::collections::BTreeMap;
use std::thread;
use std::time::{Duration, Instant};

use switchover::{Client, Path, Role, Route, RouteCounts, Source};

use crate::server::{Answer, Report, Server, eventually};
use crate::{OFF, ON, PATIENCE};

fn call(route: &Route, result: Result<(), ()>) {
    let _ = route.call("a").old(|| result).new(|| result).run();
}

/// What a server makes of the reports: each sequence of each instance counts once.
fn counted(reports: &[Report]) -> Vec<RouteCounts> {
    let once: BTreeMap<_, _> = reports
        .iter()
        .map(|report| {
            let batch = &report.batch;
            ((batch.instance.id.clone(), batch.sequence), batch)
        })
        .collect();
    let rows = once.values().flat_map(|batch| &batch.counts);
    rows.cloned().collect()
}

fn sum(rows: &[RouteCounts], of: impl Fn(&RouteCounts) -> u64) -> u64 {
    rows.iter().map(of).sum()
}

fn started(server: &Server) -> (Client, Route) {
    let client = server.client();
    let route = client.route("blame");
    assert!(client.wait_ready(PATIENCE));
    (client, route)
}

#[test]
fn counts_are_exact_over_threads() {
    let server = Server::start();
    server.set("blame", OFF);
    let (client, route) = started(&server);
    thread::scope(|scope| {
        for thread in 0..20 {
            let route = &route;
            scope.spawn(move || {
                for n in 0..500 {
                    call(route, if n % 5 == 0 { Err(()) } else { Ok(()) });
                    if n % 100 == thread {
                        thread::sleep(Duration::from_millis(3));
                    }
                }
            });
        }
    });
    server.set("blame", ON);
    eventually("it is on", || route.path("a") == Path::New);
    call(&route, Ok(()));
    assert!(client.flush(PATIENCE));
    let reports = server.reports();
    assert!(reports.len() > 2, "it reports while it counts");
    let rows = counted(&reports);
    let of = |path| -> Vec<RouteCounts> {
        let rows = rows.iter().filter(|row| row.path == path);
        rows.cloned().collect()
    };
    let (old, new) = (of(Path::Old), of(Path::New));
    assert_eq!(sum(&old, |row| row.calls), 10_000);
    assert_eq!(sum(&old, |row| row.errors), 2_000);
    assert_eq!(sum(&new, |row| row.calls), 1);
    // What was counted before the change is told apart from what was counted after it.
    assert!(old.iter().all(|row| row.revision == 2));
    assert!(new.iter().all(|row| row.revision == 3));
    assert!(rows.iter().all(|row| row.role == Role::Authoritative));
    let sequences = reports.iter().map(|report| report.batch.sequence);
    assert!(sequences.eq(1..=u64::try_from(reports.len()).unwrap()));
}

#[test]
fn a_process_says_who_it_is_and_goes_on_saying_that_it_is_there() {
    let server = Server::start();
    server.set("blame", OFF);
    server.set("other", &OFF.replace("BLAME", "OTHER"));
    let variables = [
        ("GITALY_BLAME", "1"),
        ("GITALY_OTHER", "0"),
        ("GITALY_X", "1"),
    ];
    let client = server
        .builder()
        .overrides(variables.into_iter().collect())
        .application("web", "1.2.3")
        .start()
        .unwrap();
    let _route = client.route("blame");
    assert!(client.wait_ready(PATIENCE));
    eventually("it is heard of", || server.reports().len() > 3);
    assert!(client.flush(PATIENCE));
    let reports = server.reports();
    let last = &reports.last().unwrap().batch;
    let instance = &last.instance;
    assert_eq!(
        (&*instance.application, &*instance.version),
        ("web", "1.2.3")
    );
    assert!(instance.name.ends_with(&format!(":{}", std::process::id())));
    assert!(instance.sdk.starts_with("rust/"));
    assert_eq!(instance.snapshot.as_ref().unwrap().to_string(), "e1.3");
    assert_eq!(instance.source, Some(Source::Live));
    assert!(instance.memory_bytes.is_none_or(|bytes| bytes > 0));
    assert!(last.counts.is_empty() && !last.ends);
    let told: Vec<_> = reports
        .iter()
        .filter_map(|report| report.batch.routes.as_ref())
        .collect();
    assert!(
        told.len() < reports.len(),
        "routes are told when they change"
    );
    let routes = told.last().unwrap().iter().map(|registered| {
        (
            registered.route.as_str(),
            registered.in_code,
            registered.flag,
        )
    });
    let expected = [("blame", true, Some(true)), ("other", false, Some(false))];
    assert_eq!(routes.collect::<Vec<_>>(), expected);
}

#[test]
fn a_lost_acknowledgement_is_answered_with_the_same_bytes() {
    let server = Server::start();
    server.set("blame", ON);
    let (client, route) = started(&server);
    assert!(client.flush(PATIENCE));
    server.answer_reports(Answer::HangUp);
    for _ in 0..7 {
        call(&route, Ok(()));
    }
    let before = server.reports().len();
    eventually("it is sent again and again", || {
        server.reports().len() > before + 3
    });
    // What comes meanwhile waits.
    for _ in 0..5 {
        call(&route, Err(()));
    }
    server.answer_reports(Answer::Well);
    assert!(client.flush(PATIENCE));
    let reports = server.reports();
    let rows = counted(&reports);
    assert_eq!(
        (sum(&rows, |row| row.calls), sum(&rows, |row| row.errors)),
        (12, 5)
    );
    let mut bodies = BTreeMap::new();
    for report in &reports {
        let text = str::from_utf8(&report.body).unwrap();
        // To the byte, but for how long ago the counts were taken.
        let age = format!("\"age_ms\":{},", report.batch.age_ms);
        let bytes = text.replacen(&age, "", 1);
        assert_eq!(
            *bodies.entry(report.batch.sequence).or_insert(bytes.clone()),
            bytes
        );
    }
    assert!(bodies.len() < reports.len());
}

#[test]
fn dropping_the_last_client_says_goodbye() {
    let server = Server::start();
    server.set("blame", ON);
    let (client, route) = started(&server);
    call(&route, Ok(()));
    drop(client);
    let reports = server.reports();
    assert!(reports.last().unwrap().batch.ends);
    assert_eq!(sum(&counted(&reports), |row| row.calls), 1);
}

#[test]
fn a_server_that_hangs_does_not_hold_up_the_end() {
    let server = Server::start();
    server.set("blame", ON);
    let (client, route) = started(&server);
    call(&route, Ok(()));
    server.answer_reports(Answer::Hang);
    let began = Instant::now();
    drop(client);
    assert!(began.elapsed() < Duration::from_millis(1_500));
}

#[test]
fn without_telemetry_nothing_is_reported() {
    let server = Server::start();
    let client = server.builder().telemetry(false).start().unwrap();
    call(&client.route("blame"), Ok(()));
    assert!(client.wait_ready(PATIENCE));
    assert!(client.flush(PATIENCE));
    drop(client);
    assert!(server.reports().is_empty());
}
