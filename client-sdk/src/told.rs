//! What the log is told about routes, each thing once.

use std::collections::BTreeSet;
use std::sync::Mutex;

use crate::rollout::Rollout;
use crate::slot::Slot;
use crate::state::State;

pub(crate) fn warn_of_another_stage(state: &State, key: &str, rollout: &Rollout) {
    let first = state.compiled_rollout(key);
    if let Some(first) =
        first.filter(|first| (&first.flag, first.stage) != (&rollout.flag, rollout.stage))
    {
        tracing::warn!(
            route = key,
            "the code gives this route {} ({}) and {} ({}); the first counts",
            first.stage,
            first.flag,
            rollout.stage,
            rollout.flag,
        );
    }
}

/// Each text once per process.
pub(crate) fn warn_of_overrides(state: &State, key: &str) {
    for warning in state.warnings(key) {
        warn_once(key, &warning.to_string());
    }
}

/// What has a say in calls of a route, and none in its writes.
pub(crate) fn warn_of_writes(state: &State, slot: &Slot) {
    if let Some(flag) = state.overriding(slot.key()) {
        let text =
            format!("{flag} has no say in writes of this route, whose data is in two stores");
        warn_once(slot.key(), &text);
    }
    if slot.fuse().is_some() {
        let text = "the breaker has no say in writes of this route, whose data is in two stores";
        warn_once(slot.key(), text);
    }
}

fn warn_once(key: &str, text: &str) {
    static TOLD: Mutex<BTreeSet<String>> = Mutex::new(BTreeSet::new());
    // Busy: another thread is about to tell, or a fork has copied the lock. Neither is worth waiting for.
    let is_new = TOLD
        .try_lock()
        .is_ok_and(|mut told| told.insert(format!("{key}: {text}")));
    if is_new {
        tracing::warn!(route = key, "{text}");
    }
}
