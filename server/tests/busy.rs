//! Those who look do not hold up those who act.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use serde_json::json;
use switchover_server::store::StoreError;

use crate::support::{App, Engine, Reply, Who, at, eventually, on_both_engines};

const SOON: Duration = Duration::from_secs(2);

on_both_engines!(
    a_halt_does_not_wait_for_readers,
    the_record_is_verified_once_at_a_time
);

/// Does something while readers hold every connection that readers may have.
fn while_readers_hold_all<T>(app: &App, work: impl FnOnce() -> T) -> T {
    const MORE_THAN_THERE_ARE: usize = 10;
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let over = &over;
        for _ in 0..MORE_THAN_THERE_ARE {
            scope.spawn(move || {
                // Those that come too late for a connection give up.
                let _ = app.services().store().read::<_, StoreError>(|_| {
                    while !over.load(Ordering::SeqCst) {
                        std::thread::sleep(Duration::from_millis(5));
                    }
                    Ok(())
                });
            });
        }
        std::thread::sleep(Duration::from_millis(300));
        let done = std::panic::catch_unwind(std::panic::AssertUnwindSafe(work));
        over.store(true, Ordering::SeqCst);
        done.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

fn a_halt_does_not_wait_for_readers(engine: Engine) {
    let app = App::start(engine);
    app.route("a");
    app.set("a", "dev", json!({ "mode": "on" })).expect(200);
    let key = app.sdk_key("dev");
    let before = app.snapshot(&key).expect(200).body;
    while_readers_hold_all(&app, || {
        std::thread::scope(|scope| {
            for _ in 0..40 {
                // Whether they are answered in the end is not what is asked here.
                scope.spawn(|| app.request("GET", "routes").by(Who::VIEWER).try_send());
            }
            std::thread::sleep(Duration::from_millis(300));
            let started = Instant::now();
            let body = json!({ "reason": "errors" });
            app.post(Who::OPERATOR, &at("a", "dev", "halt"), &body)
                .expect(200);
            // Published as well, and not only on record.
            assert_ne!(app.snapshot(&key).expect(200).body, before);
            let took = started.elapsed();
            assert!(took < Duration::from_secs(1), "{took:?}");
        });
    });
}

fn the_record_is_verified_once_at_a_time(engine: Engine) {
    let app = App::start(engine);
    app.route("a");
    let verify = || app.post(Who::VIEWER, "audit/verify", &json!({}));
    std::thread::scope(|scope| {
        let first = while_readers_hold_all(&app, || {
            let first = scope.spawn(verify);
            let refused: Reply = eventually("another one is refused", SOON, || {
                std::thread::sleep(Duration::from_millis(50));
                let asked = Instant::now();
                let reply = verify();
                (asked.elapsed() < Duration::from_millis(500)).then_some(reply)
            });
            assert!(refused.body.contains("under way"), "{}", refused.body);
            assert_eq!(refused.code(503), "unavailable");
            assert!(refused.header("retry-after").is_some());
            first
        });
        assert_eq!(first.join().unwrap().expect(200).json()["intact"], true);
    });
    app.assert_audit_intact();
}
