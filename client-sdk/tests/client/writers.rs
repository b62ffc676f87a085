//! What a process tells the server of its data routes, and what it does when it is asked.

use std::collections::BTreeSet;
use std::fs;
use std::time::{Duration, Instant};

use switchover::{
    Cause, Client, DataRoute, Path, Repair, RepairState, Rollout, Unverified, WriterAnswer,
    WriterOrder, WriterRoute,
};
use tempfile::TempDir;

use crate::PATIENCE;
use crate::server::{Answer, Server, eventually};
use crate::stores::{Manner, Shelf};
use crate::writes::{held, rollout};

struct Writing {
    server: Server,
    client: Client,
    data: DataRoute,
    old: Shelf,
    new: Shelf,
    spool: TempDir,
}

fn json(rollout: &Rollout) -> String {
    serde_json::to_string(rollout).unwrap()
}

/// A process with a data route that the server knows of, double-writing from the old store.
fn writing() -> Writing {
    let server = Server::start();
    server.set("gear", &json(&rollout(Path::Old, 100)));
    let spool = tempfile::tempdir().unwrap();
    let client = server.builder().spool_dir(spool.path()).start().unwrap();
    let (old, new) = (Shelf::default(), Shelf::default());
    let route = client.route("gear");
    let data = route.stores(old.clone(), new.clone()).unwrap();
    assert!(data.wait_ready(crate::PATIENCE));
    Writing {
        server,
        client,
        data,
        old,
        new,
        spool,
    }
}

impl Writing {
    fn write(&self, key: &str, row: &str) {
        let (old, new) = (&self.old, &self.new);
        let write = self.data.write(key);
        let write = write.old(|_| {
            old.set(key, row);
            Ok::<_, String>(())
        });
        write
            .new(|_| {
                new.set(key, row);
                Ok(())
            })
            .run()
            .unwrap();
    }

    fn last(&self) -> WriterRoute {
        self.server
            .told()
            .last()
            .unwrap()
            .0
            .routes
            .first()
            .unwrap()
            .clone()
    }

    fn was_told(&self, is_so: impl Fn(&WriterRoute) -> bool) -> Option<Instant> {
        let told = self.server.told();
        let mut told = told.iter();
        told.find(|(report, _)| is_so(report.routes.first().unwrap()))
            .map(|(_, at)| *at)
    }

    fn was_told_of(&self, state: RepairState) -> Option<Repair> {
        let told = self.server.told();
        let routes = told.iter().flat_map(|(told, _)| &told.routes);
        let mut repairs = routes.flat_map(|route| &route.repairs);
        repairs.find(|repair| repair.state == state).cloned()
    }
}

#[test]
fn a_hold_that_nothing_stands_against_is_answered_at_once() {
    let writing = writing();
    writing.write("a", "1");
    eventually("it is copied", || writing.new.get("a").is_some());
    eventually("nothing is under way", || {
        writing.data.status().under_way == 0
    });
    let mut fastest = Duration::MAX;
    for generation in 2..12 {
        let mut hold = held(Path::Old);
        hold.generation = generation;
        writing.server.set("gear", &json(&hold));
        let began = Instant::now();
        let drained = Some(generation);
        eventually("it says so", || {
            writing.was_told(|route| route.drained == drained).is_some()
        });
        let at = writing.was_told(|route| route.drained == drained).unwrap();
        fastest = fastest.min(at.saturating_duration_since(began));
        let mut lifted = rollout(Path::Old, 100);
        lifted.generation = generation;
        writing.server.set("gear", &json(&lifted));
    }
    println!("from the hold to the report: {fastest:?}");
    assert!(fastest < Duration::from_millis(50), "{fastest:?}");
}

#[test]
fn a_hold_waits_for_a_copy_that_hangs_and_for_a_repair_of_a_key_that_moves() {
    let writing = writing();
    writing.new.behave(Manner::Hangs);
    writing.write("hangs", "1");
    writing.server.set("gear", &json(&held(Path::Old)));
    eventually("the hold is heard", || writing.data.status().is_held);
    std::thread::sleep(Duration::from_millis(100));
    assert_eq!(writing.was_told(|route| route.drained.is_some()), None);
    writing.new.behave(Manner::Fails);
    eventually("the repair is told", || {
        writing.was_told_of(RepairState::Open).is_some()
    });
    assert_eq!(writing.was_told(|route| route.drained.is_some()), None);
    writing.new.behave(Manner::Well);
    eventually("it is drained", || {
        writing.was_told(|route| route.drained == Some(2)).is_some()
    });
    assert_eq!(writing.new.get("hangs"), Some("1".to_owned()));
}

#[test]
fn a_failed_copy_is_repaired_and_the_server_hears_of_both() {
    let writing = writing();
    writing.new.behave(Manner::Fails);
    writing.write("a", "1");
    eventually("it is told", || {
        writing.was_told_of(RepairState::Open).is_some()
    });
    let repair = writing.was_told_of(RepairState::Open).unwrap();
    assert_eq!(
        (repair.cause, repair.written, repair.generation),
        (Cause::Failed, Path::Old, 1)
    );
    assert_eq!(writing.data.status().open_repairs, 1);
    writing.new.behave(Manner::Well);
    eventually("it is resolved", || {
        writing.was_told_of(RepairState::Resolved).is_some()
    });
    assert_eq!(writing.new.get("a"), Some("1".to_owned()));
    assert_eq!(writing.data.repairs(), []);
}

#[test]
fn orders_are_obeyed() {
    let writing = writing();
    writing.old.set("left", "1");
    let order = |repairs: Vec<Repair>, settled: Vec<String>| WriterAnswer {
        orders: vec![WriterOrder {
            route: "gear".parse().unwrap(),
            repairs,
            settled,
            verified: false,
            consistency: None,
        }],
        ..WriterAnswer::default()
    };
    let repair = Repair {
        key: "left".to_owned(),
        written: Path::Old,
        generation: 1,
        cause: Cause::Interrupted,
        state: RepairState::Open,
        attempts: 3,
        failed_at: None,
        age_ms: 60_000,
    };
    writing.server.order(order(vec![repair], vec![]));
    writing.new.behave(Manner::Fails);
    // Something to report, so that it asks.
    writing.write("a", "1");
    eventually("it is taken over", || writing.data.repairs().len() == 2);
    writing.server.order(order(vec![], vec!["a".to_owned()]));
    writing.write("b", "1");
    eventually("a is settled", || {
        let repairs = writing.data.repairs();
        repairs.iter().any(|repair| repair.key == "b")
            && repairs.iter().all(|repair| repair.key != "a")
    });
    writing.new.behave(Manner::Well);
    eventually("all are repaired", || writing.data.repairs().is_empty());
    assert_eq!(writing.new.get("left"), Some("1".to_owned()));
    let told = writing.server.told();
    let mut repairs = told.iter().flat_map(|(told, _)| &told.routes[0].repairs);
    eventually("the server hears that the one it gave is resolved", || {
        let is_left = |repair: &&Repair| repair.key == "left";
        repairs.by_ref().any(|repair| is_left(&repair))
            || writing.was_told_of(RepairState::Resolved).is_some()
    });
}

#[test]
fn a_halt_puts_the_copies_under_way_at_risk_and_they_are_looked_at() {
    let server = Server::start();
    server.set("gear", &json(&rollout(Path::New, 100)));
    let client = server.client();
    let (old, new) = (Shelf::default(), Shelf::default());
    let data = client
        .route("gear")
        .stores(old.clone(), new.clone())
        .unwrap();
    assert!(data.wait_ready(crate::PATIENCE));
    old.behave(Manner::Hangs);
    for key in ["same", "other"] {
        let write = data.write(key).old(|_| Ok::<_, String>(()));
        write
            .new(|_| {
                new.set(key, "1");
                Ok(())
            })
            .run()
            .unwrap();
    }
    eventually("the copies hang", || data.status().under_way == 2);
    let mut halted = rollout(Path::New, 100);
    halted.halted = true;
    halted.generation = 2;
    server.set("gear", &json(&halted));
    eventually("the halt is heard", || data.status().generation == 2);
    old.set("same", "1");
    old.behave(Manner::Well);
    eventually("both are told", || {
        let told = server.told();
        let repairs = told.iter().flat_map(|(told, _)| &told.routes[0].repairs);
        let at_risk = repairs.filter(|repair| repair.cause == Cause::AtRisk);
        let resolved = at_risk.filter(|repair| repair.state == RepairState::Resolved);
        // What was not known to have arrived is told again.
        let keys: BTreeSet<&str> = resolved.map(|repair| repair.key.as_str()).collect();
        keys.len() == 2
    });
    assert_eq!(data.repairs(), []);
    assert_eq!(old.get("other"), Some("1".to_owned()));
}

#[test]
fn what_is_written_without_contact_is_looked_at_when_it_is_back() {
    let server = Server::start();
    server.set("gear", &json(&rollout(Path::Old, 100)));
    server.answer_writers(Answer::Status("503 Service Unavailable"));
    let client = server.client();
    let (old, new) = (Shelf::default(), Shelf::default());
    let data = client
        .route("gear")
        .stores(old.clone(), new.clone())
        .unwrap();
    assert!(client.wait_ready(PATIENCE));
    let write = |key: &str| {
        let write = data.write(key).old(|_| {
            old.set(key, "1");
            Ok::<_, String>(())
        });
        write
            .new(|_| {
                new.set(key, "1");
                Ok(())
            })
            .run()
            .unwrap();
    };
    write("a");
    write("b");
    assert!(!data.status().is_in_contact);
    let causes = data.repairs().into_iter().map(|repair| repair.cause);
    assert_eq!(causes.collect::<Vec<_>>(), [Cause::AtRisk, Cause::AtRisk]);
    assert_eq!(new.get("a"), None);
    // Meanwhile `b` has moved, and was written by somebody else.
    new.set("b", "theirs");
    let mut moved = rollout(Path::Old, 100);
    moved.generation = 3;
    moved.setting = switchover::Setting::StageDefault;
    moved.exclude = [Box::from("a")].into();
    server.set("gear", &json(&moved));
    eventually("it is heard", || data.status().generation == 3);
    server.answer_writers(Answer::Well);
    eventually("a is copied", || new.get("a").is_some());
    eventually("b is a conflict", || {
        let repairs = data.repairs();
        repairs.len() == 1 && repairs[0].state == RepairState::Conflict
    });
    assert_eq!(new.get("b"), Some("theirs".to_owned()));
    assert_eq!(old.get("b"), Some("1".to_owned()));
}

#[test]
fn a_process_says_goodbye_and_leaves_what_is_open() {
    let writing = writing();
    assert_eq!(writing.last().unverified, None);
    writing.new.behave(Manner::Fails);
    writing.write("a", "1");
    eventually("it is told", || {
        writing.was_told_of(RepairState::Open).is_some()
    });
    writing.client.shutdown();
    let (goodbye, _) = writing.server.told().last().unwrap().clone();
    assert!(goodbye.ends);
    // Whoever writes on is not waited for any more: it is noted, and not copied.
    writing.write("b", "1");
    let files = || fs::read_dir(writing.spool.path()).unwrap().count();
    assert_eq!(files(), 1);
    let Writing {
        server,
        client,
        data,
        old,
        new,
        spool,
    } = writing;
    drop((client, data));
    // Its threads hold the file for a moment yet.
    eventually("the file is free", || {
        let mut files = fs::read_dir(spool.path()).unwrap();
        let file = fs::File::open(files.next().unwrap().unwrap().path());
        file.unwrap().try_lock().is_ok()
    });
    let client = server.builder().spool_dir(spool.path()).start().unwrap();
    new.behave(Manner::Well);
    let data = client
        .route("gear")
        .stores(old.clone(), new.clone())
        .unwrap();
    eventually("both are copied", || {
        data.repairs().is_empty() && data.status().is_in_contact
    });
    assert_eq!(new.get("a").as_deref(), Some("1"));
    assert_eq!(new.get("b").as_deref(), Some("1"));
}

#[test]
fn without_a_spool_it_says_so() {
    let server = Server::start();
    server.set("gear", &json(&rollout(Path::Old, 100)));
    let client = server.client();
    let _data = client
        .route("gear")
        .stores(Shelf::default(), Shelf::default());
    eventually("it is told", || {
        let told = server.told();
        told.iter()
            .any(|(told, _)| told.routes[0].unverified == Some(Unverified::NoSpool))
    });
}

#[test]
fn no_row_and_no_text_of_an_error_leaves_the_process() {
    let writing = writing();
    writing.new.behave(Manner::Fails);
    writing.write("key-1", "SECRET-ROW");
    eventually("it is told", || {
        writing.was_told_of(RepairState::Open).is_some()
    });
    writing.client.flush(PATIENCE);
    writing.client.shutdown();
    let told = writing.server.told();
    let told = told
        .iter()
        .map(|(told, _)| serde_json::to_string(told).unwrap());
    let reports = writing.server.reports();
    let reports = reports
        .iter()
        .map(|report| String::from_utf8_lossy(&report.body).into_owned());
    let all: Vec<String> = told.chain(reports).collect();
    assert!(all.iter().any(|text| text.contains("key-1")));
    assert!(!all.iter().any(|text| text.contains("SECRET")), "{all:?}");
}

#[test]
fn more_than_the_spool_holds_is_unverified_and_writes_go_on() {
    let writing = writing();
    writing.new.behave(Manner::Fails);
    for n in 0..10_100 {
        writing.write(&n.to_string(), "1");
    }
    eventually("it is told", || {
        writing.last().unverified == Some(Unverified::SpoolFull)
    });
    assert_eq!(
        writing.data.status().unverified,
        Some(Unverified::SpoolFull)
    );
    eventually("every copy has failed", || {
        writing.data.status().open_repairs == 10_000
    });
    assert_eq!(writing.old.get("10099").as_deref(), Some("1"));
    // All of them are told, by and by, 200 in a report.
    eventually("the server knows all", || {
        let told = writing.server.told();
        let repairs = told.iter().map(|(told, _)| told.routes[0].repairs.len());
        repairs.sum::<usize>() >= 10_000
    });
    let most = writing.server.told();
    let most = most.iter().map(|(told, _)| told.routes[0].repairs.len());
    assert_eq!(most.max(), Some(200));
    writing.server.order(WriterAnswer {
        orders: vec![WriterOrder {
            route: "gear".parse().unwrap(),
            repairs: vec![],
            settled: vec![],
            verified: true,
            consistency: None,
        }],
        ..WriterAnswer::default()
    });
    eventually("it is verified", || {
        writing.data.status().unverified.is_none()
    });
}

#[test]
fn a_halt_lists_what_was_written_since_the_last_confirmation_and_so_does_having_been_gone() {
    let server = Server::start();
    server.set("gear", &json(&rollout(Path::New, 100)));
    let client = server.client();
    let (old, new) = (Shelf::default(), Shelf::default());
    let data = client
        .route("gear")
        .stores(old.clone(), new.clone())
        .unwrap();
    assert!(data.wait_ready(PATIENCE));
    let write = |key: &str| {
        let write = data.write(key).old(|_| {
            old.set(key, "1");
            Ok::<_, String>(())
        });
        write
            .new(|_| {
                new.set(key, "1");
                Ok(())
            })
            .run()
            .unwrap();
        eventually("it is copied", || old.get(key) == new.get(key));
    };
    let is_listed = |key: &str| {
        let told = server.told();
        let routes = told.iter().flat_map(|(told, _)| &told.routes);
        let mut repairs = routes.flat_map(|route| &route.repairs);
        repairs.any(|repair| {
            (repair.key.as_str(), repair.cause) == (key, Cause::AtRisk)
                && repair.state == RepairState::Resolved
        })
    };
    write("halted");
    let mut halted = rollout(Path::New, 100);
    halted.halted = true;
    halted.generation = 2;
    server.set("gear", &json(&halted));
    eventually("the halt is heard", || data.status().generation == 2);
    eventually("it is listed", || is_listed("halted"));
    write("gone");
    server.order(WriterAnswer {
        was_gone: true,
        ..WriterAnswer::default()
    });
    eventually("it is listed too", || is_listed("gone"));
    assert!(data.wait_ready(PATIENCE));
    assert_eq!(data.repairs(), []);
}
