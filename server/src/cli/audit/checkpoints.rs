//! Signed checkpoints of the record: made, listed, and found in files.

use std::collections::BTreeSet;
use std::fs;
use std::io::ErrorKind;
use std::path::PathBuf;

use clap::Args;
use serde_json::json;

use crate::cli::error::CliError;
use crate::cli::output::{Field, moment, say};
use crate::cli::session::{Session, note};
use crate::cli::wire::{Checkpoint, Page};
use crate::config::{ClientArgs, FileArgs};

/// A statement is longer than this, and words with two dots in them are not.
const SHORTEST: usize = 100;

#[derive(Args, Debug)]
pub(super) struct CheckpointArgs {
    /// File to write it to [default: standard output]
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,
    #[command(flatten)]
    client: ClientArgs,
}

#[derive(Args, Debug)]
pub(super) struct CheckpointsArgs {
    /// How many, newest first
    #[arg(long, value_name = "N", default_value = "50", value_parser = clap::value_parser!(u32).range(1..))]
    limit: u32,
    #[command(flatten)]
    client: ClientArgs,
}

/// Makes one; on standard output it is alone, so that it can be kept.
pub(super) fn make(file: &FileArgs, args: &CheckpointArgs) -> Result<(), CliError> {
    let session = Session::open(file, &args.client)?;
    let reply = session.post("/audit/checkpoints", &json!({}))?;
    let made: Checkpoint = reply.read()?;
    if let Some(path) = &args.output {
        fs::write(path, format!("{}\n", made.signed))
            .map_err(|error| CliError::new(format!("cannot write {}: {error}", path.display())))?;
    }
    note(&format!(
        "signed: entry {} of {}; keep it where nobody who can change the record can change it",
        made.seq,
        moment(made.at)
    ));
    if session.is_json() {
        return say(reply.text());
    }
    match &args.output {
        Some(_) => Ok(()),
        None => say(made.signed),
    }
}

pub(super) fn list(file: &FileArgs, args: &CheckpointsArgs) -> Result<(), CliError> {
    let session = Session::open(file, &args.client)?;
    let limit = usize::try_from(args.limit).ok();
    let reply = session.list("/audit/checkpoints", &[], limit)?;
    session.show(&reply, |screen, page: Page<Checkpoint>| {
        if page.items.is_empty() {
            return "no checkpoints".to_owned();
        }
        let row = |each: Checkpoint| -> Vec<Field> {
            vec![
                each.seq.to_string().into(),
                moment(each.at).into(),
                each.hash.into(),
            ]
        };
        let rows = page.items.into_iter().map(row).collect();
        screen.table(&["seq", "at", "hash"], rows)
    })
}

/// The checkpoints in these arguments: each is one, or a file with any number in any text, such as a
/// log or an answer of the server.
pub(super) fn find(given: &[String]) -> Result<Vec<String>, CliError> {
    let mut found = Vec::new();
    for argument in given {
        let of_argument = statements(argument);
        let of_file = match fs::read(argument) {
            Ok(bytes) => statements(&String::from_utf8_lossy(&bytes)),
            Err(error) if of_argument.is_empty() && error.kind() != ErrorKind::NotFound => {
                return Err(CliError::new(format!("cannot read {argument}: {error}")));
            }
            Err(_) => of_argument,
        };
        if of_file.is_empty() {
            return Err(CliError::new(format!(
                "--checkpoint: {} is no checkpoint, and no file with one",
                argument.chars().take(80).collect::<String>()
            )));
        }
        found.extend(of_file);
    }
    let mut seen = BTreeSet::new();
    found.retain(|statement| seen.insert(statement.clone()));
    Ok(found)
}

/// Whatever looks like a signed statement in a text.
fn statements(text: &str) -> Vec<String> {
    let legal = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    text.split(|c: char| !legal(c))
        .filter(|word| word.len() >= SHORTEST && word.starts_with("ey"))
        .filter(|word| word.matches('.').count() == 2)
        .map(str::to_owned)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statements_are_found_in_any_text() {
        let one = format!(
            "ey{}.{}.{}",
            "a".repeat(40),
            "b".repeat(40),
            "c-_".repeat(20)
        );
        let two = one.replace('a', "d");
        let text = format!("INFO signed seq=3 checkpoint={one}\n{{\"signed\":\"{two}\"}} eyx.y.z");
        assert_eq!(statements(&text), [one.clone(), two.clone()]);
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(file.path(), text).unwrap();
        let path = file.path().display().to_string();
        assert_eq!(find(&[one.clone(), path]).unwrap(), [one, two]);
        assert!(find(&["nonsense".to_owned()]).is_err());
    }
}
