//! The record into a file.

use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, BufWriter, ErrorKind, IsTerminal as _, Write};
use std::path::PathBuf;

use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};

use crate::cli::args::given;
use crate::cli::error::CliError;
use crate::cli::session::{Session, note};
use crate::config::{ClientArgs, FileArgs};

#[derive(Args, Debug)]
pub(super) struct ExportArgs {
    /// File to write; it must not exist [default: standard output]
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Number of the first entry, or the time from which on, such as 2026-01-01T00:00:00Z
    #[arg(long, value_name = "SEQ|TIME")]
    from: Option<String>,
    /// Number of the last entry, or the time before which
    #[arg(long, value_name = "SEQ|TIME")]
    to: Option<String>,
    /// Only on this route
    #[arg(long)]
    route: Option<String>,
    /// Only in this environment
    #[arg(long, value_name = "ENV")]
    environment: Option<String>,
    /// Only by this person
    #[arg(long, value_name = "SUBJECT")]
    by: Option<String>,
    /// Only of this kind, such as halt
    #[arg(long)]
    action: Option<String>,
    #[command(flatten)]
    client: ClientArgs,
}

pub(super) fn run(file: &FileArgs, args: &ExportArgs) -> Result<(), CliError> {
    let session = Session::open(file, &args.client)?;
    let query = given([
        ("from", &args.from),
        ("to", &args.to),
        ("route", &args.route),
        ("environment", &args.environment),
        ("by", &args.by),
        ("action", &args.action),
    ]);
    let lines = BufReader::new(session.stream("/audit/export", &query)?);
    let progress = progress();
    let written = match &args.output {
        None => copy(lines, &mut io::stdout().lock(), &progress),
        Some(path) => {
            let failed = |error: io::Error| {
                CliError::new(format!("cannot write {}: {error}", path.display()))
            };
            let mut out = BufWriter::new(File::create_new(path).map_err(failed)?);
            let written = copy(lines, &mut out, &progress);
            let finished = out.into_inner().map_err(|error| error.into_error());
            let finished = finished.and_then(|file| file.sync_all()).map_err(failed);
            let written = written.and_then(|written| finished.map(|()| written));
            if written.is_err() {
                // A part could be taken for the whole; why it is one is what the caller is told.
                let _ = fs::remove_file(path);
            }
            written
        }
    };
    progress.finish_and_clear();
    let where_to = args.output.as_ref().map(|path| path.display().to_string());
    let written = written?;
    note(&format!(
        "{} in {}",
        entries(written),
        where_to.as_deref().unwrap_or("standard output")
    ));
    Ok(())
}

fn entries(number: usize) -> String {
    match number {
        1 => "1 entry".to_owned(),
        many => format!("{many} entries"),
    }
}

/// Copies line by line; gives how many.
fn copy(
    mut lines: impl BufRead,
    out: &mut impl Write,
    progress: &ProgressBar,
) -> Result<usize, CliError> {
    let mut line = Vec::new();
    let mut written = 0;
    loop {
        line.clear();
        let read = lines.read_until(b'\n', &mut line).map_err(|error| {
            CliError::new(format!(
                "the export broke off after {}: {error}",
                entries(written)
            ))
        })?;
        if read == 0 {
            break;
        }
        out.write_all(&line).map_err(not_written)?;
        written += 1;
        progress.inc(1);
    }
    out.flush().map_err(not_written)?;
    Ok(written)
}

fn not_written(error: io::Error) -> CliError {
    match error.kind() {
        ErrorKind::BrokenPipe => CliError::ReaderGone,
        _ => CliError::new(format!("cannot write the export: {error}")),
    }
}

/// How far it has come, on a terminal.
fn progress() -> ProgressBar {
    if !io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let bar = ProgressBar::new_spinner();
    if let Ok(style) = ProgressStyle::with_template("{spinner} {human_pos} entries, {per_sec}") {
        bar.set_style(style);
    }
    bar
}
