//! What a timed and counted call costs over its bare closure.

mod harness;

use std::hint::black_box;
use std::time::{Duration, Instant};

use harness::{head, row};
use switchover::{Client, Overrides, Path, RouteSpec, Stage, testing};

fn main() {
    // Starting a client begins to calibrate the processor's counter, which takes up to 200 ms.
    let calibrating = Client::builder().overrides(Overrides::none()).start();
    std::thread::sleep(Duration::from_millis(400));
    let client = testing::client();
    client.set("call", Path::New);
    let route = client.route(RouteSpec::new("call").stage(Stage::OptIn));
    let failing = client.route("failing");

    head();
    let bare = row("limit: bare closure", "", || {
        let _ = black_box(work(black_box(3)));
    });
    let clock = quanta::Clock::new();
    row("limit: clock pair, quanta", "", || {
        let start = clock.raw();
        black_box(clock.delta_as_nanos(start, clock.raw()));
    });
    row("limit: clock pair, Instant", "", || {
        let start = Instant::now();
        black_box(start.elapsed());
    });
    let call = row("call().run()", "", || {
        let call = black_box(&route).call(black_box("project-12345678"));
        let _ = black_box(call.old(|| work(2)).new(|| work(black_box(3))).run());
    });
    row("call().run(), error", "", || {
        let call = black_box(&failing).call(black_box("project-12345678"));
        let _ = black_box(call.old(|| work(black_box(0))).new(|| work(3)).run());
    });
    println!(
        "call().run() over the bare closure: {:.1}, budget <= 35 (60 without a counter)",
        call - bare
    );
    drop(calibrating);
}

#[inline(never)]
fn work(n: u64) -> Result<u64, ()> {
    match n {
        0 => Err(()),
        n => Ok(n * 7),
    }
}
