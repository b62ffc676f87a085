//! What somebody wants to happen to a rollout.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use switchover::{Mirror, Percent, Setting, Stage};

use crate::domain::cohort::Uses;
use crate::domain::exposure::Cohort;
use crate::domain::ramp::Step;

/// What somebody wants to happen to a rollout.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Command {
    /// One stage forward.
    Promote {
        /// The next stage.
        to: Stage,
        /// Said on purpose by an admin: gates about quality are passed over.
        break_glass: bool,
    },
    /// Any number of stages back.
    Demote {
        /// An earlier stage.
        to: Stage,
        /// Said on purpose by an admin: also out of mandatory.
        break_glass: bool,
        /// Halted in the same step.
        halt: bool,
    },
    /// Everything takes the old path until resumed.
    Halt,
    /// The same, and nothing is copied to the other store any more: a resume needs a backfill.
    HaltWithoutMirror,
    /// Undoes a halt.
    Resume,
    /// Sets what is on top of the stage.
    Set(Setting),
    /// Names the keys that are treated apart.
    SetCohorts {
        /// Those that take the new path.
        include: Cohort,
        /// Those that take the old path.
        exclude: Cohort,
    },
    /// The same with cohorts by name among them, expanded.
    UseCohorts {
        /// Of what they are made.
        uses: Uses,
        /// Those that take the new path.
        include: Cohort,
        /// Those that take the old path.
        exclude: Cohort,
    },
    /// Opens an acceptance window.
    OpenWindow {
        /// When it closes by itself.
        until: DateTime<Utc>,
        /// The largest share of the keys.
        percent: Percent,
        /// Keys that take the new path.
        cohort: Cohort,
    },
    /// Closes the acceptance window and takes the setting back.
    CloseWindow,
    /// Writes the steps by which exposure is to go up. Exposes nothing.
    PlanRamp(Vec<Step>),
    /// Enters the first step.
    StartRamp,
    /// Stays at the present step until resumed.
    PauseRamp,
    /// Goes on from the present step.
    ResumeRamp,
    /// Does what the ramp does next, where it is due and nothing holds it back.
    AdvanceRamp,
    /// Has stores refuse whoever writes by an older generation: a process was declared gone.
    RaiseGeneration,
    /// Sets what also runs on the other path.
    SetMirror(Mirror),
    /// Nothing runs on the other path until somebody sets it again.
    StopMirror,
}

impl Command {
    /// Whether it is for now, whatever the page that ordered it has seen, and does not give up.
    #[must_use]
    pub const fn is_urgent(&self) -> bool {
        matches!(
            self,
            Command::Halt | Command::HaltWithoutMirror | Command::PauseRamp | Command::StopMirror
        )
    }

    /// Whether it can only make things safer, so that neither policies nor freezes are looked at: it
    /// works whatever state they are in.
    #[must_use]
    pub const fn is_safe(&self) -> bool {
        matches!(self, Command::Demote { .. } | Command::RaiseGeneration) || self.is_urgent()
    }

    /// Whether it is for now even where keys are written in two stores: it announces nothing, and ends
    /// whatever is announced.
    #[must_use]
    pub const fn ends_holds(&self) -> bool {
        matches!(self, Command::Demote { halt: true, .. }) || self.is_urgent()
    }

    /// The name of the action, for the record.
    #[must_use]
    pub const fn action(&self) -> &'static str {
        match self {
            Command::Promote {
                break_glass: true, ..
            } => "break_glass_promote",
            Command::Promote { .. } => "promote",
            Command::Demote {
                break_glass: true, ..
            } => "break_glass_demote",
            Command::Demote { .. } => "demote",
            Command::Halt | Command::HaltWithoutMirror => "halt",
            Command::Resume => "resume",
            Command::Set(_) => "setting",
            Command::SetCohorts { .. } | Command::UseCohorts { .. } => "cohorts",
            Command::OpenWindow { .. } => "acceptance_open",
            Command::CloseWindow => "acceptance_close",
            Command::PlanRamp(_) => "ramp_plan",
            Command::StartRamp => "ramp_start",
            Command::PauseRamp => "ramp_pause",
            Command::ResumeRamp => "ramp_resume",
            Command::AdvanceRamp => "ramp_advance",
            Command::RaiseGeneration => "generation_raise",
            Command::SetMirror(_) => "mirror",
            Command::StopMirror => "mirror_stop",
        }
    }
}
