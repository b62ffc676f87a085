//! Phase 3: the authority moves to the new store, share by share, while it goes wrong twice.

use std::thread;
use std::time::Duration;

use serde_json::Value;

use super::{DAY, HOUR, Story};
use crate::Failed;
use crate::faults::Fault;

/// Within this time every process has reported again.
const REPORTED: Duration = Duration::from_secs(6);

impl Story<'_> {
    /// Phase 3.
    pub(super) fn ramp_up(&mut self) -> Result<(), Failed> {
        self.title("Phase 3: traffic moves to the new store");
        self.until_gates(&[])?;
        self.order_here("ann", &["gates"], &[])?;
        self.order_here(
            "otto",
            &["promote"],
            &["--reason", "both stores are the same"],
        )?;
        self.order_here(
            "otto",
            &["ramp", "start"],
            &["--reason", "everybody is at their desk"],
        )?;
        self.reaches(10)?;
        self.next_step(DAY, 30)?;
        if self.options.shows(Fault::MappingBug) {
            self.mapping_bug()?;
        }
        self.next_step(DAY, 50)?;
        if self.options.shows(Fault::SlowNewStore) {
            self.slow_new_store()?;
        }
        self.next_step(2 * DAY, 80)?;
        self.next_step(2 * DAY, 100)
    }

    /// A day or two pass, and the server takes the next step by itself.
    fn next_step(&mut self, hold: Duration, percent: u64) -> Result<(), Failed> {
        // The last seconds pass for everybody: a process that was silent for 15 s by the server's clock
        // would hold the step up.
        self.pass(hold.saturating_sub(REPORTED))?;
        let report = self.application.data.consistency().sample(100).run()?;
        self.tell(&format!("   the day's comparison: {report}"));
        self.reaches(percent)
    }

    fn reaches(&mut self, percent: u64) -> Result<(), Failed> {
        let what = format!("{percent} % of the keys have the new store for their authority");
        let waited = self.until_rollout(&what, |rollout| is_at(rollout, percent))?;
        self.tell(&format!("{what}, {:.1} s later.", waited.as_secs_f64()));
        thread::sleep(Duration::from_secs(self.options.seconds));
        self.part(&format!("{percent} %"));
        Ok(())
    }

    fn mapping_bug(&mut self) -> Result<(), Failed> {
        self.tell("-- FAULT: a new version of the new system shows a wrong category.");
        self.application.faults.set(Fault::MappingBug, true);
        let paused = self.until_rollout("the guard pauses the ramp", |rollout| {
            Story::text(rollout, "/ramp/state") == "paused"
        })?;
        self.tell(&format!(
            "   {:.1} s later the ramp is paused, for shadow reads differ:",
            paused.as_secs_f64()
        ));
        self.order_here("ann", &["ramp"], &[])?;
        self.summary
            .guards
            .push(format!("{}: pause", Fault::MappingBug));
        self.application.faults.set(Fault::MappingBug, false);
        self.tell("-- It is mended. An hour later nothing differs any more.");
        self.pass(2 * HOUR)?;
        self.order_here(
            "mia",
            &["ramp", "resume"],
            &["--reason", "the category is right again"],
        )?;
        Ok(())
    }

    fn slow_new_store(&mut self) -> Result<(), Failed> {
        self.tell("-- FAULT: the new system takes 0.7 s for each request.");
        self.application.faults.set(Fault::SlowNewStore, true);
        let halted = self.until_rollout("the guard halts the rollout", |rollout| {
            rollout.get("halted").and_then(Value::as_bool) == Some(true)
        })?;
        let rollout = self.rollout()?;
        let by = Story::text(&rollout, "/halt/by").to_owned();
        let why = Story::text(&rollout, "/halt/reason").to_owned();
        self.tell(&format!(
            "   {:.1} s later {by}: {why}",
            halted.as_secs_f64()
        ));
        self.tell("   Everything is read from and written to the old store again.");
        self.summary
            .guards
            .push(format!("{}: halt by {by}", Fault::SlowNewStore));
        self.application.faults.set(Fault::SlowNewStore, false);
        self.part("halt");
        self.repaired()?;
        self.consistent()?;
        self.tell("-- It is mended. A person resumes, at the last step that was held to its end.");
        self.order_here(
            "mia",
            &["resume"],
            &["--reason", "the new system is fast again"],
        )?;
        self.until_rollout("it is resumed", |rollout| {
            rollout.get("halted").and_then(Value::as_bool) == Some(false)
        })?;
        self.order_here("mia", &["ramp", "resume"], &["--reason", "on we go"])?;
        self.reaches(30)?;
        self.next_step(DAY, 50)
    }
}

fn is_at(rollout: &Value, percent: u64) -> bool {
    let is_held = rollout.get("hold").is_some_and(|hold| !hold.is_null());
    let share = rollout.get("exposure_percent").and_then(Value::as_f64);
    let wanted = u32::try_from(percent).map(f64::from).unwrap_or_default();
    !is_held && share.is_some_and(|share| (share - wanted).abs() < 0.000_5)
}
