//! What serving costs, each figure beside its budget and beside the limit measured in the same run:
//! a hello-world server for requests, a bare fan-out for streams.
//!
//! `cargo bench -p switchover-server` runs all of it in some two minutes; a part's name runs that
//! part: `cargo bench -p switchover-server -- fan-out`.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::as_conversions,
    clippy::indexing_slicing,
    reason = "a benchmark may be blunt: what it cannot measure it must not report"
)]

mod board;
mod fan_out;
mod flip;
mod guard;
mod limit;
mod ofrep;
mod publishing;
mod refs;
mod requests;
mod server;

fn main() {
    let mut arguments = std::env::args().skip(1).filter(|word| word != "--bench");
    match arguments.next().as_deref() {
        // Children of this process: the limits that figures are held against.
        Some("serve-hello") => limit::hello(),
        Some("serve-bare") => limit::bare(),
        Some("board") => board::run(),
        Some("publishing") => publishing::run(),
        Some("requests") => requests::run(),
        Some("ofrep") => ofrep::run(),
        Some("fan-out") => fan_out::run(),
        Some("server") => server::run(),
        Some("guard") => guard::run(),
        Some("flip") => flip::run(),
        Some("refs") => refs::run(),
        Some(other) => {
            panic!(
                "no part `{other}`: board, publishing, requests, ofrep, fan-out, server, guard, flip, \
                 refs"
            )
        }
        None => {
            board::run();
            publishing::run();
            server::run();
            requests::run();
            ofrep::run();
            fan_out::run();
            guard::run();
            flip::run();
            refs::run();
        }
    }
}

/// Prints one figure beside its budget.
fn row(what: &str, figure: &str, budget: &str) {
    println!("{what:<62} {figure:>24}   budget {budget}");
}

fn headline(text: &str) {
    println!("\n{text}");
}

fn millis(duration: std::time::Duration) -> f64 {
    duration.as_secs_f64() * 1_000.0
}

/// The value below which this share of the sorted values lies.
fn quantile(sorted: &[f64], share: f64) -> f64 {
    let index = ((sorted.len() as f64 * share).ceil() as usize).clamp(1, sorted.len());
    sorted[index - 1]
}
