//! `halt`: the kill switch, of one rollout or of many.

use clap::{Args, ValueEnum};
use serde::Serialize;
use serde_json::json;

use crate::cli::args::{LossArgs, ReasonArgs};
use crate::cli::error::CliError;
use crate::cli::rollout::told;
use crate::cli::selection::SelectionArgs;
use crate::cli::session::Session;
use crate::cli::wire::{HaltedMany, Transition};
use crate::config::{ClientArgs, FileArgs};

#[derive(Args, Debug)]
#[command(override_usage = "switchover halt ROUTE ENV --reason TEXT\n       \
                      switchover halt --environment ENV [--owner OWNER] [--label LABEL] [--route ROUTE]... --reason TEXT")]
pub(crate) struct HaltArgs {
    #[command(flatten)]
    selection: SelectionArgs,
    /// What becomes of the mirror of the one route; `off` needs a backfill before a resume
    #[arg(long, value_enum, default_value_t, conflicts_with = "environment")]
    mirror: MirrorAtHalt,
    #[command(flatten)]
    loss: LossArgs,
    #[command(flatten)]
    reason: ReasonArgs,
    #[command(flatten)]
    client: ClientArgs,
}

/// What becomes of the mirror.
#[derive(Clone, Copy, Debug, Default, Serialize, ValueEnum)]
#[serde(rename_all = "snake_case")]
enum MirrorAtHalt {
    /// It goes on
    #[default]
    Keep,
    /// Nothing is copied any more
    Off,
}

pub(crate) fn run(file: &FileArgs, args: &HaltArgs) -> Result<(), CliError> {
    let session = Session::open(file, &args.client)?;
    let reason = &args.reason.reason;
    if let Some(target) = args.selection.one() {
        let body = json!({
            "reason": reason,
            "mirror": args.mirror,
            "accept_loss": args.loss.accept_loss,
        });
        let reply = session.post(&target.below("halt"), &body)?;
        return session.show(&reply, |_, transition: Transition| told(&transition));
    }
    let mut body = args.selection.many(reason);
    if let Some(fields) = body.as_object_mut() {
        fields.insert("accept_loss".to_owned(), json!(args.loss.accept_loss));
    }
    let reply = session.post("/halts", &body)?;
    session.show(&reply, |_, done: HaltedMany| told_of_many(&done))
}

fn told_of_many(done: &HaltedMany) -> String {
    let mut text = format!(
        "{} halted in {}, {} were halted already",
        done.halted.len(),
        done.environment,
        done.already_halted.len()
    );
    if !done.halted.is_empty() {
        text.push_str(&format!("\nhalted: {}", done.halted.join(" ")));
    }
    for at_risk in &done.at_risk {
        text.push_str(&format!(
            "\nNOT halted: {}: {}",
            at_risk.route, at_risk.detail
        ));
    }
    if !done.mandatory.is_empty() {
        text.push_str(&format!(
            "\nNOT halted, because they are mandatory: {}\n  an admin can take one back: switchover \
             demote ROUTE {} --to opt_out --break-glass --halt --reason TEXT",
            done.mandatory.join(" "),
            done.environment
        ));
    }
    text
}
