//! `refs`: where the code speaks of routes.

mod told;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Instant;

use clap::{Args, ValueEnum};
use serde_json::{Value, json};

use crate::cli::error::CliError;
use crate::cli::files::read_text;
use crate::cli::output::{say, say_json};
use crate::cli::session::Session;
use crate::cli::wire::{ReferencesPosted, TrackedRoute, TrackedRoutes};
use crate::config::{ClientArgs, FileArgs};
use crate::domain::references::{LONGEST_PATH, MOST_PLACES, MOST_PLACES_OF_ROUTE};
use crate::domain::text::misleads;
use crate::refs::{Findings, Kind, Matcher, Scanned, Standing, Tracked, scan};

use told::told;

#[derive(Args, Debug)]
pub(crate) struct RefsArgs {
    /// The source tree
    #[arg(default_value = ".")]
    dir: PathBuf,
    /// Routes from a file, as `switchover route list --json` prints them, in place of a server's; - is
    /// standard input
    #[arg(long, value_name = "FILE")]
    routes: Option<String>,
    /// Search Markdown and other prose too
    #[arg(long)]
    prose: bool,
    /// Show every route and every place, also those about which there is nothing to do
    #[arg(long)]
    all: bool,
    /// Which findings make the exit status 1
    #[arg(
        long,
        value_name = "KIND",
        value_delimiter = ',',
        default_value = "retired,unknown"
    )]
    fail_on: Vec<FailOn>,
    /// Put what was found on record on the server: whether a route may be retired is judged by it. For the
    /// root of the repository, on its default branch
    #[arg(long, requires_all = ["repository", "revision"])]
    post: bool,
    /// Name of the repository, such as group/project
    #[arg(long, value_name = "NAME", requires = "post")]
    repository: Option<String>,
    /// The commit that was scanned
    #[arg(long, value_name = "SHA", requires = "post")]
    revision: Option<String>,
    #[command(flatten)]
    client: ClientArgs,
}

/// A kind of finding.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum FailOn {
    /// Routes that are mandatory everywhere and still asked for
    Mandatory,
    /// Retired routes that are still asked for
    Retired,
    /// Flags and keys that no route has
    Unknown,
    /// Routes that nothing asks for
    Unreferenced,
    /// Nothing
    None,
}

impl FailOn {
    fn kind(self) -> Option<Kind> {
        match self {
            FailOn::Mandatory => Some(Kind::Mandatory),
            FailOn::Retired => Some(Kind::Retired),
            FailOn::Unknown => Some(Kind::Unknown),
            FailOn::Unreferenced => Some(Kind::Unreferenced),
            FailOn::None => None,
        }
    }
}

pub(crate) fn run(file: &FileArgs, args: &RefsArgs) -> Result<(), CliError> {
    let session = match (&args.routes, args.post) {
        (Some(_), false) => None,
        _ => Some(open(file, args)?),
    };
    let tracked = tracked(args, session.as_ref())?;
    let matcher = Matcher::new(&tracked).map_err(CliError::Unusable)?;
    let began = Instant::now();
    let scanned = scan(&args.dir, &matcher, args.prose).map_err(|error| {
        CliError::Unusable(format!("cannot read {}: {error}", args.dir.display()))
    })?;
    let findings = Findings::new(tracked, scanned.uses.clone());
    let doubt = doubt(args, &scanned);
    let posted = match &session {
        Some(session) if args.post && doubt.is_none() => {
            Some(post(session, args, began, &scanned, &findings)?)
        }
        _ => None,
    };
    if args.client.json {
        say_json(&as_json(&scanned, &findings, posted))?;
    } else {
        say(told(&scanned, &findings, args.all, posted.is_some()))?;
    }
    if let Some(why) = doubt {
        return Err(CliError::Unusable(if args.post {
            format!("{why}: nothing was posted")
        } else {
            why.to_owned()
        }));
    }
    let kinds = findings.kinds();
    let failing = args.fail_on.iter().filter_map(|kind| kind.kind());
    if failing.into_iter().any(|kind| kinds.contains(&kind)) {
        return Err(CliError::No);
    }
    Ok(())
}

/// Why what was found does not do: uses may be missing. What is posted takes the place of what was known of
/// the whole repository, so that more is asked of it.
fn doubt(args: &RefsArgs, scanned: &Scanned) -> Option<&'static str> {
    if !scanned.unread.is_empty() {
        return Some("not every file could be read, so that uses may be missing");
    }
    if !args.post {
        return None;
    }
    if !args.dir.is_dir() {
        return Some("one file says nothing of a repository");
    }
    if !scanned.too_large.is_empty() {
        return Some(
            "a file is too large to be searched, so that uses may be missing (leave it out by a \
             .switchoverignore if there can be none)",
        );
    }
    (scanned.files == 0).then_some("no file was searched")
}

/// Without a server there is no answer, which is not the exit status of a finding.
fn open(file: &FileArgs, args: &RefsArgs) -> Result<Session, CliError> {
    Session::open(file, &args.client).map_err(unusable)
}

fn unusable(error: CliError) -> CliError {
    match error {
        CliError::ReaderGone => CliError::ReaderGone,
        other => CliError::Unusable(other.to_string()),
    }
}

fn tracked(args: &RefsArgs, session: Option<&Session>) -> Result<Vec<Tracked>, CliError> {
    let listed: TrackedRoutes = match (&args.routes, session) {
        (Some(from), _) => {
            let text = read_text(from).map_err(unusable)?;
            serde_json::from_str(&text).map_err(|error| {
                CliError::Unusable(format!(
                    "{from} is not what `switchover route list --json` prints: {error}"
                ))
            })?
        }
        (None, Some(session)) => {
            let reply = session.list("/routes", &[], None).map_err(unusable)?;
            reply.read().map_err(unusable)?
        }
        (None, None) => return Err(CliError::Unusable("there are no routes".to_owned())),
    };
    Ok(listed.into_vec().into_iter().map(standing).collect())
}

fn standing(route: TrackedRoute) -> Tracked {
    let is_last = |stage: &String| stage == switchover::Stage::Mandatory.name();
    let mut stages = route.rollouts.iter().map(|rollout| &rollout.stage);
    let standing = if route.retired_at.is_some() {
        Standing::Retired
    } else if route.rollouts.is_empty() {
        Standing::Unready
    } else if stages.all(is_last) {
        Standing::Mandatory
    } else {
        Standing::Moving
    };
    Tracked {
        key: route.key,
        flag: route.flag,
        standing,
    }
}

fn post(
    session: &Session,
    args: &RefsArgs,
    began: Instant,
    scanned: &Scanned,
    findings: &Findings,
) -> Result<ReferencesPosted, CliError> {
    let counts: BTreeMap<&str, usize> = findings
        .routes
        .iter()
        .map(|route| (route.route.as_str(), route.uses.len()))
        .collect();
    let places: Vec<Value> = findings
        .routes
        .iter()
        .flat_map(|route| {
            let first = route.uses.iter().take(MOST_PLACES_OF_ROUTE);
            first.map(|found| (&route.route, found))
        })
        .take(MOST_PLACES)
        .map(|(route, found)| {
            json!({
                "route": route,
                "file": posted_path(&found.file),
                "line": found.line,
                "column": found.column,
                "name": found.name,
            })
        })
        .collect();
    let body = json!({
        "repository": args.repository,
        "revision": args.revision,
        "took_ms": u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX).saturating_add(1),
        "files": scanned.files,
        "routes": counts,
        "places": places,
    });
    let reply = session.post("/references", &body).map_err(unusable)?;
    reply.read().map_err(unusable)
}

/// A path as the server takes it: names of files may hold anything.
fn posted_path(path: &str) -> String {
    let legal = path.chars().map(|c| if misleads(c) { ' ' } else { c });
    legal.take(LONGEST_PATH).collect()
}

fn as_json(scanned: &Scanned, findings: &Findings, posted: Option<ReferencesPosted>) -> Value {
    let keys = |kind| -> Vec<&str> {
        let routes = findings.of(kind);
        routes.map(|route| route.route.as_str()).collect()
    };
    json!({
        "files": scanned.files,
        "binary": scanned.binary,
        "too_large": scanned.too_large,
        "unread": scanned.unread,
        "routes": findings.routes,
        "mandatory": keys(Kind::Mandatory),
        "retired": keys(Kind::Retired),
        "unreferenced": keys(Kind::Unreferenced),
        "unknown": findings.unknown,
        "posted": posted,
    })
}
