//! A data migration from its first copy to its last: equipment moves from an old table to a new one,
//! while an application writes and reads it all the time, and while things go wrong.
//!
//! Everything is done as a user of Switchover does it: the application by the SDK, people by the command
//! line. Days pass in seconds, because the server's clock is moved. At the end every acknowledged write
//! is looked for.

mod database;
mod faults;
mod gear;
mod house;
mod ledger;
mod stores;
mod story;
mod summary;
mod traffic;

use std::error::Error;
use std::fmt;
use std::path::PathBuf;

use clap::Parser;

pub use faults::Fault;
pub use ledger::Verdict;
pub use summary::Summary;

/// What the story is told with.
#[derive(Clone, Debug, Parser)]
#[command(name = "gear-operations", version, about)]
pub struct Options {
    /// The program `switchover`, built with its feature test-clock [default: beside this program]
    #[arg(long, value_name = "PATH")]
    pub switchover: Option<PathBuf>,
    /// Where the old table is, such as postgres://me@localhost/old; empty [default: a SQLite file]
    #[arg(long, value_name = "URL", requires = "new")]
    pub old: Option<String>,
    /// Where the new table is, which may be the same database
    #[arg(long, value_name = "URL", requires = "old")]
    pub new: Option<String>,
    /// How many users there are
    #[arg(long, default_value_t = 3_000, value_parser = clap::value_parser!(u64).range(1..=1_000_000))]
    pub users: u64,
    /// How many pieces of equipment they have at the beginning
    #[arg(long, default_value_t = 10_000, value_parser = clap::value_parser!(u64).range(1..=10_000_000))]
    pub items: u64,
    /// How many keys a batch of the backfill has
    #[arg(long, default_value_t = 1_000)]
    pub batch: u32,
    /// The pause after each batch, in milliseconds
    #[arg(long, value_name = "MILLISECONDS", default_value_t = 1_000)]
    pub pause: u64,
    /// Threads that write
    #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u64).range(1..=64))]
    pub writers: u64,
    /// Threads that read
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u64).range(0..=64))]
    pub readers: u64,
    /// How long it stays at each step of the ramp, in seconds, before a day passes
    #[arg(long, default_value_t = 2)]
    pub seconds: u64,
    /// A fault to be shown; can be repeated [default: all of them]
    #[arg(long = "fault", value_name = "FAULT", conflicts_with = "no_faults")]
    pub faults: Vec<Fault>,
    /// Nothing goes wrong
    #[arg(long)]
    pub no_faults: bool,
    /// Print one JSON object at the end instead of the story
    #[arg(long)]
    pub json: bool,
}

impl Options {
    /// Whether a fault is to be shown.
    #[must_use]
    pub fn shows(&self, fault: Fault) -> bool {
        !self.no_faults && (self.faults.is_empty() || self.faults.contains(&fault))
    }
}

/// Why the story did not come to its end.
#[derive(Debug)]
pub struct Failed(pub String);

impl fmt::Display for Failed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl<E: Into<Box<dyn Error + Send + Sync>>> From<E> for Failed {
    fn from(error: E) -> Failed {
        Failed(error.into().to_string())
    }
}

/// Tells the story, line by line, and says what came of it.
///
/// # Errors
/// When something is not as it must be; that no write is lost is for the [`Summary`] to say.
pub fn run(options: &Options, say: &mut dyn FnMut(&str)) -> Result<Summary, Failed> {
    story::tell(options, say)
}
