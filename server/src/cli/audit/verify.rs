//! Whether the record is whole: the server's, or that of an export.

use std::fs::{self, File};
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};

use clap::Args;
use serde_json::{Value, json};

use super::checkpoints;
use crate::cli::error::CliError;
use crate::cli::output::{say, say_json};
use crate::cli::session::Session;
use crate::cli::wire::{Given, Verification};
use crate::config::{ClientArgs, FileArgs};
use crate::domain::chain::BrokenChain;
use crate::domain::checkpoint::Verdict;
use crate::domain::export::{Holds, Reading};
use crate::token::{PublicKey, SignedStatement};

#[derive(Args, Debug)]
pub(super) struct VerifyArgs {
    /// A checkpoint that was kept elsewhere, or a file with some, such as a server's log
    #[arg(long, value_name = "FILE|TEXT", num_args = 1)]
    checkpoint: Vec<String>,
    /// Verify an export instead of the server's record; needs no server
    #[arg(long, value_name = "EXPORT")]
    file: Option<PathBuf>,
    /// The key that checkpoints are checked with, in PEM; without it their signatures are not checked
    #[arg(long, value_name = "PEM", requires = "file")]
    public_key: Option<PathBuf>,
    #[command(flatten)]
    client: ClientArgs,
}

pub(super) fn run(file: &FileArgs, args: &VerifyArgs) -> Result<(), CliError> {
    let given = checkpoints::find(&args.checkpoint)?;
    match &args.file {
        Some(export) => of_file(export, &given, args),
        None => of_server(file, &given, args),
    }
}

fn of_server(file: &FileArgs, given: &[String], args: &VerifyArgs) -> Result<(), CliError> {
    let session = Session::open(file, &args.client)?;
    let reply = session.post("/audit/verify", &json!({ "checkpoints": given }))?;
    session.show(&reply, |_, found: Verification| told(&found))?;
    let found: Verification = reply.read()?;
    let fits = found.given.iter().all(|given| given.verdict == "fits");
    if found.intact && fits {
        Ok(())
    } else {
        Err(CliError::No)
    }
}

fn told(found: &Verification) -> String {
    let mut lines = vec![match (found.broken_at, &found.detail) {
        (Some(seq), detail) => format!(
            "BROKEN at entry {seq}: {}\n{} entries before it fit",
            detail.as_deref().unwrap_or("it does not fit"),
            found.entries
        ),
        (None, _) => format!("intact: all {} entries fit", found.entries),
    }];
    if found.checkpoints > 0 {
        lines.push(match found.checkpoints {
            1 => "1 stored checkpoint fits".to_owned(),
            many => format!("{many} stored checkpoints fit"),
        });
    }
    lines.extend(found.notes.iter().map(|note| format!("note: {note}")));
    lines.extend(found.given.iter().map(of_given));
    lines.join("\n")
}

fn of_given(given: &Given) -> String {
    let unchecked = if given.signature_checked {
        ""
    } else {
        " (its signature was not checked: it is another key's)"
    };
    let verdict = match given.verdict.as_str() {
        "fits" => "fits".to_owned(),
        "restored" => format!(
            "is not in this record, and a restore says why: {}",
            given.detail.as_deref().unwrap_or_default()
        ),
        _ => format!(
            "DOES NOT FIT: {}",
            given.detail.as_deref().unwrap_or_default()
        ),
    };
    format!("the checkpoint of entry {} {verdict}{unchecked}", given.seq)
}

fn of_file(export: &Path, given: &[String], args: &VerifyArgs) -> Result<(), CliError> {
    let key = args.public_key.as_deref().map(public_key).transpose()?;
    let read = given.iter().map(|signed| {
        SignedStatement::read(signed, key.as_ref())
            .map_err(|error| CliError::new(format!("--checkpoint: {error}")))
    });
    let given: Vec<SignedStatement> = read.collect::<Result<_, _>>()?;
    let statements = given.iter().map(|given| given.statement.clone()).collect();
    let verified = read_export(export, Reading::new(statements))?;
    let fits = match &verified {
        Ok(holds) => {
            holds.entries > 0
                && holds
                    .verdicts
                    .iter()
                    .all(|verdict| *verdict == Some(Verdict::Fits))
        }
        Err(_) => false,
    };
    if args.client.json {
        say_json(&for_programs(&verified, &given))?;
    } else {
        say(for_people(&verified, &given))?;
    }
    if fits { Ok(()) } else { Err(CliError::No) }
}

fn read_export(
    export: &Path,
    mut reading: Reading,
) -> Result<Result<Holds, BrokenChain>, CliError> {
    let failed =
        |error: std::io::Error| CliError::new(format!("cannot read {}: {error}", export.display()));
    let mut lines = BufReader::new(File::open(export).map_err(failed)?);
    let mut line = Vec::new();
    while lines.read_until(b'\n', &mut line).map_err(failed)? > 0 {
        // What is not UTF-8 is not what was exported, and does not fit.
        if let Err(broken) = reading.step(String::from_utf8_lossy(&line).trim_end_matches('\n')) {
            return Ok(Err(broken));
        }
        line.clear();
    }
    Ok(Ok(reading.end()))
}

fn for_people(verified: &Result<Holds, BrokenChain>, given: &[SignedStatement]) -> String {
    let holds = match verified {
        Err(broken) => return format!("BROKEN at entry {}: {}", broken.seq, broken.detail),
        Ok(holds) => holds,
    };
    let (Some(first), Some(last)) = (holds.first, holds.last) else {
        return "the file has no entries".to_owned();
    };
    let mut lines = vec![match (first, holds.gaps) {
        (1, 0) => format!(
            "intact: all {} entries fit, from the first on",
            holds.entries
        ),
        (_, 0) => format!("intact: entries {first} to {last} fit"),
        (_, gaps) => format!(
            "{} entries between {first} and {last} fit, each by itself: {gaps} times, entries are \
             left out between two of them",
            holds.entries
        ),
    }];
    for (given, verdict) in given.iter().zip(&holds.verdicts) {
        let seq = given.statement.seq;
        lines.push(match verdict {
            Some(Verdict::Fits) => format!("the checkpoint of entry {seq} fits"),
            Some(Verdict::Contradicts(detail)) => {
                format!("the checkpoint of entry {seq} DOES NOT FIT: {detail}")
            }
            Some(Verdict::Restored(detail)) => format!(
                "the checkpoint of entry {seq} is not in this file, and a restore says why: {detail}"
            ),
            None if seq > last => format!(
                "the file ends at entry {last}, but a checkpoint says {seq}: the file was made \
                 before it, or its end was cut off"
            ),
            None => format!("the file does not hold entry {seq}, of which a checkpoint speaks"),
        });
        if !given.checked {
            lines
                .push("  its signature was not checked: pass its key with --public-key".to_owned());
        }
    }
    lines.join("\n")
}

fn for_programs(verified: &Result<Holds, BrokenChain>, given: &[SignedStatement]) -> Value {
    match verified {
        Err(broken) => json!({
            "intact": false,
            "broken_at": broken.seq,
            "detail": broken.detail,
        }),
        Ok(holds) => {
            let given = given.iter().zip(&holds.verdicts).map(|(given, verdict)| {
                let (verdict, detail) = match verdict {
                    None => ("not_in_file", None),
                    Some(Verdict::Fits) => ("fits", None),
                    Some(Verdict::Contradicts(detail)) => ("contradicts", Some(detail)),
                    Some(Verdict::Restored(detail)) => ("restored", Some(detail)),
                };
                json!({
                    "seq": given.statement.seq,
                    "epoch": given.statement.epoch,
                    "verdict": verdict,
                    "detail": detail,
                    "signature_checked": given.checked,
                })
            });
            json!({
                "intact": true,
                "entries": holds.entries,
                "first": holds.first,
                "last": holds.last,
                "gaps": holds.gaps,
                "given": given.collect::<Vec<_>>(),
            })
        }
    }
}

fn public_key(path: &Path) -> Result<PublicKey, CliError> {
    let failed = |why: String| CliError::new(format!("cannot use {}: {why}", path.display()));
    let pem = fs::read_to_string(path).map_err(|error| failed(error.to_string()))?;
    PublicKey::from_pem(&pem).map_err(|error| failed(error.to_string()))
}
