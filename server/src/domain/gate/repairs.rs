//! The gate about the two stores of a data route.

use crate::domain::environment::EnvironmentKey;
use crate::domain::facts::{Facts, Stores};
use crate::domain::gate::answer::{GateReport, fail, insufficient, no_hosted, pass};
use crate::domain::gate::traffic::answering;

/// A repair that is open for longer is one that nothing mends by itself.
const OLDEST_SECONDS: u64 = 60;

pub(super) fn repairs(facts: &Facts) -> GateReport {
    let route = &facts.route.spec.key;
    let answering = answering(facts);
    if answering.is_empty() {
        return no_hosted("repairs");
    }
    let (mut reasons, mut remedies, mut silent) = (Vec::new(), Vec::new(), Vec::new());
    let (mut failed, mut oldest) = (0, 0);
    for environment in &answering {
        let Some(stores) = facts.proof.stores.get(environment) else {
            silent.push(environment.to_string());
            continue;
        };
        if stores.no_return {
            continue;
        }
        failed += stores.failed_repairs;
        oldest = oldest.max(stores.oldest_repair_seconds.unwrap_or_default());
        for (reason, remedy) in lacking(stores) {
            reasons.push(if answering.len() > 1 {
                format!("{environment}: {reason}")
            } else {
                reason.to_owned()
            });
            remedies.push(command(remedy, route.as_str(), environment));
        }
    }
    remedies.dedup();
    let report = if !reasons.is_empty() {
        fail("repairs", reasons.join(", "), remedies.join("; "))
    } else if !silent.is_empty() {
        insufficient(
            "repairs",
            format!(
                "nothing is reported about the two stores of `{route}` in {}",
                silent.join(", ")
            ),
            "register both stores in the application, copy every write (switchover mirror …), run a \
             backfill there and then a consistency check",
        )
    } else {
        pass("repairs", "both stores hold the same")
    };
    report
        .with("failed_repairs", failed)
        .with("oldest_repair_seconds", oldest)
}

/// What is not as it should be, and the command that goes on from there.
fn lacking(stores: &Stores) -> Vec<(&'static str, &'static str)> {
    let oldest = stores.oldest_repair_seconds.unwrap_or_default();
    let is_incomplete = stores.mirrored && !stores.backfill_complete;
    [
        (
            !stores.mirrored,
            "not every write is copied to the other store",
            "switchover mirror ROUTE ENVIRONMENT --read 0 --write 100 --reason …",
        ),
        (
            stores.diverged,
            "writes were left out while the mirror was off",
            "run the backfill again in the application: switchover backfill status ROUTE ENVIRONMENT",
        ),
        (
            is_incomplete && !stores.diverged,
            "the backfill is not complete",
            "run it in the application, and follow it: switchover backfill status ROUTE ENVIRONMENT \
             --follow",
        ),
        (
            stores.mirrored && !stores.consistent,
            "no consistency run was clean since the mirror was changed",
            "switchover consistency run ROUTE ENVIRONMENT --reason …",
        ),
        (
            stores.failed_repairs > 0,
            "repairs were given up",
            "mend the cause, then: switchover repairs retry ROUTE ENVIRONMENT --all --reason …",
        ),
        (
            stores.conflicts > 0,
            "repairs wait for a person to decide",
            "compare the rows, make them equal, then: switchover repairs resolve ROUTE ENVIRONMENT \
             KEY --reason …",
        ),
        (
            oldest > OLDEST_SECONDS,
            "a repair is open for more than 60 seconds",
            "find out why it fails: switchover repairs list ROUTE ENVIRONMENT",
        ),
        (
            stores.unverified,
            "the rollout is unverified",
            "run the backfill again, and then: switchover consistency run ROUTE ENVIRONMENT \
             --checksum --reason …",
        ),
    ]
    .into_iter()
    .filter_map(|(holds, reason, remedy)| holds.then_some((reason, remedy)))
    .collect()
}

fn command(remedy: &str, route: &str, environment: &EnvironmentKey) -> String {
    remedy
        .replace("ROUTE", route)
        .replace("ENVIRONMENT", environment.as_str())
}
