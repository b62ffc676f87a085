//! A process that forks after the client has started.

use std::os::unix::process::CommandExt;
use std::process::Command;
use std::time::{Duration, Instant};

use switchover::{Client, Path, Route};

use crate::reads::{OLD, mirrored};
use crate::reports::{counted, sum};
use crate::server::{Server, eventually};
use crate::stores::Shelf;
use crate::{HALTED, OFF, ON, PATIENCE};

/// Errors of a child that never becomes another program, by which it tells how it went.
const WELL: i32 = 1_000;
const BADLY: i32 = 1_001;

/// Runs `body` in a forked child, and says how it went. The child ends without taking anything down:
/// the standard library's own locks may have been copied while another test's thread held them.
fn in_child(mut body: impl FnMut() -> bool + Send + Sync + 'static) -> bool {
    let mut command = Command::new("/nonexistent");
    // SAFETY: the child does what this test is about, and goes on in a process whose other threads
    // are gone. The C library keeps its allocator usable across a fork.
    unsafe {
        command.pre_exec(move || {
            let told = if body() { WELL } else { BADLY };
            Err(std::io::Error::from_raw_os_error(told))
        });
    }
    let told = command
        .status()
        .err()
        .and_then(|error| error.raw_os_error());
    told == Some(WELL)
}

fn waits_for(route: &Route, path: Path) -> bool {
    let end = Instant::now() + PATIENCE;
    while route.path("a") != path && Instant::now() < end {
        std::thread::sleep(Duration::from_millis(1));
    }
    route.path("a") == path
}

#[test]
fn a_child_goes_on_serving_and_follows_the_server_again() {
    let server = Server::start();
    server.set("blame", ON);
    let client = server.client();
    let route = client.route("blame");
    assert!(client.wait_ready(PATIENCE));
    eventually("the stream is open", || server.open_streams() == 1);
    let child = {
        let (client, route) = (client.clone(), route.clone());
        move || {
            let kept = route.path("a") == Path::New;
            // Asking for the status makes the child follow the server by itself.
            let knows = client.status().version.is_some() && client.wait_ready(Duration::ZERO);
            kept && knows
                && waits_for(&route, Path::Old)
                && client.route("blame").path("a") == Path::Old
        }
    };
    std::thread::scope(|scope| {
        let child = scope.spawn(|| in_child(child));
        eventually("the child has a stream of its own", || {
            server.open_streams() == 2
        });
        server.set("blame", OFF);
        assert!(child.join().unwrap());
    });
    server.set("blame", HALTED.replace("true", "false").as_str());
    eventually("the parent goes on too", || route.path("a") == Path::New);
}

/// A child with nothing but a handle from before the fork.
fn a_preforked_child_hears_of_a_halt(begins: impl Fn(&Client) + Send + Sync + 'static, asks: Asks) {
    let server = Server::start();
    server.set("blame", ON);
    let client = server.client();
    let route = client.route("blame");
    assert!(client.wait_ready(PATIENCE));
    eventually("the stream is open", || server.open_streams() == 1);
    // The forking thread is amid its calls.
    assert_eq!(asks(&route), Path::New);
    let child = {
        let (client, route) = (client.clone(), route.clone());
        move || {
            begins(&client);
            let end = Instant::now() + PATIENCE;
            while asks(&route) != Path::Old && Instant::now() < end {
                std::thread::sleep(Duration::from_micros(100));
            }
            asks(&route) == Path::Old
        }
    };
    std::thread::scope(|scope| {
        let child = scope.spawn(|| in_child(child));
        eventually("the child has a stream of its own", || {
            server.open_streams() == 2
        });
        server.set("blame", HALTED);
        assert!(child.join().unwrap());
    });
}

type Asks = fn(&Route) -> Path;

fn runs(route: &Route) -> Path {
    let call = route.call("a");
    let run = call.old(|| Ok::<_, ()>(Path::Old)).new(|| Ok(Path::New));
    run.run().unwrap()
}

#[test]
fn a_preforked_child_that_says_so_follows_the_server_though_it_only_asks_for_paths() {
    a_preforked_child_hears_of_a_halt(Client::after_fork, |route| route.path("a"));
}

#[test]
fn a_preforked_child_that_runs_calls_finds_out_by_itself() {
    a_preforked_child_hears_of_a_halt(|_| (), runs);
}

#[test]
fn after_fork_without_a_fork_does_nothing() {
    let server = Server::start();
    let client = server.client();
    assert!(client.wait_ready(PATIENCE));
    eventually("the stream is open", || server.open_streams() == 1);
    client.after_fork();
    assert!(client.wait_ready(Duration::ZERO));
    assert_eq!(server.requests().len(), 2);
}

#[test]
fn a_child_that_ends_its_client_does_not_wait_for_a_thread_that_is_not_there() {
    let server = Server::start();
    server.set("blame", ON);
    let client = server.client();
    let route = client.route("blame");
    assert!(client.wait_ready(PATIENCE));
    let mut in_child_only = Some(client.clone());
    let ended = in_child(move || {
        let began = Instant::now();
        drop::<Option<Client>>(in_child_only.take());
        client.shutdown();
        began.elapsed() < Duration::from_millis(500) && route.path("a") == Path::New
    });
    assert!(ended);
    assert!(!in_child(|| false), "a child that fails is noticed");
}

#[test]
fn a_child_reports_its_own_calls_only() {
    let server = Server::start();
    let watched = ON.replace("\"stage\"", r#""watch":{"slow_ms":[5]},"stage""#);
    server.set("blame", &watched);
    let client = server.client();
    let route = client.route("blame");
    assert!(client.wait_ready(PATIENCE));
    let run = |route: &Route| assert_eq!(runs(route), Path::New);
    (0..3).for_each(|_| run(&route));
    let child = {
        let (client, route) = (client.clone(), route.clone());
        move || {
            client.after_fork();
            (0..5).for_each(|_| run(&route));
            std::thread::sleep(Duration::from_millis(20));
            client.flush(PATIENCE)
        }
    };
    let (hangs, goes_on) = (std::sync::Barrier::new(2), std::sync::Barrier::new(2));
    std::thread::scope(|scope| {
        // A call under way in the parent is no slow one of the child's.
        scope.spawn(|| {
            let call = route.call("a").old(|| Ok::<_, ()>(()));
            let _ = call
                .new(|| {
                    hangs.wait();
                    goes_on.wait();
                    Ok(())
                })
                .run();
        });
        hangs.wait();
        assert!(in_child(child));
        goes_on.wait();
    });
    (0..2).for_each(|_| run(&route));
    assert!(client.flush(PATIENCE));
    let reports = server.reports();
    let own = format!(":{}", std::process::id());
    let (parents, childs): (Vec<_>, Vec<_>) = reports
        .into_iter()
        .partition(|report| report.batch.instance.name.ends_with(&own));
    let tell = |reports: &[crate::server::Report]| {
        let rows = counted(reports);
        let slow = rows
            .iter()
            .flat_map(|row| &row.slow)
            .map(|slow| slow.violations);
        (sum(&rows, |row| row.calls), slow.sum::<u64>())
    };
    assert_eq!(tell(&parents), (6, 1));
    assert_eq!(tell(&childs), (5, 0));
}

/// A fork while other threads use the client in every way there is.
#[test]
fn a_fork_in_the_middle_of_everything_harms_nobody() {
    let client = std::sync::Arc::new(switchover::testing::client());
    let route = client.route("blame");
    let done = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        for n in 0..2 {
            let (client, done) = (&client, &done);
            scope.spawn(move || {
                let route = client.route(format!("r{n}"));
                while !done.load(std::sync::atomic::Ordering::Relaxed) {
                    client.set("blame", Path::New);
                    let _ = route.decide("a");
                    let _ = route.call("a").old(|| Ok::<_, ()>(())).new(|| Ok(())).run();
                }
            });
        }
        eventually("it is published", || route.path("a") == Path::New);
        for _ in 0..20 {
            let (client, route) = (std::sync::Arc::clone(&client), route.clone());
            assert!(in_child(move || {
                let began = Instant::now();
                let decided = route.path("a") == Path::New && route.decide("a").path == Path::New;
                let called = route.call("a").old(|| Err(())).new(|| Ok(())).run();
                let resolved = client.route("later").path("a") == Path::Old;
                let counted = route.stats().new.calls == 1;
                decided
                    && called.is_ok()
                    && resolved
                    && counted
                    && began.elapsed() < Duration::from_secs(2)
            }));
        }
        done.store(true, std::sync::atomic::Ordering::Relaxed);
    });
}

#[test]
fn a_childs_shadows_are_its_own() {
    let server = Server::start();
    server.set("blame", &mirrored(OLD, 100));
    let client = server.client();
    let route = client.route("blame");
    assert!(client.wait_ready(PATIENCE));
    let read = |route: &Route| {
        let read = route.read("a").old(|| Ok::<_, ()>(7)).new(|| Ok(7));
        read.compare(|old, new| old == new).run() == Ok(7)
    };
    assert!(read(&route));
    let compared = |route: &Route| route.stats().new_mirror.comparisons;
    eventually("the parent's threads run", || compared(&route) == 1);
    let child = {
        let route = route.clone();
        move || {
            // The parent's threads are gone; the child finds out by itself, and meanwhile drops. Many reads
            // for each look: a lock that the fork has copied makes each wait.
            let end = Instant::now() + PATIENCE;
            while compared(&route) < 3 && Instant::now() < end {
                if !(0..300).all(|_| read(&route)) {
                    return false;
                }
                std::thread::sleep(Duration::from_millis(1));
            }
            compared(&route) >= 3 && route.stats().new_mirror.dropped > 0
        }
    };
    assert!(in_child(child));
    assert!(read(&route));
    eventually("the parent goes on", || compared(&route) == 2);
}

#[test]
fn a_child_writes_data_routes_as_a_process_of_its_own() {
    let server = Server::start();
    let rollout = crate::writes::rollout(Path::Old, 100);
    server.set("gear", &serde_json::to_string(&rollout).unwrap());
    let spool = tempfile::tempdir().unwrap();
    let client = server.builder().spool_dir(spool.path()).start().unwrap();
    let (old, new) = (Shelf::default(), Shelf::default());
    let data = client
        .route("gear")
        .stores(old.clone(), new.clone())
        .unwrap();
    eventually("the parent is in contact", || data.status().is_in_contact);
    let child = {
        let data = data.clone();
        move || {
            let write = data.write("child").old(|_| {
                old.set("child", "1");
                Ok::<_, ()>(())
            });
            let is_written = write.new(|_| Err(())).run().is_ok();
            let end = Instant::now() + PATIENCE;
            // In the child's copy of the store.
            while new.get("child").is_none() && Instant::now() < end {
                std::thread::sleep(Duration::from_millis(1));
            }
            is_written && new.get("child").is_some()
        }
    };
    assert!(in_child(child));
    let told = server.told();
    let instances: std::collections::BTreeSet<_> = told
        .iter()
        .map(|(told, _)| told.instance.as_str())
        .collect();
    assert_eq!(instances.len(), 2);
    assert_eq!(data.repairs(), []);
    let write = data.write("parent").old(|_| Ok::<_, ()>(()));
    write.new(|_| Err(())).run().unwrap();
}
