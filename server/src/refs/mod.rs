//! Where the code speaks of routes: which files of a source tree are read, which words in them are uses
//! of a flag or of a key, and what follows from that. `docs/code-references.md` states the rules.
//!
//! Nothing here knows a server, a database or a clock; only `tree` reads files.

mod findings;
mod matching;
mod place;
mod syntax;
mod text;
mod tree;

pub use findings::{Findings, Kind, RouteUses, Standing, Tracked};
pub use matching::{Found, Matcher, Subject};
pub use syntax::Syntax;
pub use text::readable;
pub use tree::{LARGEST_FILE, Scanned, Unread, Use, scan};
