//! Phase 4: the old store may be switched off, and every write is looked for.

use std::fs;
use std::sync::Arc;

use serde_json::Value;

use super::{DAY, ROUTE, Story};
use crate::Failed;
use crate::gear::Gear;

/// Pieces with their ids.
type Rows = Vec<(String, Gear)>;

impl Story<'_> {
    /// Phase 4.
    pub(super) fn close(&mut self) -> Result<(), Failed> {
        self.title("Phase 4: before the old store is switched off");
        self.pass(3 * DAY)?;
        self.until_gates(&[])?;
        self.order_here("otto", &["promote"], &["--reason", "three days at 100 %"])?;
        let old = self.compare_both()?;
        self.back_up(&old)?;
        self.old_store_off()?;
        self.mandatory()
    }

    /// The point of no return.
    fn old_store_off(&mut self) -> Result<(), Failed> {
        self.order_here(
            "otto",
            &["evidence", "add"],
            &[
                "--kind",
                "backup",
                "--verdict",
                "pass",
                "--link",
                "https://backups.example.com/old_equipment.json",
                "--summary",
                "read back and compared, row by row",
            ],
        )?;
        self.order_here(
            "otto",
            &["mirror"],
            &[
                "--read",
                "0",
                "--write",
                "0",
                "--reason",
                "30 days without the old store",
            ],
        )?;
        self.tell("From here on only the backup leads back: the old table may be switched off.");
        Ok(())
    }

    /// The last stage: nobody can take the old path any more.
    fn mandatory(&mut self) -> Result<(), Failed> {
        let plan = self.house.look(&["plan", "show", ROUTE])?;
        let mut steps = Vec::new();
        open_steps(&plan, &mut steps);
        for step in steps {
            self.order("otto", &["plan", "check", ROUTE, &step, "--reason", "done"])?;
        }
        self.pass(30 * DAY)?;
        self.order_here(
            "mia",
            &["approve"],
            &["--comment", "30 days, nothing missed"],
        )?;
        self.until_gates(&[])?;
        self.order_here("otto", &["promote"], &["--reason", "30 days at 100 %"])?;
        Ok(())
    }

    /// Nobody writes for a moment: both stores must hold the same, and what was acknowledged.
    fn compare_both(&mut self) -> Result<Rows, Failed> {
        let application = Arc::clone(&self.application);
        let silence = application.silence();
        self.until("every copy has ended", |story| {
            Ok(story.application.data.status().under_way == 0)
        })?;
        self.repaired()?;
        self.consistent()?;
        let (old, new) = (application.old.all()?, application.new.all()?);
        let users = self.options.users;
        self.summary.old = application.ledger.judge(&old, users);
        self.summary.new = application.ledger.judge(&new, users);
        // Before anybody writes again: what is acknowledged after that is not in these rows.
        drop(silence);
        self.summary.are_equal = old == new;
        self.tell(&format!(
            "In a moment of silence both stores are read in full: {} rows and {} rows. Row by row \
             they are {}.",
            old.len(),
            new.len(),
            match self.summary.are_equal {
                true => "the same",
                false => "NOT the same",
            }
        ));
        // What was waited for is no time of a write.
        self.application.longest_write();
        Ok(old)
    }

    /// The old store is written to a file, and read back to try.
    fn back_up(&mut self, old: &Rows) -> Result<(), Failed> {
        let file = self.directory.path().join("old_equipment.json");
        fs::write(&file, serde_json::to_vec(old)?)?;
        let restored: Rows = serde_json::from_slice(&fs::read(&file)?)?;
        if restored != *old {
            return Err(Failed("the backup cannot be restored".to_owned()));
        }
        self.tell(&format!(
            "The old table is backed up: {} rows, read back and compared.",
            old.len()
        ));
        Ok(())
    }

    /// The end: what is there, and what must be there.
    pub(super) fn count(&mut self) -> Result<(), Failed> {
        self.title("The count");
        if let Some(traffic) = self.traffic.take() {
            traffic.stop();
        }
        let application = Arc::clone(&self.application);
        let rows = application.new.all()?;
        self.summary.at_the_end = application.ledger.judge(&rows, self.options.users);
        let [acknowledged, failed, gave_up] = application.ledger.counts();
        let [reads, failed_reads] = application.reads();
        let [real, told] = self.house.times();
        let summary = &mut self.summary;
        (summary.acknowledged, summary.failed_writes) = (acknowledged, failed);
        summary.gave_up = gave_up;
        (summary.reads, summary.failed_reads) = (reads, failed_reads);
        summary.seconds = real.as_secs();
        summary.days = told.as_secs() / DAY.as_secs();
        summary.compression = told.as_secs() / real.as_secs().max(1);
        let text = self.summary.to_string();
        self.tell(&text);
        self.client.shutdown();
        Ok(())
    }
}

/// The ids of the steps that are not done, wherever they are in the plan.
fn open_steps(value: &Value, found: &mut Vec<String>) {
    let id = value.get("id").and_then(Value::as_str);
    let is_open = value.get("done").and_then(Value::as_bool) == Some(false);
    if let (Some(id), true) = (id, is_open) {
        found.push(id.to_owned());
    }
    for field in ["sections", "steps"] {
        let below = value.get(field).and_then(Value::as_array);
        for step in below.into_iter().flatten() {
            open_steps(step, found);
        }
    }
}
