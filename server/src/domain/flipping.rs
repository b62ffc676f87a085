//! Changes that move keys between the two stores of a data route. They are announced first, and made
//! when every process that writes has let go of the keys; what makes things safer is made at once.

use chrono::SecondsFormat;
use switchover::{Mirror, Overrides, Percent, Setting, Stage, Table, decide};

use crate::domain::command::Command;
use crate::domain::doubling::{Hold, Outcome};
use crate::domain::facts::Facts;
use crate::domain::flip::LONGEST_HOLD;
use crate::domain::refusal::Refusal;
use crate::domain::rollout::Rollout;
use crate::domain::route::Operation;
use crate::domain::writer::Writing;

/// While a flip is under way, only what makes things safer may change the rollout.
pub(super) fn not_under_way(rollout: &Rollout, command: &Command) -> Result<(), Refusal> {
    match &rollout.data.hold {
        Some(hold) if !command.ends_holds() => Err(Refusal::FlipUnderWay(format!(
            "keys of `{0}` are about to move in {1} ({2} by {3}), until {4} at the latest: wait for \
             the end of it; a halt works at once (switchover halt {0} {1} --reason …)",
            rollout.route,
            rollout.environment,
            hold.command.action(),
            hold.actor.subject,
            hold.until.to_rfc3339_opts(SecondsFormat::Millis, true),
        ))),
        _ => Ok(()),
    }
}

/// Judges what a planned change does to authority. Gives the rollout with the announcement where it
/// has to be announced; else raises the generation where keys move without it.
pub(super) fn judge(
    rollout: &Rollout,
    after: &mut Rollout,
    command: &Command,
    facts: &Facts,
) -> Result<Option<Rollout>, Refusal> {
    let now = facts.now;
    if rollout.data.hold.is_some() {
        let why = format!("{} by {}", command.action(), facts.actor.subject);
        after.data.end_hold(Outcome::Abandoned, &why, now);
    }
    let kind = facts.environment.kind;
    let moves = rollout.exposure(kind) != after.exposure(kind);
    let writes = facts.route.spec.operation == Operation::Write;
    if !writes || !moves {
        return Ok(None);
    }
    let is_doubled = rollout.is_doubled(&facts.route);
    let is_planned = is_doubled && !command.ends_holds();
    if is_planned {
        rows_are_equal(rollout, after, facts)?;
    }
    if facts.writing.has_let_go() {
        return Ok(None);
    }
    if !is_planned || facts.writing.known == 0 {
        after.data.generation += 1;
        return Ok(None);
    }
    nobody_vanished(rollout, &facts.writing)?;
    let mut held = rollout.clone();
    held.data.generation += 1;
    held.data.hold = Some(Box::new(Hold {
        command: command.clone(),
        actor: facts.actor.clone(),
        reason: facts.reason.clone(),
        since: now,
        until: now + LONGEST_HOLD,
        next: after.deciding(),
    }));
    held.revision += 1;
    Ok(Some(held))
}

/// Why the next step of a ramp, which is this share, cannot be taken now; `None` where it can.
pub(super) fn waits(rollout: &Rollout, percent: Percent, facts: &Facts) -> Option<String> {
    if !rollout.is_doubled(&facts.route) {
        return None;
    }
    let mut next = rollout.clone();
    next.setting = Setting::Ramp { percent };
    if let Err(refusal) = rows_are_equal(rollout, &next, facts) {
        return Some(refusal.to_string());
    }
    if facts.writing.known == 0 {
        return None;
    }
    if let Some(hold) = &rollout.data.hold {
        let until = hold.until.to_rfc3339_opts(SecondsFormat::Millis, true);
        return Some(format!(
            "keys are about to move, until {until} at the latest"
        ));
    }
    if let Err(refusal) = nobody_vanished(rollout, &facts.writing) {
        return Some(refusal.to_string());
    }
    let again = rollout.data.tried_again_at().filter(|at| facts.now < *at)?;
    let last = rollout.data.last_flip.as_ref()?;
    Some(format!(
        "the last flip was given up ({}): the next is tried at {}",
        last.detail,
        again.to_rfc3339_opts(SecondsFormat::Secs, true)
    ))
}

/// Keys move with what the route requires as well, and nobody would announce that.
pub(super) fn may_double(rollout: &Rollout, mirror: Mirror, facts: &Facts) -> Result<(), Refusal> {
    let begins = rollout.mirror.shares.write == Percent::ZERO && mirror.write > Percent::ZERO;
    if !begins || facts.route.spec.operation != Operation::Write {
        return Ok(());
    }
    let mut required = facts.proof.required.iter();
    match required.find(|(_, stage)| *stage != Stage::Mandatory) {
        None => Ok(()),
        Some((required, stage)) => Err(Refusal::InvalidTransition(format!(
            "`{0}` requires `{required}`, which is at {stage} in {1}: a change of that one would move \
             keys of `{0}` between its stores unannounced; take the requirement away first \
             (switchover route update {0} …), or make that one mandatory",
            rollout.route, rollout.environment
        ))),
    }
}

/// A key moves only when both stores have the same row of it.
fn rows_are_equal(rollout: &Rollout, after: &Rollout, facts: &Facts) -> Result<(), Refusal> {
    let writing = &facts.writing;
    if writing.unequal.is_empty() {
        return Ok(());
    }
    // A route that is doubled requires nothing.
    let (spec, kind) = (&facts.route.spec, facts.environment.kind);
    let (now, then) = (rollout.table(spec, kind), after.table(spec, kind));
    let path = |table: &Option<Table>, key: &str| {
        let route = rollout.route.as_str();
        let table = table.as_ref();
        table.map(|table| decide(table, route, &Overrides::none(), Some(key)).path)
    };
    let keys = writing.unequal.iter();
    let moving = keys.filter(|key| path(&now, key) != path(&then, key));
    let moving = moving.count();
    if moving == 0 && !writing.more_unequal {
        return Ok(());
    }
    let (route, environment) = (&rollout.route, &rollout.environment);
    let count = match writing.more_unequal {
        true => format!("more than {}", writing.unequal.len()),
        false => moving.to_string(),
    };
    Err(Refusal::FlipBlocked(format!(
        "keys that would move have repairs that are not resolved ({count}): their rows may differ \
         between the two stores of `{route}` in {environment}; wait until they are repaired, or see \
         what is to be done (switchover repairs list {route} {environment}); a halt works at once"
    )))
}

fn nobody_vanished(rollout: &Rollout, writing: &Writing) -> Result<(), Refusal> {
    let Some(first) = writing.silent.first() else {
        return Ok(());
    };
    let others = match writing.vanished.saturating_sub(1) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    Err(Refusal::FlipBlocked(format!(
        "{name} (instance {instance}){others} writes `{route}` in {environment} and has been silent \
         since {since}: nobody knows whether it still writes, so no key may move; bring it back, or, \
         where the process is surely gone, have a maintainer say so (switchover writers gone {route} \
         {environment} {instance} --reason …); a halt works at once",
        name = first.name,
        instance = first.instance,
        since = first.since.to_rfc3339_opts(SecondsFormat::Secs, true),
        route = rollout.route,
        environment = rollout.environment,
    )))
}
