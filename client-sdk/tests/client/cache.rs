//! Starting without a server.

use std::fs;
use std::path::Path as FilePath;
use std::time::Duration;

use switchover::{Client, Path, Reason, RouteSpec, Source, Stage, StartError};
use tracing::Level;

use crate::server::{Server, builder, eventually, nobody};
use crate::{HALTED, OFF, ON, PATIENCE, logs};

/// Runs a client until the server's state is the last good one.
fn fill(server: &Server, directory: &FilePath) {
    let client = server.builder().cache_dir(directory).start().unwrap();
    assert!(client.wait_ready(PATIENCE));
    let version = client.status().version.unwrap().to_string();
    eventually("it is kept", || {
        let file = file(directory, "snapshot");
        file.is_some_and(|file| {
            fs::read_to_string(file)
                .unwrap()
                .contains(&format!(" {version} "))
        })
    });
    assert!(client.flush(PATIENCE));
}

fn file(directory: &FilePath, suffix: &str) -> Option<std::path::PathBuf> {
    let files = fs::read_dir(directory)
        .ok()?
        .flatten()
        .map(|file| file.path());
    let mut files = files.filter(|file| file.extension().is_some_and(|of| of == suffix));
    files.next()
}

/// A client of the same server and key, whose first load never comes.
fn start_without(server: &Server, directory: &FilePath) -> Client {
    server.answer_polls(crate::server::Answer::Hang);
    server.builder().cache_dir(directory).start().unwrap()
}

#[test]
fn a_new_process_starts_from_the_cache_and_then_from_the_code() {
    let directory = tempfile::tempdir().unwrap();
    let server = Server::start();
    server.set("blame", ON);
    fill(&server, directory.path());
    let client = start_without(&server, directory.path());
    let decision = client.route("blame").decide("a");
    assert_eq!(
        (decision.path, decision.source),
        (Path::New, Some(Source::Cache))
    );
    let status = client.status();
    assert_eq!(
        (status.source, status.environment.as_deref()),
        (Source::Cache, Some("production"))
    );
    assert!(status.age.is_some());
    let compiled = client.route(RouteSpec::new("find_commit").stage(Stage::OptOut));
    let decision = compiled.decide("a");
    assert_eq!(
        (decision.path, decision.source),
        (Path::New, Some(Source::Compiled))
    );
    assert_eq!(
        client.route("other").decide("a").reason,
        Reason::UnknownRoute
    );
}

#[test]
fn a_new_key_or_a_new_host_name_during_an_outage_finds_the_cache() {
    let directory = tempfile::tempdir().unwrap();
    let server = Server::start();
    server.set("blame", ON);
    server.set("list_refs", &HALTED.replace("BLAME", "LIST_REFS"));
    fill(&server, directory.path());
    for key in ["sdk-key", "rotated"] {
        let moved = Client::builder()
            .server(nobody(), key)
            .cache_dir(directory.path())
            .start()
            .unwrap();
        let decision = moved.route("blame").decide("a");
        assert_eq!(
            (decision.path, decision.source),
            (Path::New, Some(Source::Cache))
        );
        let halted = moved.route("list_refs").decide("a");
        assert_eq!(halted.reason, Reason::Halted);
    }
}

#[test]
fn a_cache_by_another_name_is_another_cache() {
    let directory = tempfile::tempdir().unwrap();
    let server = Server::start();
    server.set("blame", ON);
    fill(&server, directory.path());
    let named = |name: &str| {
        builder(&nobody())
            .cache_dir(directory.path())
            .cache_name(name)
            .start()
    };
    let other = named("staging").unwrap();
    assert_eq!(other.route("blame").path("a"), Path::Old);
    assert!(matches!(
        named("../staging"),
        Err(StartError::InvalidCacheName)
    ));
}

#[test]
fn a_snapshot_is_not_good_before_its_time() {
    let directory = tempfile::tempdir().unwrap();
    let server = Server::start();
    server.set("blame", OFF);
    fill(&server, directory.path());
    server.set("blame", ON);
    let client = server
        .builder()
        .cache_dir(directory.path())
        .cache_after(Duration::from_secs(3_600))
        .start()
        .unwrap();
    let route = client.route("blame");
    eventually("it runs on the new one", || route.path("a") == Path::New);
    eventually("for a while", || server.open_streams() == 1);
    std::thread::sleep(Duration::from_millis(60));
    // An orderly end is no proof either.
    client.shutdown();
    drop(client);
    let client = start_without(&server, directory.path());
    assert_eq!(client.route("blame").path("a"), Path::Old);
}

#[test]
fn a_damaged_cache_gives_way_to_the_one_before_and_then_to_the_code() {
    logs::listen();
    let directory = tempfile::tempdir().unwrap();
    let server = Server::start();
    server.set("blame", ON);
    fill(&server, directory.path());
    server.set("blame", OFF);
    fill(&server, directory.path());
    let last = file(directory.path(), "snapshot").unwrap();
    fs::write(&last, "rubbish").unwrap();
    let client = start_without(&server, directory.path());
    let decision = client.route("blame").decide("a");
    assert_eq!(
        (decision.path, decision.source),
        (Path::New, Some(Source::Cache))
    );
    assert_eq!(logs::with(Level::WARN, last.to_str().unwrap()).len(), 1);
    for suffix in ["snapshot", "previous"] {
        fs::write(file(directory.path(), suffix).unwrap(), [0xff, 0, b'\n']).unwrap();
    }
    let client = start_without(&server, directory.path());
    assert_eq!(
        client.route("blame").decide("a").reason,
        Reason::UnknownRoute
    );
}

#[test]
fn halts_are_kept_at_once() {
    let directory = tempfile::tempdir().unwrap();
    let server = Server::start();
    server.set("blame", ON);
    fill(&server, directory.path());
    let client = server
        .builder()
        .cache_dir(directory.path())
        .cache_after(Duration::from_secs(3_600))
        .start()
        .unwrap();
    let route = client.route("blame");
    eventually("the stream is open", || server.open_streams() == 1);
    server.set("blame", HALTED);
    server.set("list_refs", &HALTED.replace("BLAME", "LIST_REFS"));
    eventually("the halts arrive", || {
        client
            .status()
            .version
            .is_some_and(|version| version.revision == 4)
    });
    eventually("the route goes by them", || route.path("a") == Path::Old);
    assert!(client.flush(PATIENCE));
    eventually("they are on disk", || {
        let halts = file(directory.path(), "halts");
        halts.is_some_and(|halts| fs::read_to_string(halts).unwrap().contains("list_refs"))
    });
    let client = start_without(&server, directory.path());
    let decision = client.route("blame").decide("a");
    assert_eq!(
        (decision.reason, decision.source),
        (Reason::Halted, Some(Source::Cache))
    );
    let compiled = client.route(RouteSpec::new("list_refs").stage(Stage::OptOut));
    let decision = compiled.decide("a");
    assert_eq!(
        (decision.reason, decision.source),
        (Reason::Halted, Some(Source::Compiled))
    );
}

#[test]
fn a_directory_that_cannot_be_written_is_one_warning() {
    logs::listen();
    let directory = tempfile::tempdir().unwrap();
    // A file where the directory should be: refused to every user, also to root.
    let path = directory.path().join("occupied");
    fs::write(&path, "").unwrap();
    let server = Server::start();
    server.set("blame", HALTED);
    let client = server.builder().cache_dir(&path).start().unwrap();
    let route = client.route("blame");
    eventually("the stream is open", || server.open_streams() == 1);
    let written = || logs::with(Level::WARN, "cache cannot be written");
    let about = || {
        written()
            .iter()
            .filter(|line| line.contains(path.to_str().unwrap()))
            .count()
    };
    eventually("it warns", || about() == 1);
    server.set("blame", ON);
    eventually("it goes on", || route.path("a") == Path::New);
    std::thread::sleep(Duration::from_millis(60));
    assert_eq!(about(), 1);
}

#[test]
fn the_server_cannot_go_back_behind_the_cache() {
    let directory = tempfile::tempdir().unwrap();
    let server = Server::start();
    server.set("blame", ON);
    fill(&server, directory.path());
    server.set("blame", OFF);
    server.restore("production", "e1", 1);
    let client = server
        .builder()
        .cache_dir(directory.path())
        .start()
        .unwrap();
    eventually("it is refused", || {
        client
            .status()
            .last_error
            .is_some_and(|found| found.contains("older than e1.2"))
    });
    assert_eq!(client.status().source, Source::Cache);
    assert_eq!(client.route("blame").path("a"), Path::New);
}

/// The server says which environment this is; once it has, another one is refused.
#[test]
fn the_cache_of_another_environment_is_void_once_the_server_has_spoken() {
    logs::listen();
    let directory = tempfile::tempdir().unwrap();
    let server = Server::start();
    server.set("find_commit", ON);
    server.set("list_refs", &HALTED.replace("BLAME", "LIST_REFS"));
    fill(&server, directory.path());
    assert!(file(directory.path(), "halts").is_some());
    let other = Server::start();
    other.set("blame", ON);
    other.restore("staging", "e1", 1);
    let client = other
        .builder()
        .cache_dir(directory.path())
        .cache_after(Duration::from_secs(3_600))
        .start()
        .unwrap();
    let compiled = client.route(RouteSpec::new("list_refs").stage(Stage::OptOut));
    eventually("the live one wins", || {
        client.status().environment.as_deref() == Some("staging")
    });
    assert_eq!(client.status().source, Source::Live);
    assert_eq!(
        client.route("find_commit").decide("a").reason,
        Reason::UnknownRoute
    );
    let decision = compiled.decide("a");
    assert_eq!(
        (decision.path, decision.source),
        (Path::New, Some(Source::Compiled)),
        "a halt of another environment"
    );
    eventually("nothing of the old one is left", || {
        ["snapshot", "previous", "halts"]
            .iter()
            .all(|suffix| file(directory.path(), suffix).is_none())
    });
    eventually("the stream is open", || other.open_streams() == 1);
    other.push(&other.snapshot_event().replace("staging", "production"));
    eventually("a foreign one is refused from then on", || {
        let error = client.status().last_error;
        error.is_some_and(|error| error.contains("environment `production`"))
    });
    assert_eq!(client.status().environment.as_deref(), Some("staging"));
    drop(client);
    let told = logs::with(
        Level::WARN,
        "the cache is of environment `production` and void",
    );
    assert_eq!(told.len(), 1, "{told:?}");
    fill(&other, directory.path());
    let kept = fs::read_to_string(file(directory.path(), "snapshot").unwrap()).unwrap();
    assert!(kept.contains(" staging "), "{kept}");
}
