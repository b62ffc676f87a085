//! `forecast`: what an upgrade changes, before it is made.

use std::path::PathBuf;

use clap::Args;
use serde_json::json;
use switchover::Manifest;

use crate::cli::args::JsonArgs;
use crate::cli::env_file::EnvArgs;
use crate::cli::error::CliError;
use crate::cli::manifests::KeyArgs;
use crate::cli::output::{Field, Screen, count, say, say_json};
use crate::config;
use crate::domain::forecast::{Fate, Outlook, Standing, forecast};

#[derive(Args, Debug)]
pub(crate) struct ForecastArgs {
    /// Manifest of the release that runs
    #[arg(long, value_name = "FILE")]
    from: PathBuf,
    /// Manifest of the release to come
    #[arg(long, value_name = "FILE")]
    to: PathBuf,
    #[command(flatten)]
    variables: EnvArgs,
    #[command(flatten)]
    keys: KeyArgs,
    /// Show every route, also those about which nothing changes
    #[arg(long)]
    all: bool,
    #[command(flatten)]
    json: JsonArgs,
}

pub(crate) fn run(args: &ForecastArgs) -> Result<(), CliError> {
    let (from, to) = (args.keys.read(&args.from)?, args.keys.read(&args.to)?);
    if from.head().environment != to.head().environment {
        return Err(CliError::Unusable(format!(
            "{} is of environment {}, and {} of {}: an installation stays in its environment",
            args.from.display(),
            from.head().environment,
            args.to.display(),
            to.head().environment
        )));
    }
    let overrides = args.variables.read()?;
    let outlooks = forecast(from.table(), to.table(), &overrides);
    let stopping = outlooks.iter().filter(|o| o.loses_override()).count();
    if args.json.json {
        say_json(&json!({
            "environment": from.head().environment,
            "from": described(&from),
            "to": described(&to),
            "verified": args.keys.is_given(),
            "overrides_that_stop": stopping,
            "routes": outlooks,
        }))?;
    } else {
        say(told(args, (&from, &to), &outlooks, stopping))?;
    }
    if stopping == 0 {
        Ok(())
    } else {
        Err(CliError::No)
    }
}

fn told(
    args: &ForecastArgs,
    (from, to): (&Manifest, &Manifest),
    outlooks: &[Outlook],
    stopping: usize,
) -> String {
    let named = |manifest: &Manifest| {
        let head = manifest.head();
        format!(
            "{} (build {}, of {})",
            head.release, head.build, head.frozen_at
        )
    };
    let mut text = format!(
        "{}: {} → {}\n",
        from.head().environment,
        named(from),
        named(to)
    );
    text.push_str(match args.keys.is_given() {
        true => "signatures: good\n",
        false => "signatures: NOT CHECKED, pass --manifest-key\n",
    });
    let is_shown = |outlook: &&Outlook| args.all || outlook.changes() || outlook.variable.is_some();
    let shown: Vec<&Outlook> = outlooks.iter().filter(is_shown).collect();
    if !shown.is_empty() {
        let header = ["route", "stage", "path", "variable", "what becomes of it"];
        let rows = shown.iter().map(|outlook| row(outlook)).collect();
        text.push_str(&Screen::new(config::no_color()).table(&header, rows));
        text.push('\n');
    }
    let changing = outlooks.iter().filter(|outlook| outlook.changes()).count();
    text.push_str(&format!(
        "{}; changing: {changing}; overrides that stop working: {stopping}",
        count(outlooks.len(), "route")
    ));
    text
}

fn row(outlook: &Outlook) -> Vec<Field> {
    let stage = |standing: &Standing| {
        let stage = standing.stage;
        stage.map_or_else(|| "(unknown)".to_owned(), |stage| stage.to_string())
    };
    let change = |of: &dyn Fn(&Standing) -> String| {
        let (from, to) = (outlook.from.as_ref().map(of), outlook.to.as_ref().map(of));
        match (from, to) {
            (Some(from), Some(to)) if from == to => to,
            (from, to) => {
                let shown = |text: Option<String>| text.unwrap_or_else(|| "(none)".to_owned());
                format!("{} → {}", shown(from), shown(to))
            }
        }
    };
    let (variable, fate) = match &outlook.variable {
        None => (String::new(), Field::from("")),
        Some(variable) => {
            let value = variable.asks_for.map_or("…", |path| match path {
                switchover::Path::New => "1",
                switchover::Path::Old => "0",
            });
            let fate = match &variable.fate {
                Fate::Works => Field::good("works"),
                Fate::Stops(why) => Field::bad(format!("STOPS WORKING: {why}")),
                Fate::Idle(why) => Field::faint(format!("without effect: {why}")),
            };
            (format!("{}={value}", variable.name), fate)
        }
    };
    vec![
        outlook.route.to_string().into(),
        change(&stage).into(),
        change(&|standing| standing.path.clone()).into(),
        variable.into(),
        fate,
    ]
}

fn described(manifest: &Manifest) -> serde_json::Value {
    let head = manifest.head();
    json!({
        "release": head.release,
        "build": head.build,
        "after": head.after,
        "based_on": head.based_on,
        "frozen_at": head.frozen_at,
    })
}
