//! Phases 1 and 2: every write goes to both stores; then what was written before is copied.

use std::thread;
use std::time::Duration;

use serde_json::Value;
use switchover::{BackfillStatus, ConsistencyReport, Store as _};

use super::{ENVIRONMENT, HOUR, ROUTE, Story};
use crate::Failed;
use crate::faults::Fault;

impl Story<'_> {
    /// Phase 1.
    pub(super) fn double_writing(&mut self) -> Result<(), Failed> {
        self.title("Phase 1: double writing");
        self.write_both("from now on nothing is written to the old table alone")?;
        if self.options.shows(Fault::NewStoreDown) {
            self.new_store_down()?;
        }
        self.part("double writing");
        Ok(())
    }

    fn write_both(&mut self, reason: &str) -> Result<(), Failed> {
        let shares = ["--read", "100%", "--write", "100%", "--reason", reason];
        self.order_here("otto", &["mirror"], &shares)?;
        let is_copied =
            |story: &Story<'_>| Ok(!story.application.new.keys_after(None, 1)?.is_empty());
        let waited = self.until("a write is copied", is_copied)?;
        self.tell(&format!(
            "{} ms later writes are copied to the new table. Nobody waits for that.",
            waited.as_millis()
        ));
        thread::sleep(Duration::from_secs(self.options.seconds));
        Ok(())
    }

    fn new_store_down(&mut self) -> Result<(), Failed> {
        self.tell("-- FAULT: the new store goes down. Users notice nothing: they use the old one.");
        let [_, failed_before, _] = self.application.ledger.counts();
        self.application.faults.set(Fault::NewStoreDown, true);
        let stopped = self.until_rollout("the guard stops the mirror", |rollout| {
            rollout.pointer("/mirror/stopped/by").is_some()
        })?;
        let rollout = self.rollout()?;
        let by = Story::text(&rollout, "/mirror/stopped/by").to_owned();
        let why = Story::text(&rollout, "/mirror/stopped/reason").to_owned();
        self.tell(&format!(
            "   {:.1} s later {by}: {why}",
            stopped.as_secs_f64()
        ));
        self.summary
            .guards
            .push(format!("{}: stop_mirror by {by}", Fault::NewStoreDown));
        self.application.faults.set(Fault::NewStoreDown, false);
        let [_, failed, _] = self.application.ledger.counts();
        self.tell(&format!(
            "-- The new store is back. {} writes of users failed meanwhile.",
            failed.saturating_sub(failed_before)
        ));
        self.summary.repaired = self.application.data.status().open_repairs;
        self.tell(&format!(
            "   {} keys could not be copied. They are tried again by themselves.",
            self.summary.repaired
        ));
        // What failed is history for the gates after that.
        self.pass(2 * HOUR)?;
        self.write_both("the new store is mended")
    }

    /// Phase 2.
    pub(super) fn backfill(&mut self) -> Result<(), Failed> {
        self.title("Phase 2: what was written before is copied, and compared");
        let mut lines: Vec<String> = Vec::new();
        let report = self
            .application
            .data
            .backfill()
            .batch(self.options.batch)
            .pause(Duration::from_millis(self.options.pause))
            .workers(2)
            .total(self.options.items)
            .progress(|status: &BackfillStatus| {
                let line = status.to_string();
                if lines.last() != Some(&line) {
                    lines.push(line);
                }
            })
            .run()?;
        // A line a batch is enough.
        for line in lines
            .iter()
            .rev()
            .step_by(lines.len().div_ceil(10).max(1))
            .rev()
        {
            self.tell(&format!("    {line}"));
        }
        self.tell(&format!(
            "{} keys looked at, {} copied, {} failed, in {:.1} s",
            report.keys,
            report.copied,
            report.failed,
            report.took.as_secs_f64()
        ));
        self.summary.backfilled = report.keys;
        self.repaired()?;
        self.consistent()?;
        self.part("backfill");
        Ok(())
    }

    /// Waits until no repair is open, in the application and on the server.
    pub(super) fn repaired(&mut self) -> Result<(), Failed> {
        let open = self.application.data.status().open_repairs;
        let waited = self.until("every repair is resolved", |story| {
            let listed = story.house.look(&["repairs", "list", ROUTE, ENVIRONMENT])?;
            let items = listed.get("items").and_then(Value::as_array);
            let is_empty = items.is_some_and(Vec::is_empty);
            Ok(is_empty && story.application.data.status().open_repairs == 0)
        })?;
        if open > 0 {
            self.tell(&format!(
                "{open} keys had not been copied: {:.1} s later all are.",
                waited.as_secs_f64()
            ));
        }
        Ok(())
    }

    /// Both stores are compared, a sample and then all of it, while they are written.
    pub(super) fn consistent(&mut self) -> Result<(), Failed> {
        let data = &self.application.data;
        let reports = [
            data.consistency().sample(100).run()?,
            data.consistency().checksum().run()?,
        ];
        for report in reports {
            self.tell(&format!("{}: {report}", report.kind));
            self.check(&report)?;
        }
        Ok(())
    }

    fn check(&self, report: &ConsistencyReport) -> Result<(), Failed> {
        match (report.is_clean(), report.is_recorded) {
            (true, true) => Ok(()),
            (false, _) => Err(Failed(format!("the stores are not the same: {report}"))),
            (true, false) => Err(Failed("the server has not taken the result".to_owned())),
        }
    }
}
