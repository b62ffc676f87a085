//! `census`: which overrides are in force at a site that the server cannot ask.
//!
//! Written there, without a network; carried to the server; imported. Only the flags of routes and
//! `<PREFIX>_FEATURE_DEFAULT_ON` are ever written down: other variables may hold secrets.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::Read as _;
use std::path::PathBuf;

use chrono::{DateTime, SubsecRound as _, Utc};
use clap::{Args, Subcommand};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use switchover::{FlagName, FlagOverride, Overrides, ReleaseName};

use crate::cli::api::encode;
use crate::cli::args::{ReasonArgs, given};
use crate::cli::env_file::EnvArgs;
use crate::cli::error::CliError;
use crate::cli::manifests::KeyArgs;
use crate::cli::output::{Field, count, moment, say, say_json};
use crate::cli::session::Session;
use crate::cli::wire::{self, Page};
use crate::config::{ClientArgs, FileArgs};
use crate::domain::census::SiteName;
use crate::domain::environment::EnvironmentKey;

/// The largest file that is imported, in bytes.
const LARGEST: u64 = 8 * 1024 * 1024;

#[derive(Args, Debug)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
pub(crate) struct CensusArgs {
    #[command(subcommand)]
    command: Option<CensusCommand>,
    /// Name of the site; the latest census of each site counts
    #[arg(long, required = true)]
    site: Option<SiteName>,
    /// Manifest of the release that runs there; without one the server is asked for its flags
    #[arg(long, value_name = "FILE")]
    manifest: Option<PathBuf>,
    /// The environment, when there is no manifest to say it
    #[arg(long, value_name = "ENV", value_parser = parse_environment, required_unless_present = "manifest", conflicts_with = "manifest")]
    environment: Option<EnvironmentKey>,
    #[command(flatten)]
    variables: EnvArgs,
    #[command(flatten)]
    keys: KeyArgs,
    /// Where to write it [default: standard output]
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,
    #[command(flatten)]
    client: ClientArgs,
}

#[derive(Debug, Subcommand)]
enum CensusCommand {
    /// Bring a census to the server
    Import(ImportArgs),
    /// List the latest census of each site
    List(ListArgs),
    /// Forget the census of a site that is gone
    Delete(DeleteArgs),
}

#[derive(Args, Debug)]
struct ImportArgs {
    /// What `census` has written
    #[arg(value_name = "FILE")]
    from: PathBuf,
    /// The environment; it has to be the one that the file says
    #[arg(long, value_name = "ENV", value_parser = parse_environment)]
    environment: EnvironmentKey,
    #[command(flatten)]
    reason: ReasonArgs,
    #[command(flatten)]
    client: ClientArgs,
}

#[derive(Args, Debug)]
struct ListArgs {
    /// Only of this environment
    #[arg(long, value_name = "ENV")]
    environment: Option<String>,
    #[command(flatten)]
    client: ClientArgs,
}

#[derive(Args, Debug)]
struct DeleteArgs {
    /// Key of the environment
    #[arg(value_name = "ENV")]
    environment: String,
    /// Name of the site
    site: String,
    #[command(flatten)]
    client: ClientArgs,
}

/// What is written at the site.
#[derive(Deserialize, Serialize)]
struct CensusFile {
    /// The form of the file.
    census: u32,
    environment: String,
    site: SiteName,
    release: Option<ReleaseName>,
    taken_at: DateTime<Utc>,
    overrides: BTreeMap<FlagName, bool>,
    ignored: BTreeSet<FlagName>,
}

/// The form that this version writes and reads.
const FORM: u32 = 1;

pub(crate) fn run(file: &FileArgs, args: &CensusArgs) -> Result<(), CliError> {
    match &args.command {
        None => take(file, args),
        Some(CensusCommand::Import(args)) => import(file, args),
        Some(CensusCommand::List(args)) => list(file, args),
        Some(CensusCommand::Delete(args)) => delete(file, args),
    }
}

fn take(file: &FileArgs, args: &CensusArgs) -> Result<(), CliError> {
    let Some(site) = &args.site else {
        return Err(CliError::new("name the site with --site"));
    };
    if !args.variables.is_given() {
        return Err(CliError::new(
            "say where the application's variables are: --env-file FILE, or --env for those of this \
             command",
        ));
    }
    let variables = args.variables.read()?;
    let (environment, release, flags) = asked_for(file, args)?;
    let (mut overrides, mut ignored) = (BTreeMap::new(), BTreeSet::new());
    for flag in with_prefixes(flags) {
        match read(&variables, &flag) {
            FlagOverride::Unset => {}
            FlagOverride::On => drop(overrides.insert(flag, true)),
            FlagOverride::Off => drop(overrides.insert(flag, false)),
            FlagOverride::Ignored(_) => drop(ignored.insert(flag)),
        }
    }
    let census = CensusFile {
        census: FORM,
        environment,
        site: site.clone(),
        release,
        taken_at: Utc::now().trunc_subsecs(0),
        overrides,
        ignored,
    };
    let text = serde_json::to_string_pretty(&census)
        .map_err(|error| CliError::new(format!("the census cannot be written: {error}")))?;
    let Some(output) = &args.output else {
        return say(text);
    };
    fs::write(output, format!("{text}\n"))
        .map_err(|error| CliError::new(format!("cannot write {}: {error}", output.display())))?;
    if args.client.json {
        return say_json(&json!({ "census": output, "overrides": census.overrides.len() }));
    }
    say(format!(
        "{} at {} in {}\n  bring it to the server: switchover census import {2} --environment {} \
         --reason …",
        count(census.overrides.len(), "override"),
        census.site,
        output.display(),
        census.environment
    ))
}

/// The environment, the release, and the flags to look for.
fn asked_for(
    file: &FileArgs,
    args: &CensusArgs,
) -> Result<(String, Option<ReleaseName>, BTreeSet<FlagName>), CliError> {
    if let Some(path) = &args.manifest {
        let manifest = args.keys.read(path)?;
        let head = manifest.head();
        // Also of routes at stages that this version does not know.
        let flags = manifest.entries().filter_map(|(_, entry)| {
            let entry: Value = serde_json::from_str(entry).ok()?;
            entry.get("flag")?.as_str()?.parse().ok()
        });
        let environment = head.environment.to_string();
        return Ok((environment, Some(head.release.clone()), flags.collect()));
    }
    let environment = args.environment.as_ref().map(ToString::to_string);
    let session = Session::open(file, &args.client)?;
    let page: Page<wire::Route> = session.list("/routes", &[], None)?.read()?;
    let flags = page
        .items
        .iter()
        .filter_map(|route| route.flag.parse().ok());
    Ok((environment.unwrap_or_default(), None, flags.collect()))
}

/// With the variables that turn on all opt-in routes of a prefix.
fn with_prefixes(mut flags: BTreeSet<FlagName>) -> BTreeSet<FlagName> {
    let all_on = |flag: &FlagName| format!("{}_FEATURE_DEFAULT_ON", flag.prefix()).parse().ok();
    let prefixes: Vec<FlagName> = flags.iter().filter_map(all_on).collect();
    flags.extend(prefixes);
    flags
}

/// `<PREFIX>_FEATURE_DEFAULT_ON` has one legal value; set to another it says nothing.
fn read<'a>(variables: &'a Overrides, flag: &FlagName) -> FlagOverride<'a> {
    let found = variables.flag(flag);
    match found {
        FlagOverride::Off if flag.as_str().ends_with("_FEATURE_DEFAULT_ON") => {
            FlagOverride::Ignored("0")
        }
        other => other,
    }
}

fn import(file: &FileArgs, args: &ImportArgs) -> Result<(), CliError> {
    let failed = |why: String| CliError::new(format!("{}: {why}", args.from.display()));
    let mut text = String::new();
    File::open(&args.from)
        .and_then(|file| file.take(LARGEST + 1).read_to_string(&mut text))
        .map_err(|error| failed(format!("cannot be read: {error}")))?;
    let census: CensusFile =
        serde_json::from_str(&text).map_err(|error| failed(format!("is no census: {error}")))?;
    if census.census != FORM {
        return Err(failed(format!(
            "is a census of form {}, which this version does not know: use a newer one",
            census.census
        )));
    }
    if census.environment != args.environment.as_str() {
        return Err(failed(format!(
            "is of environment {}, not of {}",
            census.environment, args.environment
        )));
    }
    let session = Session::open(file, &args.client)?;
    let body = json!({
        "environment": census.environment,
        "site": census.site,
        "release": census.release,
        "taken_at": census.taken_at,
        "overrides": census.overrides,
        "ignored": census.ignored,
        "reason": args.reason.reason,
    });
    let reply = session.post("/censuses", &body)?;
    session.show(&reply, |_, census: wire::Census| {
        format!(
            "the census of {} of {} is on record: {}",
            census.site,
            moment(census.taken_at),
            count(census.overrides.len(), "override")
        )
    })
}

fn list(file: &FileArgs, args: &ListArgs) -> Result<(), CliError> {
    let session = Session::open(file, &args.client)?;
    let query = given([("environment", &args.environment)]);
    let reply = session.list("/censuses", &query, None)?;
    session.show(&reply, |screen, page: Page<wire::Census>| {
        let header = [
            "environment",
            "site",
            "release",
            "taken",
            "in force",
            "ignored",
        ];
        screen.table(&header, page.items.into_iter().map(row).collect())
    })
}

fn row(census: wire::Census) -> Vec<Field> {
    let overrides: Vec<String> = census
        .overrides
        .iter()
        .map(|(name, on)| format!("{name}={}", u8::from(*on)))
        .collect();
    let ignored: Vec<String> = census.ignored.into_iter().collect();
    vec![
        census.environment.into(),
        census.site.into(),
        census.release.unwrap_or_default().into(),
        moment(census.taken_at).into(),
        overrides.join(", ").into(),
        Field::faint(ignored.join(", ")),
    ]
}

fn delete(file: &FileArgs, args: &DeleteArgs) -> Result<(), CliError> {
    let session = Session::open(file, &args.client)?;
    let (environment, site) = (encode(&args.environment), encode(&args.site));
    session.delete(&format!("/censuses/{environment}/{site}"), &[])?;
    if session.is_json() {
        return say_json(&json!({ "deleted": args.site }));
    }
    say(format!("the census of {} is forgotten", args.site))
}

fn parse_environment(text: &str) -> Result<EnvironmentKey, String> {
    text.parse().map_err(|detail: &str| detail.to_owned())
}
