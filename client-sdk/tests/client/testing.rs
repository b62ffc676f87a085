//! What users' tests stand on.

use std::sync::Barrier;
use std::thread;

use switchover::testing::{both_paths, client, force};
use switchover::{Path, Reason};

#[test]
fn a_forced_path_is_for_this_thread_only() {
    let client = client();
    let route = client.route("blame");
    let together = Barrier::new(3);
    thread::scope(|scope| {
        for forced in [Some(Path::Old), Some(Path::New), None] {
            let (route, together) = (&route, &together);
            scope.spawn(move || {
                together.wait();
                for _ in 0..200 {
                    let _guard = forced.map(|path| force(route, path));
                    assert_eq!(route.path("a"), forced.unwrap_or(Path::Old));
                    assert_eq!(route.path(()), forced.unwrap_or(Path::Old));
                }
                together.wait();
            });
        }
    });
    assert_eq!(route.path("a"), Path::Old);
    client.set("blame", Path::New);
    assert_eq!(route.path("a"), Path::New);
}

#[test]
fn the_innermost_force_counts_whatever_is_published() {
    let client = client();
    let (route, other) = (client.route("blame"), client.route("other"));
    let outer = force(&route, Path::New);
    client.set("blame", Path::Old);
    let inner = force(&route, Path::Old);
    assert_eq!(route.path("a"), Path::Old);
    drop(inner);
    assert_eq!(route.path("a"), Path::New);
    assert_eq!(route.decide("a").reason, Reason::EnvOn);
    assert_eq!(route.clone().call("a").path(), Path::New);
    assert_eq!(other.path("a"), Path::Old);
    drop(outer);
    assert_eq!(route.path("a"), Path::Old);
}

#[test]
fn a_body_runs_on_both_paths() {
    let client = client();
    let route = client.route("blame");
    let mut taken = Vec::new();
    both_paths(&route, |path| {
        assert_eq!(route.path("a"), path);
        taken.push(
            route
                .call("a")
                .old(|| Ok::<_, ()>("old"))
                .new(|| Ok("new"))
                .run(),
        );
    });
    assert_eq!(taken, [Ok("old"), Ok("new")]);
}

#[test]
fn a_force_ends_with_a_panicking_test() {
    let client = client();
    let route = client.route("blame");
    let body = std::panic::AssertUnwindSafe(|| both_paths(&route, |_| panic!("fails")));
    assert!(std::panic::catch_unwind(body).is_err());
    client.set("blame", Path::New);
    assert_eq!(route.path("a"), Path::New);
}

#[test]
#[should_panic(expected = "No Route")]
fn setting_what_is_no_route_is_heard() {
    client().set("No Route", Path::New);
}
