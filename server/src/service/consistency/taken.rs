//! What a consistency run has found: put on record, drawn evidence from, held against limits.

use serde_json::json;
use switchover::{ConsistencyKind, ConsistencyResult};

use crate::domain::actor::Actor;
use crate::domain::backfill::{Act, Copying, Said, Standing};
use crate::domain::consistency::{self, Findings, Origin, Run, RunState};
use crate::domain::evidence::{Evidence, EvidenceKind};
use crate::domain::policy::{Guard, Measure};
use crate::domain::repair::is_key;
use crate::service::consistency::asked;
use crate::service::evidence::MOST_EVIDENCE;
use crate::service::rollout::Target;
use crate::service::route::lock_rollouts;
use crate::service::stores::{BY_SERVER, from_nothing, load_data, settle_doubts};
use crate::service::work::Work;
use crate::service::{Failure, backfill};

/// Pieces of evidence of one rollout that runs leave behind.
const MOST_DRAWN: usize = 100;

/// Takes a result; the run it is of, unless it was taken before.
pub(super) fn take(
    work: &mut Work<'_, '_>,
    target: &Target,
    result: &ConsistencyResult,
) -> Result<Option<Run>, Failure> {
    // It becomes evidence, which promotions read under these locks.
    lock_rollouts(work, &target.route)?;
    let (route, rollout) = load_data(work.tx, target)?;
    let place = (&target.route, &target.environment);
    let mut record = work.tx.lock_stores(place.0, place.1)?;
    work.refresh();
    let Some(mut run) = run_of(work, target, result)? else {
        return Ok(None);
    };
    let policy = work.shared.policy(work.tx, &route)?;
    let copying = Copying::of(&rollout);
    let mut backfill = work.tx.last_backfill(place)?;
    let backfilled_at = backfill
        .as_ref()
        .filter(|it| it.state == Standing::Complete && copying.covers(it.begun_at))
        .and_then(|it| it.ended_at);
    let limit = consistency::limit(&policy);
    if !run.take(result, (limit, backfilled_at), work.now) {
        return Ok(None);
    }
    if let RunState::Done(findings) = &mut run.state {
        draw(work, target, findings)?;
        let seen = findings.compared;
        record.latest = Some(seen);
        if seen.kind == ConsistencyKind::Checksum {
            record.checksummed_from = seen.is_clean().then_some(seen.began_at);
            settle_doubts(work, target, &mut record, backfill.as_ref());
        }
        let breached = beyond(&policy.guards, findings);
        findings.acted = breached.is_empty();
        if let (Some(guard), Some(backfill)) = (breached.first(), &mut backfill)
            && backfill.state != Standing::Reset
        {
            let said = Said {
                at: work.now,
                by: Actor::guard(&guard.name).subject,
                reason: format!("{}: it has to be run again", seen.told()),
            };
            backfill::order(work, backfill, Act::Reset, said)?;
        }
    }
    work.tx.put_consistency_run(&run)?;
    work.tx.forget_consistency_runs(place)?;
    work.tx.put_stores(place.0, place.1, &record)?;
    Ok(Some(run))
}

/// The run that a result is of; `None` where the same was taken before.
fn run_of(
    work: &mut Work<'_, '_>,
    target: &Target,
    result: &ConsistencyResult,
) -> Result<Option<Run>, Failure> {
    let place = (&target.route, &target.environment);
    if let Some(id) = &result.order {
        let run = work.tx.consistency_run(id)?;
        let run =
            run.filter(|run| run.route == target.route && run.environment == target.environment);
        if let Some(run) = run {
            return Ok(Some(run));
        }
    }
    let again = |run: &Run| {
        run.findings().is_some_and(|known| {
            known.instance == result.instance
                && known.generation == result.generation
                && known.duration_ms == result.duration_ms
                && known.compared.compared == result.compared
                && known.compared.differing == result.differing
        })
    };
    if work.tx.consistency_runs(place, None, 20)?.iter().any(again) {
        return Ok(None);
    }
    let by = (Origin::Process, result.instance.as_str());
    Ok(Some(asked(target, (result.kind, 0), by, work.now)))
}

/// Draws evidence from a run.
fn draw(work: &mut Work<'_, '_>, target: &Target, findings: &Findings) -> Result<(), Failure> {
    let place = (&target.route, &target.environment);
    work.tx
        .forget_drawn_evidence(place.0, place.1, MOST_DRAWN - 1)?;
    if work.tx.evidence(&target.route)?.len() >= MOST_EVIDENCE {
        tracing::warn!(route = %target.route, "there is no room for evidence of a consistency run");
        return Ok(());
    }
    let seen = &findings.compared;
    let evidence = Evidence {
        id: uuid::Uuid::now_v7().to_string(),
        route: target.route.clone(),
        environment: target.environment.clone(),
        kind: EvidenceKind::Consistency,
        verdict: findings.verdict,
        url: None,
        summary: format!("{} run: {}", seen.kind, seen.told()),
        by: BY_SERVER.to_owned(),
        at: work.now,
    };
    work.tx.add_evidence(&evidence)?;
    let record = from_nothing(json!(evidence));
    let summary = evidence.summary.clone();
    work.record("evidence", Some(place.0), Some(place.1), &summary, record);
    Ok(())
}

/// The guards whose limit a run passes.
pub(super) fn beyond<'a>(guards: &'a [Guard], findings: &Findings) -> Vec<&'a Guard> {
    let seen = &findings.compared;
    guards
        .iter()
        .filter(|guard| guard.measure == Measure::Inconsistency)
        .filter(|guard| seen.suffices(guard) && seen.share() > guard.limit)
        .collect()
}

/// Complains of what cannot be.
pub(super) fn check(result: &ConsistencyResult) -> Result<(), Failure> {
    if result.differing > result.compared {
        return Err(Failure::invalid("differing", "are among those compared"));
    }
    if !result.keys.iter().all(|key| is_key(key)) {
        return Err(Failure::invalid("keys", "a key has 1 to 256 bytes"));
    }
    let checksums = result.checksums.iter().flatten();
    if checksums.into_iter().any(|sum| sum.len() > 200) {
        return Err(Failure::invalid("checksums", "have at most 200 bytes"));
    }
    Ok(())
}
