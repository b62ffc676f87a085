//! `export`: all that can be declared, as one file.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use chrono::Utc;
use clap::{Args, ValueEnum};
use switchover::RouteKey;

use crate::cli::declared::look::look;
use crate::cli::error::CliError;
use crate::cli::output::{count, moment, say};
use crate::cli::session::{Session, note};
use crate::config::{ClientArgs, FileArgs};
use crate::domain::declared::Declared;
use crate::domain::environment::EnvironmentKey;

/// How a declaration is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    Yaml,
    Json,
}

#[derive(Args, Debug)]
pub(crate) struct ExportArgs {
    /// How it is written [default: yaml, or what the ending of --output says]
    #[arg(long)]
    format: Option<Format>,
    /// Where to write it [default: standard output]
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Only this route, with the policies, cohorts and ramp groups that it uses
    #[arg(long = "route", value_name = "ROUTE")]
    routes: Vec<String>,
    /// Only this environment
    #[arg(long = "environment", value_name = "ENV")]
    environments: Vec<String>,
    #[command(flatten)]
    client: ClientArgs,
}

pub(crate) fn run(file: &FileArgs, args: &ExportArgs) -> Result<(), CliError> {
    let session = Session::open(file, &args.client)?;
    let whole = look(&session)?;
    let routes = named(
        &args.routes,
        |key: &RouteKey| whole.routes.contains_key(key),
        "route",
    )?;
    let environments = named(
        &args.environments,
        |key: &EnvironmentKey| whole.environments.contains_key(key),
        "environment",
    )?;
    let declared = whole.to_declared(&routes, &environments);
    let format = format_of(args.format, args.output.as_deref(), session.is_json());
    write(&declared, format, args.output.as_deref())?;
    for (route, environment, why) in whole.left_out() {
        let is_here = |all: bool, named: bool| all || named;
        if is_here(routes.is_empty(), routes.contains(&route))
            && is_here(environments.is_empty(), environments.contains(&environment))
        {
            note(&format!("{route} in {environment}: {why}"));
        }
    }
    // Not in the file: two exports of one state are the same bytes.
    let all = declared.routes.as_ref().map_or(0, |routes| routes.len());
    note(&format!(
        "exported {} at {}",
        count(all, "route"),
        moment(Utc::now())
    ));
    Ok(())
}

/// The form that somebody asked for in one way or another.
pub(crate) fn format_of(said: Option<Format>, out: Option<&Path>, json: bool) -> Format {
    let ending = out.and_then(Path::extension);
    let by_name = ending.is_some_and(|ending| ending == "json") || json;
    said.unwrap_or(if by_name { Format::Json } else { Format::Yaml })
}

/// Writes a declaration to a file, or to standard output.
pub(crate) fn write(
    declared: &Declared,
    format: Format,
    out: Option<&Path>,
) -> Result<(), CliError> {
    let text = match format {
        Format::Yaml => declared.to_yaml(),
        Format::Json => declared.to_json(),
    };
    let text = text.map_err(|why| CliError::new(format!("it cannot be written: {why}")))?;
    let Some(out) = out else {
        return say(text.trim_end());
    };
    std::fs::write(out, text)
        .map_err(|error| CliError::new(format!("cannot write {}: {error}", out.display())))
}

fn named<K: std::str::FromStr + Ord>(
    names: &[String],
    is_there: impl Fn(&K) -> bool,
    what: &str,
) -> Result<BTreeSet<K>, CliError> {
    let mut keys = BTreeSet::new();
    for name in names {
        let key = name.parse().ok().filter(|key| is_there(key));
        let missing = || CliError::new(format!("there is no {what} `{name}`"));
        keys.insert(key.ok_or_else(missing)?);
    }
    Ok(keys)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_format_follows_from_the_name() {
        let format = |name: &str| format_of(None, Some(Path::new(name)), false);
        assert_eq!(format("a.json"), Format::Json);
        assert_eq!(format("a.yaml"), Format::Yaml);
        assert_eq!(format("a"), Format::Yaml);
    }
}
