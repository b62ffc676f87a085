//! What a change of a rollout has done. One that moves keys between the stores of a data route is only
//! announced at first: a command waits for the end of it.

use std::thread;
use std::time::{Duration, Instant};

use crate::cli::api::Reply;
use crate::cli::args::TargetArgs;
use crate::cli::error::CliError;
use crate::cli::output::{one_line, say};
use crate::cli::rollout::{state, told};
use crate::cli::session::Session;
use crate::cli::wire::{Rollout, Transition};

/// An announcement ends within two seconds.
const PATIENCE: Duration = Duration::from_secs(3);
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// Shows what a change has done; waits where it is announced, and fails where it is given up then.
pub(crate) fn show_done(
    session: &Session,
    target: &TargetArgs,
    reply: &Reply,
) -> Result<(), CliError> {
    let transition: Transition = reply.read()?;
    let announced = transition.rollout.generation;
    if transition.rollout.hold.is_none() {
        return session.show(reply, |_, transition: Transition| told(&transition));
    }
    let rollout = ended(session, target)?;
    if session.is_json() {
        say(reply.text())?;
    } else {
        say(told_end(target, announced, &rollout))?;
    }
    let last = rollout.last_flip.as_ref();
    match last.filter(|last| last.generation == announced && last.outcome == "made") {
        Some(_) => Ok(()),
        None => Err(CliError::No),
    }
}

/// The rollout once nothing is announced any more, or when that takes too long.
fn ended(session: &Session, target: &TargetArgs) -> Result<Rollout, CliError> {
    let began = Instant::now();
    loop {
        thread::sleep(LOOK_EVERY);
        let rollout: Rollout = session.get(&target.path(), &[])?.read()?;
        if rollout.hold.is_none() || began.elapsed() >= PATIENCE {
            return Ok(rollout);
        }
    }
}

fn told_end(target: &TargetArgs, announced: u64, rollout: &Rollout) -> String {
    let (route, environment) = (&target.route, &target.environment);
    if let Some(hold) = &rollout.hold {
        return format!(
            "{route} in {environment}: {} by {} is still announced: see how it ends with switchover \
             watch {route} {environment}",
            hold.action,
            one_line(&hold.by)
        );
    }
    let stands = format!("{}, {}", rollout.stage, state(rollout));
    match &rollout.last_flip {
        Some(last) if last.generation != announced => {
            format!("{route} in {environment}: another change came in between; {stands}")
        }
        Some(last) if last.outcome == "made" => format!(
            "{route} in {environment}: {stands} (writes of the keys that moved waited {} ms at the \
             most)",
            last.waited_ms
        ),
        Some(last) => format!(
            "{route} in {environment}: GIVEN UP, nothing has changed: {}; {stands}",
            one_line(&last.detail)
        ),
        None => format!("{route} in {environment}: {stands}"),
    }
}
