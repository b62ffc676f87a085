//! What a client reports of itself and of its calls.

use std::collections::BTreeMap;
use std::thread;
use std::time::{Duration, Instant};

use switchover::{Client, Pace, Path, Role, Route, RouteCounts, Source, testing};
use tracing::Level;

use crate::logs;
use crate::server::{Answer, Report, Server, eventually, pace};
use crate::{OFF, ON, PATIENCE};

pub(crate) fn call(route: &Route, result: Result<(), ()>) {
    let _ = route.call("a").old(|| result).new(|| result).run();
}

/// What a server makes of the reports: each sequence of each instance counts once.
pub(crate) fn counted(reports: &[Report]) -> Vec<RouteCounts> {
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

pub(crate) fn sum(rows: &[RouteCounts], of: impl Fn(&RouteCounts) -> u64) -> u64 {
    rows.iter().map(of).sum()
}

pub(crate) fn started(server: &Server) -> (Client, Route) {
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
fn a_young_change_is_reported_soon_if_there_is_something_to_tell() {
    let server = Server::start();
    server.set("blame", ON);
    let seldom = Pace {
        report: Duration::from_secs(100_000),
        ..pace()
    };
    let mut old = seldom;
    old.young = Duration::ZERO;
    for (pace, is_soon) in [(seldom, true), (old, false)] {
        let before = server.reports().len();
        let client = server.builder().pace(pace).start().unwrap();
        let route = client.route("blame");
        assert!(client.wait_ready(PATIENCE));
        thread::sleep(Duration::from_millis(60));
        assert_eq!(server.reports().len(), before, "there is nothing to tell");
        call(&route, Ok(()));
        match is_soon {
            true => eventually("it is told", || server.reports().len() > before),
            false => thread::sleep(Duration::from_millis(60)),
        }
        let after = server.reports();
        assert_eq!(
            sum(&counted(&after[before..]), |row| row.calls),
            u64::from(is_soon)
        );
        drop(client);
    }
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
fn an_outage_loses_nothing_and_costs_no_memory() {
    let server = Server::start();
    server.set("blame", ON);
    let (client, route) = started(&server);
    call(&route, Ok(()));
    server.answer_reports(Answer::Status("503 Service Unavailable"));
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                // An hour at 5 s a report, at a hundredth of that.
                for _ in 0..180 {
                    for n in 0..100 {
                        call(&route, if n == 0 { Err(()) } else { Ok(()) });
                    }
                    thread::sleep(Duration::from_millis(10));
                }
            });
        }
    });
    assert!(!client.flush(PATIENCE), "the server has not taken it");
    let during = server.reports();
    let last = during.last().unwrap();
    let same = during
        .iter()
        .filter(|report| report.batch.sequence == last.batch.sequence);
    assert!(
        same.count() > 20,
        "what waits is one report, and it does not grow"
    );
    server.answer_reports(Answer::Well);
    assert!(client.flush(PATIENCE));
    let reports = server.reports();
    let rows = counted(&reports);
    assert_eq!(sum(&rows, |row| row.calls), 72_001);
    assert_eq!(sum(&rows, |row| row.errors), 720);
    let after = reports.last().unwrap();
    assert!(after.batch.sequence <= last.batch.sequence + 2);
    assert!(after.body.len() < 64 * 1024);
}

#[test]
fn a_refused_report_is_dropped_with_one_line() {
    logs::listen();
    let server = Server::start();
    server.set("blame", ON);
    let (client, route) = started(&server);
    assert!(client.flush(PATIENCE));
    server.answer_reports(Answer::Status("422 Unprocessable Content"));
    for _ in 0..3 {
        call(&route, Ok(()));
        assert!(client.flush(PATIENCE), "there is nothing left to send");
    }
    server.answer_reports(Answer::Well);
    call(&route, Ok(()));
    assert!(client.flush(PATIENCE));
    // One that was due by itself may have come after it, with nothing to count.
    let reports = server.reports();
    let mut batches = reports.iter().rev().map(|report| &report.batch);
    let last = batches.find(|batch| !batch.counts.is_empty()).unwrap();
    assert_eq!(last.counts.len(), 1);
    let lines = logs::with(Level::WARN, &server.url());
    let refusals = lines
        .iter()
        .filter(|line| line.contains("refuses a report"));
    assert_eq!(refusals.count(), 1, "{lines:?}");
}

#[test]
fn whom_the_server_refuses_keeps_what_it_has_counted() {
    for status in [
        "401 Unauthorized",
        "404 Not Found",
        "429 Too Many Requests",
        "500 Oh",
    ] {
        let server = Server::start();
        server.set("blame", ON);
        let (client, route) = started(&server);
        assert!(client.flush(PATIENCE));
        server.answer_reports(Answer::Status(status));
        call(&route, Ok(()));
        assert!(!client.flush(PATIENCE));
        server.answer_reports(Answer::Well);
        assert!(client.flush(PATIENCE));
        assert_eq!(
            sum(&counted(&server.reports()), |row| row.calls),
            1,
            "{status}"
        );
    }
}

#[test]
fn each_form_of_a_rollout_is_counted_apart() {
    let server = Server::start();
    server.set("blame", ON);
    let (client, route) = started(&server);
    assert!(client.flush(PATIENCE));
    server.answer_reports(Answer::Status("503 Service Unavailable"));
    let forms = [OFF, ON];
    // More changes than may wait apart.
    for n in 0..15_u64 {
        for _ in 0..=n {
            call(&route, Ok(()));
        }
        let form = forms[usize::try_from(n).unwrap() % 2];
        server.set("blame", form);
        let path = if form == ON { Path::New } else { Path::Old };
        eventually("it is applied", || route.path("a") == path);
    }
    server.answer_reports(Answer::Well);
    assert!(client.flush(PATIENCE));
    let rows = counted(&server.reports());
    assert_eq!(sum(&rows, |row| row.calls), (1..=15_u64).sum::<u64>());
    let mut revisions = BTreeMap::<u64, u64>::new();
    for row in &rows {
        *revisions.entry(row.revision).or_default() += row.calls;
    }
    assert!(revisions.len() > 8, "{revisions:?}");
    // Where too many wait, one goes on for those after it: what is judged by a form never comes from
    // one before it.
    let ends = revisions.keys().skip(1).copied().chain([17]);
    for ((revision, calls), end) in revisions.iter().zip(ends) {
        let made: u64 = (*revision..end).map(|revision| revision - 1).sum();
        assert_eq!(*calls, made, "{revision}: {revisions:?}");
    }
    call(&route, Ok(()));
    assert!(client.flush(PATIENCE));
    let last = server.reports();
    assert_eq!(last.last().unwrap().batch.counts[0].revision, 17);
}

#[test]
fn calls_by_the_ramp_are_counted_apart() {
    let server = Server::start();
    let ramp = r#"{"flag":"B","stage":"opt_in","setting":{"mode":"ramp","percent":50}}"#;
    let ask = ramp.replace("\"stage\"", r#""include":["vip"],"stage""#);
    server.set("blame", ramp);
    server.set("asked", &ask.replace("\"B\"", "\"A\""));
    server.set("full", &ramp.replace("50", "100").replace("\"B\"", "\"F\""));
    let (client, blame) = started(&server);
    let (asked, full) = (client.route("asked"), client.route("full"));
    let run = |route: &Route, key: Option<&str>| {
        let call = route.call(key).old(|| Ok::<(), ()>(())).new(|| Err(()));
        let _ = call.run();
    };
    for n in 0..100 {
        for route in [&blame, &asked] {
            run(route, Some(&n.to_string()));
        }
    }
    for route in [&blame, &asked, &full] {
        run(route, None);
    }
    run(&asked, Some("vip"));
    drop(testing::force(&blame, Path::New));
    {
        let _forced = testing::force(&blame, Path::New);
        run(&blame, Some("1"));
    }
    assert!(client.flush(PATIENCE));
    let rows = counted(&server.reports());
    for name in ["blame", "asked"] {
        let of: Vec<_> = rows
            .iter()
            .filter(|row| row.route.as_str() == name)
            .cloned()
            .collect();
        assert_eq!(sum(&of, |row| row.ramp.trials), 100, "{name}");
        for row in of {
            let failed = if row.path == Path::New {
                row.ramp.trials
            } else {
                0
            };
            assert_eq!(row.ramp.violations, failed);
            assert_eq!(
                row.calls,
                row.ramp.trials + 1,
                "{name}: one that the ramp did not send"
            );
        }
    }
    let full: Vec<_> = rows
        .iter()
        .filter(|row| row.route.as_str() == "full")
        .collect();
    assert_eq!((full[0].calls, full[0].ramp.trials), (1, 1));
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
