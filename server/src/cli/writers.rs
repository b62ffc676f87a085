//! `writers`: the processes that write a data route, and who of them is gone.

use clap::{Args, Subcommand};
use serde_json::json;

use crate::cli::api::encode;
use crate::cli::args::{ReasonArgs, TargetArgs};
use crate::cli::error::CliError;
use crate::cli::output::{Field, Screen, count, moment, one_line};
use crate::cli::session::Session;
use crate::cli::wire::{Page, Writer};
use crate::config::{ClientArgs, FileArgs};

#[derive(Debug, Subcommand)]
pub(crate) enum WritersCommand {
    /// The processes that flips of a route wait for
    List(ListArgs),
    /// Vouch that a process is gone, so that flips do not wait for it
    ///
    /// What a process that still runs wrote meanwhile could be lost: be sure that it has ended.
    Gone(GoneArgs),
}

#[derive(Args, Debug)]
pub(crate) struct ListArgs {
    #[command(flatten)]
    target: TargetArgs,
    #[command(flatten)]
    client: ClientArgs,
}

#[derive(Args, Debug)]
pub(crate) struct GoneArgs {
    #[command(flatten)]
    target: TargetArgs,
    /// Identity of the process, as `writers list` shows it
    instance: String,
    #[command(flatten)]
    reason: ReasonArgs,
    #[command(flatten)]
    client: ClientArgs,
}

pub(crate) fn run(file: &FileArgs, command: &WritersCommand) -> Result<(), CliError> {
    match command {
        WritersCommand::List(args) => {
            let session = Session::open(file, &args.client)?;
            let reply = session.list(&args.target.below("writers"), &[], None)?;
            session.show(&reply, |screen, page: Page<Writer>| {
                table(screen, page.items)
            })
        }
        WritersCommand::Gone(args) => {
            let session = Session::open(file, &args.client)?;
            let path = format!("writers/{}/gone", encode(&args.instance));
            let body = json!({ "reason": args.reason.reason });
            let reply = session.post(&args.target.below(&path), &body)?;
            session.show(&reply, |_, writer: Writer| {
                format!(
                    "{} is gone: flips of {} in {} do not wait for it",
                    one_line(&writer.name),
                    args.target.route,
                    args.target.environment
                )
            })
        }
    }
}

/// Those first that keep keys from moving.
fn table(screen: &Screen, mut writers: Vec<Writer>) -> String {
    if writers.is_empty() {
        return "no process has said that it writes this route".to_owned();
    }
    let rank = |state: &str| match state {
        "vanished" => 0,
        "known" => 1,
        _ => 2,
    };
    writers.sort_by_cached_key(|writer| (rank(&writer.state), writer.name.clone()));
    let vanished = writers.iter().filter(|it| it.state == "vanished").count();
    let header = [
        "process",
        "instance",
        "state",
        "last seen",
        "generation",
        "fence",
        "repairs",
    ];
    let total = count(writers.len(), "writer");
    let table = screen.table(&header, writers.iter().map(row).collect());
    match vanished {
        0 => format!("{table}\n{total}"),
        more => format!("{table}\n{total}, {more} vanished: while that is so, no key can move"),
    }
}

fn row(writer: &Writer) -> Vec<Field> {
    let state = match (&writer.gone, writer.state.as_str()) {
        (Some(gone), _) => Field::faint(format!("gone, says {}: {}", gone.by, gone.reason)),
        (None, "vanished") => Field::bad("vanished"),
        (None, other) => other.into(),
    };
    let repairs = match writer.open_repairs {
        0 => "".into(),
        open => Field::bad(open.to_string()),
    };
    vec![
        writer.name.clone().into(),
        writer.instance.clone().into(),
        state,
        moment(writer.seen_at).into(),
        writer.generation.to_string().into(),
        if writer.fenced { "yes" } else { "" }.into(),
        repairs,
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn those_that_block_come_first() {
        let writer = |name: &str, state: &str| Writer {
            instance: format!("id-{name}"),
            name: name.to_owned(),
            state: state.to_owned(),
            seen_at: "2026-01-05T10:00:00Z".parse().unwrap(),
            generation: 7,
            fenced: name == "web-2",
            open_repairs: 0,
            gone: None,
        };
        let writers = vec![
            writer("web-1", "known"),
            writer("web-2", "vanished"),
            writer("web-3", "gone"),
        ];
        let shown = table(&Screen::new(true), writers);
        let place = |name: &str| shown.find(name).unwrap();
        assert!(place("web-2") < place("web-1") && place("web-1") < place("web-3"));
        assert!(shown.contains("1 vanished"), "{shown}");
    }
}
