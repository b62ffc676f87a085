//! `release`: what installations run, with the stages that it froze.

mod key;

use std::fs;
use std::path::PathBuf;

use clap::{Args, Subcommand};
use serde_json::json;

use crate::cli::api::encode;
use crate::cli::args::{ReasonArgs, given};
use crate::cli::error::CliError;
use crate::cli::output::{Field, count, moment, say, say_json};
use crate::cli::session::Session;
use crate::cli::wire::{Environment, Page, Release};
use crate::config::{ClientArgs, FileArgs};

#[derive(Debug, Subcommand)]
pub(crate) enum ReleaseCommand {
    /// Freeze an environment's stages into a draft; one that is there already is frozen again
    Create(CreateArgs),
    /// List releases, drafts included
    List(ListArgs),
    /// Everything about a release
    Show(ShowArgs),
    /// Publish a draft: from then on it stays as it is
    Publish(PublishArgs),
    /// Print the signed manifest that builds embed
    Manifest(ManifestArgs),
    /// Delete a draft
    Delete(ShowArgs),
    /// The keys that sign manifests
    #[command(subcommand)]
    Key(key::KeyCommand),
}

/// Which release.
#[derive(Args, Debug)]
struct NameArgs {
    /// Its name, such as 17.5.0
    #[arg(value_name = "RELEASE")]
    name: String,
    /// Its environment [default: the only one of the kind on_prem]
    #[arg(long, value_name = "ENV")]
    environment: Option<String>,
}

#[derive(Args, Debug)]
pub(crate) struct CreateArgs {
    #[command(flatten)]
    release: NameArgs,
    /// The release that it comes after [default: the one it had, or that it is based on]
    #[arg(long, value_name = "RELEASE")]
    after: Option<String>,
    /// The published release whose stages a patch keeps
    #[arg(long, value_name = "RELEASE")]
    based_on: Option<String>,
    #[command(flatten)]
    reason: ReasonArgs,
    #[command(flatten)]
    client: ClientArgs,
}

#[derive(Args, Debug)]
pub(crate) struct ListArgs {
    /// Only of this environment
    #[arg(long, value_name = "ENV")]
    environment: Option<String>,
    #[command(flatten)]
    client: ClientArgs,
}

#[derive(Args, Debug)]
pub(crate) struct ShowArgs {
    #[command(flatten)]
    release: NameArgs,
    #[command(flatten)]
    client: ClientArgs,
}

#[derive(Args, Debug)]
pub(crate) struct PublishArgs {
    #[command(flatten)]
    release: NameArgs,
    #[command(flatten)]
    reason: ReasonArgs,
    #[command(flatten)]
    client: ClientArgs,
}

#[derive(Args, Debug)]
pub(crate) struct ManifestArgs {
    #[command(flatten)]
    release: NameArgs,
    /// Write it to this file, as it is
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,
    #[command(flatten)]
    client: ClientArgs,
}

pub(crate) fn run(file: &FileArgs, command: &ReleaseCommand) -> Result<(), CliError> {
    match command {
        ReleaseCommand::Create(args) => create(file, args),
        ReleaseCommand::List(args) => list(file, args),
        ReleaseCommand::Show(args) => show(file, args),
        ReleaseCommand::Publish(args) => publish(file, args),
        ReleaseCommand::Manifest(args) => manifest(file, args),
        ReleaseCommand::Delete(args) => delete(file, args),
        ReleaseCommand::Key(command) => key::run(file, command),
    }
}

impl NameArgs {
    fn environment(&self, session: &Session) -> Result<String, CliError> {
        if let Some(environment) = &self.environment {
            return Ok(environment.clone());
        }
        let page: Page<Environment> = session.get("/environments", &[])?.read()?;
        let on_prem = page.items.into_iter().filter(|each| each.kind == "on_prem");
        let keys: Vec<String> = on_prem.map(|each| each.key).collect();
        match <[String; 1]>::try_from(keys) {
            Ok([only]) => Ok(only),
            Err(keys) if keys.is_empty() => Err(CliError::new(
                "there is no environment of the kind on_prem: add one with `switchover environment \
                 add`",
            )),
            Err(keys) => Err(CliError::new(format!(
                "say which environment with --environment: {}",
                keys.join(", ")
            ))),
        }
    }

    fn path(&self, session: &Session) -> Result<String, CliError> {
        let environment = encode(&self.environment(session)?);
        Ok(format!("/releases/{environment}/{}", encode(&self.name)))
    }
}

fn create(file: &FileArgs, args: &CreateArgs) -> Result<(), CliError> {
    let session = Session::open(file, &args.client)?;
    let body = json!({
        "environment": args.release.environment(&session)?,
        "name": args.release.name,
        "after": args.after,
        "based_on": args.based_on,
        "reason": args.reason.reason,
    });
    let reply = session.post("/releases", &body)?;
    session.show(&reply, |_, made: Release| {
        let routes = count(usize::try_from(made.routes).unwrap_or(usize::MAX), "route");
        let place = match (&made.based_on, &made.after) {
            (Some(parent), _) => format!(", at the stages of {parent}"),
            (None, Some(after)) => format!(", after {after}"),
            (None, None) => String::new(),
        };
        format!(
            "{} build {} is a draft: {routes} of {} frozen{place}",
            made.name, made.build, made.environment
        )
    })
}

fn list(file: &FileArgs, args: &ListArgs) -> Result<(), CliError> {
    let session = Session::open(file, &args.client)?;
    let query = given([("environment", &args.environment)]);
    let reply = session.list("/releases", &query, None)?;
    session.show(&reply, |screen, page: Page<Release>| {
        let header = [
            "environment",
            "release",
            "build",
            "state",
            "after",
            "based on",
            "frozen",
        ];
        screen.table(&header, page.items.into_iter().map(row).collect())
    })
}

fn row(release: Release) -> Vec<Field> {
    let state = match release.published_at {
        Some(at) => Field::good(format!("published {}", moment(at))),
        None => Field::faint(release.state),
    };
    vec![
        release.environment.into(),
        release.name.into(),
        release.build.to_string().into(),
        state,
        release.after.unwrap_or_default().into(),
        release.based_on.unwrap_or_default().into(),
        moment(release.frozen_at).into(),
    ]
}

fn show(file: &FileArgs, args: &ShowArgs) -> Result<(), CliError> {
    let session = Session::open(file, &args.client)?;
    let reply = session.get(&args.release.path(&session)?, &[])?;
    session.show(&reply, |_, release: Release| {
        let none = || "-".to_owned();
        let lines = [
            ("release", release.name),
            ("environment", release.environment),
            ("build", release.build.to_string()),
            ("state", release.state),
            ("after", release.after.unwrap_or_else(none)),
            ("based on", release.based_on.unwrap_or_else(none)),
            ("routes", release.routes.to_string()),
            ("digest", release.digest),
            ("frozen", moment(release.frozen_at)),
            (
                "built",
                format!("{} by {}", moment(release.built_at), release.built_by),
            ),
            (
                "published",
                match (release.published_at, release.published_by) {
                    (Some(at), Some(by)) => format!("{} by {by}", moment(at)),
                    _ => none(),
                },
            ),
        ];
        let lines: Vec<String> = lines
            .into_iter()
            .map(|(name, value)| format!("{name:<12} {value}"))
            .collect();
        lines.join("\n")
    })
}

fn publish(file: &FileArgs, args: &PublishArgs) -> Result<(), CliError> {
    let session = Session::open(file, &args.client)?;
    let path = format!("{}/publish", args.release.path(&session)?);
    let reply = session.post(&path, &json!({ "reason": args.reason.reason }))?;
    session.show(&reply, |_, release: Release| {
        format!(
            "{} build {} is published, and stays as it is",
            release.name, release.build
        )
    })
}

fn manifest(file: &FileArgs, args: &ManifestArgs) -> Result<(), CliError> {
    let session = Session::open(file, &args.client)?;
    let path = format!("{}/manifest", args.release.path(&session)?);
    let reply = session.get(&path, &[])?;
    let Some(output) = &args.output else {
        return say(reply.text().trim_end());
    };
    // Byte for byte: the signatures are over these.
    fs::write(output, reply.text())
        .map_err(|error| CliError::new(format!("cannot write {}: {error}", output.display())))?;
    if session.is_json() {
        return say_json(&json!({ "manifest": output }));
    }
    say(format!(
        "{} is written to {}",
        args.release.name,
        output.display()
    ))
}

fn delete(file: &FileArgs, args: &ShowArgs) -> Result<(), CliError> {
    let session = Session::open(file, &args.client)?;
    session.delete(&args.release.path(&session)?, &[])?;
    if session.is_json() {
        return say_json(&json!({ "deleted": args.release.name }));
    }
    say(format!("{} is deleted", args.release.name))
}
