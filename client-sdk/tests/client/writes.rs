//! Writes of data routes.

use std::time::{Duration, Instant};

use switchover::{
    Breaker, DataRoute, EnvironmentKind, InvalidKey, Mirror, Next, Path, Percent, Rollout,
    RouteSpec, Setting, Stage, StoresError, WriteError, testing,
};

use crate::server::eventually;
use crate::stores::Shelf;

/// A client with one data route, and its two stores.
pub(crate) struct Doubling {
    pub(crate) client: testing::TestClient,
    pub(crate) data: DataRoute,
    pub(crate) old: Shelf,
    pub(crate) new: Shelf,
}

pub(crate) fn doubling(path: Path, share: u32) -> Doubling {
    let client = testing::client();
    client.set_rollout("gear", rollout(path, share));
    let (old, new) = (Shelf::default(), Shelf::default());
    let route = client.route("gear");
    Doubling {
        data: route.stores(old.clone(), new.clone()).unwrap(),
        client,
        old,
        new,
    }
}

pub(crate) fn rollout(path: Path, share: u32) -> Rollout {
    Rollout {
        setting: match path {
            Path::Old => Setting::Off,
            Path::New => Setting::On,
        },
        mirror: Mirror {
            read: Percent::ZERO,
            write: Percent::from_thousandths(share * 1_000).unwrap(),
        },
        generation: 1,
        ..Rollout::at("GEAR".parse().unwrap(), Stage::OptIn)
    }
}

/// The same on its way to the other path.
pub(crate) fn held(path: Path) -> Rollout {
    let to = match path {
        Path::Old => Setting::On,
        Path::New => Setting::Off,
    };
    let next = Next {
        stage: Stage::OptIn,
        setting: to,
        halted: false,
        include: [].into(),
        exclude: [].into(),
    };
    Rollout {
        generation: 2,
        hold: Some(Box::new(next)),
        ..rollout(path, 100)
    }
}

impl Doubling {
    pub(crate) fn write(&self, key: &str, row: &str) -> Result<Path, WriteError<String>> {
        let (old, new) = (&self.old, &self.new);
        self.data
            .write(key)
            .old(|_| {
                old.set(key, row);
                Ok(Path::Old)
            })
            .new(|_| {
                new.set(key, row);
                Ok(Path::New)
            })
            .run()
    }

    fn are_equal(&self, key: &str) -> bool {
        self.old.get(key) == self.new.get(key)
    }
}

#[test]
fn a_write_goes_to_the_authority_and_is_copied_to_the_other_side() {
    for path in [Path::Old, Path::New] {
        let doubling = doubling(path, 100);
        assert_eq!(doubling.write("a", "1"), Ok(path));
        eventually("both have it", || {
            doubling.are_equal("a") && doubling.old.get("a").is_some()
        });
    }
}

#[test]
fn what_is_new_is_mirrored_always_and_nothing_where_the_share_is_none() {
    let share = doubling(Path::New, 1);
    for key in ["a", "b", "c", "d", "e"] {
        share.write(key, "1").unwrap();
        eventually("it comes back", || share.are_equal(key));
    }
    let none = doubling(Path::New, 0);
    none.write("a", "1").unwrap();
    std::thread::sleep(Duration::from_millis(20));
    assert_eq!(none.old.get("a"), None);
}

#[test]
fn a_key_that_moves_waits_and_the_others_go_on() {
    let doubling = doubling(Path::Old, 100);
    doubling.client.set_rollout("gear", held(Path::Old));
    std::thread::scope(|scope| {
        let waits = scope.spawn(|| doubling.write("a", "1"));
        std::thread::sleep(Duration::from_millis(30));
        assert_eq!((doubling.old.get("a"), doubling.new.get("a")), (None, None));
        let mut flipped = rollout(Path::New, 100);
        flipped.generation = 2;
        doubling.client.set_rollout("gear", flipped);
        assert_eq!(waits.join().unwrap(), Ok(Path::New));
    });
    // Back: only the cohort moves.
    let mut some = rollout(Path::New, 100);
    some.generation = 3;
    let mut next = held(Path::Old).hold.unwrap();
    next.exclude = [Box::from("moves")].into();
    some.hold = Some(next);
    doubling.client.set_rollout("gear", some);
    assert_eq!(doubling.write("stays", "1"), Ok(Path::New));
    let began = Instant::now();
    assert_eq!(doubling.write("moves", "1"), Err(WriteError::Moving));
    assert!(began.elapsed() >= Duration::from_secs(2));
    assert_eq!(doubling.new.get("moves"), None);
}

#[test]
fn keys_are_of_1_to_256_bytes() {
    let doubling = doubling(Path::Old, 100);
    for key in ["", &"k".repeat(257)] {
        assert_eq!(doubling.write(key, "1"), Err(WriteError::Key(InvalidKey)));
    }
    doubling.write(&"k".repeat(256), "1").unwrap();
}

#[test]
fn stores_are_registered_once() {
    let doubling = doubling(Path::Old, 100);
    let again = doubling
        .data
        .route()
        .stores(Shelf::default(), Shelf::default());
    assert_eq!(again.unwrap_err(), StoresError::Registered);
    let other = doubling.client.route("No-Route");
    let never = other.stores(Shelf::default(), Shelf::default());
    assert_eq!(never.unwrap_err(), StoresError::InvalidRoute);
}

#[test]
fn neither_a_variable_nor_a_breaker_has_a_say_in_writes() {
    crate::logs::listen();
    let overrides = [("GEAR_NO_SAY", "1")].into_iter().collect();
    let client = testing::TestClient::new(EnvironmentKind::Hosted, overrides);
    let old_rollout = Rollout {
        flag: "GEAR_NO_SAY".parse().unwrap(),
        ..rollout(Path::Old, 100)
    };
    let new_rollout = Rollout {
        setting: Setting::On,
        ..old_rollout.clone()
    };
    client.set_rollout("gear_no_say", old_rollout);
    let breaker = Breaker::default().minimum_calls(1);
    let route = client.route(RouteSpec::new("gear_no_say").breaker(breaker));
    let (old, new) = (Shelf::default(), Shelf::default());
    let data = route.stores(old.clone(), new.clone()).unwrap();
    let write = |fails: bool| {
        let write = data.write("a").old(|_| Ok(Path::Old));
        let write = write.new(|_| match fails {
            true => Err("fails"),
            false => Ok(Path::New),
        });
        write.run()
    };
    assert_eq!(route.path("a"), Path::New);
    assert_eq!(write(false), Ok(Path::Old));
    client.set_rollout("gear_no_say", new_rollout);
    let failed = route.call("a").old(|| Ok(())).new(|| Err("fails")).run();
    assert_eq!(failed, Err("fails"));
    assert_eq!(route.path("a"), Path::Old, "the breaker is open");
    assert_eq!(write(true), Err(WriteError::Failed("fails")));
    assert_eq!(write(false), Ok(Path::New));
    let lines = crate::logs::with(tracing::Level::WARN, "no say in writes");
    let lines = lines.iter().filter(|line| line.contains("gear_no_say"));
    assert_eq!(lines.count(), 2);
    // A test's forced path does.
    let _forced = testing::force(&route, Path::Old);
    assert_eq!(write(false), Ok(Path::Old));
}
