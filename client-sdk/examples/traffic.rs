//! An application that calls one route all the time, to try a server with.
//!
//! ```console
//! $ export SWITCHOVER_URL=http://127.0.0.1:7070 SWITCHOVER_SDK_KEY=…
//! $ cargo run -p switchover --example traffic -- find_commit --rate 1000 --new-errors 0.05
//! ```
//!
//! `--rate` is in calls per second; `--old-errors` and `--new-errors` are the shares of the calls on
//! each path that fail. It says `ready` once it follows the server, and calls until it is killed, or
//! for so many `--seconds`.

use std::process::ExitCode;
use std::thread;
use std::time::{Duration, Instant};

use switchover::Client;

/// How often the pace is looked at.
const BEAT: Duration = Duration::from_millis(10);
/// The calls go round these keys.
const PROJECTS: u64 = 10_000;

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("traffic: {why}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<(), String> {
    let mut arguments = std::env::args().skip(1);
    let route = arguments
        .next()
        .ok_or("which route? traffic ROUTE [--rate N] …")?;
    let (mut rate, mut old_errors, mut new_errors) = (100.0, 0.0, 0.0);
    let mut seconds = f64::INFINITY;
    while let Some(name) = arguments.next() {
        let value = arguments.next().and_then(|value| value.parse::<f64>().ok());
        let value = value.ok_or_else(|| format!("{name} needs a number"))?;
        match name.as_str() {
            "--rate" => rate = value,
            "--old-errors" => old_errors = value,
            "--new-errors" => new_errors = value,
            "--seconds" => seconds = value,
            other => return Err(format!("{other} is no option")),
        }
    }
    let client = Client::from_env().map_err(|error| error.to_string())?;
    if !client.wait_ready(Duration::from_secs(10)) {
        let why = client.status().last_error.unwrap_or_default();
        return Err(format!("the server is not reached: {why}"));
    }
    let route = client.route(route);
    println!("ready");

    let began = Instant::now();
    let (mut calls, mut due) = (0_u64, 0.0);
    let (mut old_due, mut new_due) = (0.0, 0.0);
    while began.elapsed().as_secs_f64() < seconds {
        while due < began.elapsed().as_secs_f64() * rate {
            due += 1.0;
            calls += 1;
            // Errors come evenly: every so many calls of a path.
            let failed = route
                .call(calls % PROJECTS)
                .old(|| fails(&mut old_due, old_errors))
                .new(|| fails(&mut new_due, new_errors))
                .run();
            // A real application would handle it; this one is asked to go on.
            let _ = failed;
        }
        thread::sleep(BEAT);
    }
    client.flush(Duration::from_secs(5));
    Ok(())
}

fn fails(due: &mut f64, share: f64) -> Result<(), &'static str> {
    *due += share;
    if *due < 1.0 {
        return Ok(());
    }
    *due -= 1.0;
    Err("so it was asked for")
}
