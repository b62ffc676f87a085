//! What needs a reason and little else: halt, resume, and the ramp.

use switchover::Stage;

use crate::domain::lifecycle::Command;
use crate::http::extract::Operator;
use crate::http::halts::{HaltBody, ReasonBody};
use crate::http::ramps::RampRequest;
use crate::service::{Failure, Services};
use crate::web::actions::control::{Choice, Control};
use crate::web::actions::form::{Form, Order, only_reason};
use crate::web::actions::revert::filled_in;
use crate::web::actions::said::Said;
use crate::web::actions::scene::OnRollout;
use crate::web::fields::Fields;

/// The kill switch. One step: no preview, nothing to type.
pub(crate) struct Halt;

impl Form for Halt {
    type Role = Operator;
    type On = OnRollout;

    const SLUG: &'static str = "halt";
    const TITLE: &'static str = "Halt";
    const MEANS: &'static str = "Everything takes the old path, at once, until somebody resumes it. Installations of others hear of \
         it with their next release.";
    const IS_DANGER: bool = true;
    const IS_TRIED: bool = false;

    fn first(_: &OnRollout) -> Fields {
        Fields::default().with("reason", "halted by hand")
    }

    fn controls(scene: &OnRollout, _: &Services) -> Result<Vec<Control>, Failure> {
        let mut controls = vec![Control::reason()];
        if scene.has_stores() {
            let choices = vec![
                Choice::new("keep", "goes on"),
                Choice::new("off", "is stopped: a resume needs a backfill"),
            ];
            controls.push(Control::choice("mirror", "The mirror", choices));
            controls.extend(scene.loss().map(|told| Control::accept_loss(&told)));
        }
        Ok(controls)
    }

    fn order(scene: &OnRollout, fields: &Fields) -> Result<Order, Failure> {
        let body: HaltBody = Said::of(fields)
            .text("reason")
            .optional("mirror")
            .tick("accept_loss")
            .read()?;
        Ok(Order::Change(body.read(scene.target.clone())?))
    }
}

macro_rules! switches {
    ($($(#[$doc:meta])* $name:ident: $slug:literal, $title:literal, $means:literal, $tried:literal, $command:expr;)*) => {$(
        $(#[$doc])*
        pub(crate) struct $name;

        impl Form for $name {
            type Role = Operator;
            type On = OnRollout;

            const SLUG: &'static str = $slug;
            const TITLE: &'static str = $title;
            const MEANS: &'static str = $means;
            const IS_TRIED: bool = $tried;

            fn first(_: &OnRollout) -> Fields {
                Fields::default()
            }

            fn controls(scene: &OnRollout, services: &Services) -> Result<Vec<Control>, Failure> {
                only_reason(scene, services)
            }

            fn order(scene: &OnRollout, fields: &Fields) -> Result<Order, Failure> {
                let body: ReasonBody = Said::of(fields).text("reason").read()?;
                Ok(Order::Change(body.read(scene.target.clone(), $command)?))
            }
        }
    )*};
}

switches! {
    /// The way back from a halt.
    Resume: "resume", "Resume", "It goes on as before the halt; after a guard's halt at the last step that held.", true, Command::Resume;
    /// The first step of a ramp.
    StartRamp: "ramp-start", "Start the ramp", "Its first step is entered at once, and it goes on by itself.", true, Command::StartRamp;
    /// A ramp stays where it is.
    PauseRamp: "ramp-pause", "Pause the ramp", "It stays at its present step until somebody resumes it.", false, Command::PauseRamp;
    /// A ramp goes on.
    ResumeRamp: "ramp-resume", "Resume the ramp", "It goes on from its present step, whatever was set by hand meanwhile.", true, Command::ResumeRamp;
}

/// The steps of a ramp.
pub(crate) struct PlanRamp;

impl Form for PlanRamp {
    type Role = Operator;
    type On = OnRollout;

    const SLUG: &'static str = "ramp";
    const TITLE: &'static str = "Plan the ramp";
    const MEANS: &'static str =
        "The steps by which exposure is to go up. It exposes nothing until it is started.";

    fn first(scene: &OnRollout) -> Fields {
        match (&scene.rollout().ramp, scene.rollout().stage) {
            (Some(ramp), Stage::OptIn | Stage::OptOut) => {
                filled_in(&Command::PlanRamp(ramp.steps.clone())).1
            }
            _ => Fields::default().with("steps", "10 24h\n30 24h\n50 24h\n100 24h"),
        }
    }

    fn controls(_: &OnRollout, _: &Services) -> Result<Vec<Control>, Failure> {
        Ok(vec![
            Control::area("steps", "Steps").hint(
                "One a line: a share in percent, and how long it is held: 10s, 30m, 24h, 7d.",
            ),
            Control::reason(),
        ])
    }

    fn order(scene: &OnRollout, fields: &Fields) -> Result<Order, Failure> {
        let body: RampRequest = Said::of(fields).steps("steps").text("reason").read()?;
        Ok(Order::Change(body.read(scene.target.clone())?))
    }
}
