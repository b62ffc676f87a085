//! Stages, forward and back.

use switchover::Stage;

use crate::domain::gate::GateReport;
use crate::http::extract::Operator;
use crate::http::promotions::{DemotionBody, PromotionBody};
use crate::service::{Failure, Services};
use crate::web::actions::control::{Choice, Control};
use crate::web::actions::form::{Form, Order};
use crate::web::actions::said::Said;
use crate::web::actions::scene::OnRollout;
use crate::web::fields::Fields;
use crate::web::words::stage_name;

/// One stage forward.
pub(crate) struct Promote;

impl Form for Promote {
    type Role = Operator;
    type On = OnRollout;

    const SLUG: &'static str = "promote";
    const TITLE: &'static str = "Promote";
    const MEANS: &'static str = "One stage forward, when every gate passes.";

    fn first(scene: &OnRollout) -> Fields {
        let next = scene.rollout().stage.next();
        Fields::default().with("to", next.map_or("", Stage::name))
    }

    fn controls(scene: &OnRollout, _: &Services) -> Result<Vec<Control>, Failure> {
        let next = scene.rollout().stage.next();
        let choices = next.map(choice).into_iter().collect();
        let mut controls = vec![
            Control::choice("to", "To", choices),
            Control::reason(),
            Control::tick("cascade", "Promote what it requires too")
                .hint("Routes that it requires and that are one stage behind move with it."),
        ];
        if scene.is_admin() {
            controls.push(Control::tick("break_glass", "Break the glass").hint(
                "Passes over gates that ask for proof. The record shows it, and who did it.",
            ));
        }
        Ok(controls)
    }

    fn gates(scene: &OnRollout, services: &Services) -> Result<Vec<GateReport>, Failure> {
        if scene.rollout().stage.next().is_none() {
            return Ok(Vec::new());
        }
        let (_, _, reports) = services.gates(&scene.actor, &scene.target, None)?;
        Ok(reports)
    }

    fn order(scene: &OnRollout, fields: &Fields) -> Result<Order, Failure> {
        let body: PromotionBody = Said::of(fields)
            .choice("to")
            .text("reason")
            .tick("cascade")
            .tick("break_glass")
            .read()?;
        Ok(Order::Change(body.read(scene.target.clone())?))
    }
}

/// Any number of stages back.
pub(crate) struct Demote;

impl Form for Demote {
    type Role = Operator;
    type On = OnRollout;

    const SLUG: &'static str = "demote";
    const TITLE: &'static str = "Demote";
    const MEANS: &'static str = "Back to an earlier stage. It needs no gate.";
    const IS_DANGER: bool = true;

    fn first(scene: &OnRollout) -> Fields {
        let before = earlier(scene).last().map_or("", |stage| stage.name());
        Fields::default().with("to", before)
    }

    fn controls(scene: &OnRollout, _: &Services) -> Result<Vec<Control>, Failure> {
        let choices = earlier(scene).map(choice).collect();
        let mut controls = vec![
            Control::choice("to", "To", choices),
            Control::reason(),
            Control::tick("halt", "Halt it in the same step"),
            Control::tick("cascade", "Demote what requires it too")
                .hint("Routes that require it and would be ahead of it move with it."),
        ];
        if scene.is_admin() && scene.rollout().stage == Stage::Mandatory {
            controls.push(
                Control::tick("break_glass", "Break the glass")
                    .hint("Out of mandatory: installations may have lost the old path."),
            );
        }
        controls.extend(scene.loss().map(|told| Control::accept_loss(&told)));
        Ok(controls)
    }

    fn order(scene: &OnRollout, fields: &Fields) -> Result<Order, Failure> {
        let body: DemotionBody = Said::of(fields)
            .choice("to")
            .text("reason")
            .tick("halt")
            .tick("cascade")
            .tick("break_glass")
            .tick("accept_loss")
            .read()?;
        Ok(Order::Change(body.read(scene.target.clone())?))
    }
}

fn earlier(scene: &OnRollout) -> impl Iterator<Item = Stage> {
    let now = scene.rollout().stage;
    let all = [Stage::ReadyForTesting, Stage::OptIn, Stage::OptOut];
    all.into_iter().filter(move |stage| *stage < now)
}

pub(super) fn choice(stage: Stage) -> Choice {
    Choice::new(stage.name(), stage_name(stage))
}
