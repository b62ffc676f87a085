//! The ramp of the demo: up by steps, halted by its guard, mended, and up again.

use std::time::{Duration, Instant};

use serde_json::json;
use switchover::{Path, Stage};

use crate::cli::api::Api;
use crate::cli::demo::caller::Caller;
use crate::cli::demo::story::{GUARD, Story, address, change, promote, rollout};
use crate::cli::error::CliError;
use crate::cli::wire::Rollout;

/// How long a step, with what has to be reported about it, may take before the demo has failed.
const PATIENCE: Duration = Duration::from_secs(20);

impl Story<'_> {
    /// Opt-in, and the first two steps.
    pub(super) fn ramp_up(
        &mut self,
        ann: &Api,
        app: &Caller,
        cautious: &Caller,
    ) -> Result<(), CliError> {
        self.say(
            "\nAnn, an operator, promotes it to opt_in: a ramp of 0 %, so nothing moves yet.",
        )?;
        let sent = promote(ann, Stage::OptIn)?;
        self.stays(&sent, app, Path::Old)?;
        self.say("She starts the ramp.")?;
        ramp(ann, "start")?;
        app.shares(10, PATIENCE)?;
        self.say(
            "  10 % of the projects of `app` take the new path, the same ones at every call.",
        )?;
        let began = Instant::now();
        app.shares(50, PATIENCE)?;
        self.say(&format!(
            "  {:.1} s later the step has held its time, the guard passes, and the server goes on: 50 %.",
            began.elapsed().as_secs_f64()
        ))?;
        cautious.shares(0, PATIENCE)
    }

    /// The new path breaks, and the server takes everybody off it.
    pub(super) fn fault(&mut self, ann: &Api, app: &Caller) -> Result<(), CliError> {
        self.say("\nThe new path breaks: a third of its calls fail. Nobody does anything.")?;
        let began = Instant::now();
        app.break_new_path(true);
        app.shares(0, PATIENCE)?;
        let off = began.elapsed();
        let found: Rollout = ann.get(&rollout(), &[])?.read()?;
        let halt = found
            .halt
            .filter(|halt| halt.by == format!("guard:{GUARD}"))
            .ok_or_else(|| CliError::new("the guard should have halted it, and has not"))?;
        self.say(&format!(
            "  The guard halts it: {}.\n  {:.1} s after the first failure every call takes the old path; \
             {} calls failed.",
            halt.reason,
            off.as_secs_f64(),
            app.failures()
        ))?;
        app.break_new_path(false);
        self.say("The new path is mended. Ann resumes: at the last step that went well, paused.")?;
        change(ann, "resume", &json!({ "reason": "demo: mended" }))?;
        let resumed: Rollout = ann.get(&rollout(), &[])?.read()?;
        let percent = resumed.exposure_percent;
        app.shares(u64::from(percent.thousandths() / 1_000), PATIENCE)?;
        self.say(&format!("  {percent} of the projects take the new path."))
    }

    /// The rest of the ramp.
    pub(super) fn up_to_all(
        &mut self,
        ann: &Api,
        app: &Caller,
        cautious: &Caller,
    ) -> Result<(), CliError> {
        self.say("\nShe lets the ramp go on; the server takes every further step by itself.")?;
        ramp(ann, "resume")?;
        let began = Instant::now();
        app.shares(100, PATIENCE)?;
        self.say(&format!(
            "  {:.1} s later every project of `app` takes the new path.",
            began.elapsed().as_secs_f64()
        ))?;
        cautious.shares(0, PATIENCE)?;
        self.say("  `cautious` is still on the old path: its variable is honoured.")
    }
}

fn ramp(who: &Api, what: &str) -> Result<(), CliError> {
    let body = json!({ "reason": "demo" }).to_string();
    who.post(&address(&format!("ramp/{what}")), body)?;
    Ok(())
}
