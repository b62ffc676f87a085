//! `explain`: why a caller gets what it gets.

use clap::Args;
use serde_json::json;

use crate::cli::args::TargetArgs;
use crate::cli::error::CliError;
use crate::cli::output::{Field, Screen};
use crate::cli::pairs::{self, Pair};
use crate::cli::session::Session;
use crate::cli::wire::{Explanation, Layer};
use crate::config::{ClientArgs, FileArgs};

#[derive(Args, Debug)]
pub(crate) struct ExplainArgs {
    #[command(flatten)]
    target: TargetArgs,
    /// The key of the call
    #[arg(long)]
    key: Option<String>,
    /// Environment variable of the caller's process; can be repeated
    #[arg(long = "env", value_name = "NAME=VALUE", value_parser = pairs::parse)]
    variables: Vec<Pair>,
    #[command(flatten)]
    client: ClientArgs,
}

pub(crate) fn run(file: &FileArgs, args: &ExplainArgs) -> Result<(), CliError> {
    let session = Session::open(file, &args.client)?;
    let body = json!({ "key": args.key, "env": pairs::map(&args.variables) });
    let reply = session.post(&args.target.below("explain"), &body)?;
    session.show(&reply, told)
}

fn told(screen: &Screen, explained: Explanation) -> String {
    let source = explained.source.unwrap_or_else(|| "nothing".to_owned());
    let mut text = format!(
        "{} path, because {} (from {source}, version {})",
        explained.path, explained.reason, explained.version
    );
    let mut decided = false;
    let rows = explained
        .chain
        .into_iter()
        .map(|layer| row(layer, &mut decided))
        .collect();
    let header = ["", "rule", "path", "says", "hides"];
    text.push_str(&format!("\n\n{}", screen.table(&header, rows)));
    for warning in explained.warnings {
        text.push_str(&format!("\nwarning: {warning}"));
    }
    text
}

/// The first rule that applies decides; it is marked.
fn row(layer: Layer, decided: &mut bool) -> Vec<Field> {
    let decides = layer.path.is_some() && !*decided;
    *decided |= decides;
    let mark = if decides { "=>" } else { "" };
    let says = if layer.path.is_some() {
        layer.says.into()
    } else {
        Field::faint(layer.says)
    };
    vec![
        mark.into(),
        format!("{:>2} {}", layer.number, layer.rule).into(),
        layer.path.unwrap_or_default().into(),
        says,
        layer.hides.join(", ").into(),
    ]
}
