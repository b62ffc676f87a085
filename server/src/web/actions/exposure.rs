//! What is set on top of the stage: setting, keys by name, mirror, acceptance windows.

use chrono::Duration;

use crate::domain::cohort::Side;
use crate::domain::exposure::Cohort;
use crate::domain::lifecycle::Command;
use crate::http::extract::{Maintainer, Operator};
use crate::http::mirror::MirrorRequest;
use crate::http::promotions::{AcceptanceRequest, closing};
use crate::http::settings::{CohortsRequest, SettingRequest};
use crate::service::{Failure, Services};
use crate::web::actions::control::{Choice, Control};
use crate::web::actions::form::{Form, Order, only_reason};
use crate::web::actions::revert::{filled_in, lines, set, share};
use crate::web::actions::said::Said;
use crate::web::actions::scene::OnRollout;
use crate::web::fields::Fields;

/// What is set on top of the stage.
pub(crate) struct Setting;

impl Form for Setting {
    type Role = Operator;
    type On = OnRollout;

    const SLUG: &'static str = "setting";
    const TITLE: &'static str = "Change the setting";
    const MEANS: &'static str = "How many keys take the new path, on top of what the stage says.";

    fn first(scene: &OnRollout) -> Fields {
        set(Fields::default(), scene.rollout().setting)
    }

    fn controls(scene: &OnRollout, _: &Services) -> Result<Vec<Control>, Failure> {
        let modes = vec![
            Choice::new("stage_default", "As the stage says"),
            Choice::new("off", "Off: every key takes the old path"),
            Choice::new("on", "On: every key takes the new path"),
            Choice::new("ramp", "A share of the keys"),
        ];
        let mut controls = vec![
            Control::choice("mode", "Setting", modes),
            Control::line("percent", "Share in percent")
                .hint("With a share of the keys: 0 to 100, up to three decimals."),
            Control::reason(),
        ];
        controls.extend(scene.loss().map(|told| Control::accept_loss(&told)));
        Ok(controls)
    }

    fn order(scene: &OnRollout, fields: &Fields) -> Result<Order, Failure> {
        let said = Said::of(fields)
            .choice("mode")
            .text("reason")
            .tick("accept_loss");
        // Without a script the share stays in its field when another mode is chosen.
        let said = match fields.get("mode") {
            "ramp" => said.number("percent"),
            _ => said,
        };
        let body: SettingRequest = said.read()?;
        Ok(Order::Change(body.read(scene.target.clone())?))
    }
}

/// Keys that are treated apart.
pub(crate) struct Cohorts;

impl Form for Cohorts {
    type Role = Operator;
    type On = OnRollout;

    const SLUG: &'static str = "cohorts";
    const TITLE: &'static str = "Include or exclude keys";
    const MEANS: &'static str = "Keys that take the new or the old path whatever the ramp says. They replace those that are set.";

    fn first(scene: &OnRollout) -> Fields {
        let rollout = scene.rollout();
        let names = |side: &Side| {
            let names: Vec<&str> = side.cohorts.iter().map(|name| name.as_str()).collect();
            names.join("\n")
        };
        // Where cohorts are used, the others are the rollout's own.
        let own = |side: &Side, all: &Cohort| match side.cohorts.is_empty() {
            true => lines(all),
            false => lines(&side.keys),
        };
        let uses = &rollout.uses;
        Fields::default()
            .with("include", own(&uses.include, &rollout.include))
            .with("exclude", own(&uses.exclude, &rollout.exclude))
            .with("include_cohorts", names(&uses.include))
            .with("exclude_cohorts", names(&uses.exclude))
    }

    fn controls(_: &OnRollout, _: &Services) -> Result<Vec<Control>, Failure> {
        Ok(vec![
            Control::area("include", "Keys that take the new path").hint("One a line."),
            Control::area("exclude", "Keys that take the old path")
                .hint("One a line. Stronger than the others."),
            Control::line("include_cohorts", "Cohorts that take the new path")
                .hint("By name, with blanks between."),
            Control::line("exclude_cohorts", "Cohorts that take the old path")
                .hint("By name, with blanks between."),
            Control::reason(),
        ])
    }

    fn order(scene: &OnRollout, fields: &Fields) -> Result<Order, Failure> {
        let body: CohortsRequest = Said::of(fields)
            .keys("include")
            .keys("exclude")
            .names("include_cohorts")
            .names("exclude_cohorts")
            .text("reason")
            .read()?;
        let (uses, reason) = body.read()?;
        Ok(Order::Cohorts(scene.target.clone(), uses, reason))
    }
}

/// What also runs on the other path.
pub(crate) struct Mirror;

impl Form for Mirror {
    type Role = Operator;
    type On = OnRollout;

    const SLUG: &'static str = "mirror";
    const TITLE: &'static str = "Change the mirror";
    const MEANS: &'static str = "The share of calls that also run on the other path. 0 is none.";

    fn first(scene: &OnRollout) -> Fields {
        filled_in(&Command::SetMirror(scene.rollout().mirror.shares)).1
    }

    fn controls(_: &OnRollout, _: &Services) -> Result<Vec<Control>, Failure> {
        Ok(vec![
            Control::line("read_percent", "Reads, in percent")
                .hint("They run on both paths, and the results are compared."),
            Control::line("write_percent", "Writes, in percent of the keys")
                .hint("Their rows are copied to the other store."),
            Control::reason(),
        ])
    }

    fn order(scene: &OnRollout, fields: &Fields) -> Result<Order, Failure> {
        let body: MirrorRequest = Said::of(fields)
            .needed_number("read_percent")
            .needed_number("write_percent")
            .text("reason")
            .read()?;
        Ok(Order::Change(body.read(scene.target.clone())?))
    }
}

/// A test in front of real users.
pub(crate) struct OpenWindow;

impl Form for OpenWindow {
    type Role = Maintainer;
    type On = OnRollout;

    const SLUG: &'static str = "acceptance";
    const TITLE: &'static str = "Open an acceptance window";
    const MEANS: &'static str = "A test with real calls: up to a share, until a time. It closes by itself and takes the setting back.";

    fn first(scene: &OnRollout) -> Fields {
        let fields = Fields::default();
        match &scene.rollout().acceptance {
            Some(window) => fields
                .with("until", moment(window.until))
                .with("percent", share(window.percent))
                .with("cohort", lines(&window.cohort)),
            None => fields.with("until", moment(scene.now + Duration::hours(4))),
        }
    }

    fn controls(_: &OnRollout, _: &Services) -> Result<Vec<Control>, Failure> {
        Ok(vec![
            Control::moment("until", "Until (UTC)").hint("At most 30 days ahead."),
            Control::line("percent", "Share in percent").hint("Of the keys in no cohort."),
            Control::area("cohort", "Keys that take the new path").hint("One a line."),
            Control::reason(),
        ])
    }

    fn order(scene: &OnRollout, fields: &Fields) -> Result<Order, Failure> {
        let body: AcceptanceRequest = Said::of(fields)
            .moment("until")
            .number("percent")
            .keys("cohort")
            .text("reason")
            .read()?;
        Ok(Order::Change(body.read(scene.target.clone())?))
    }
}

fn moment(at: chrono::DateTime<chrono::Utc>) -> String {
    at.format("%Y-%m-%dT%H:%M").to_string()
}

/// The end of such a test.
pub(crate) struct CloseWindow;

impl Form for CloseWindow {
    type Role = Operator;
    type On = OnRollout;

    const SLUG: &'static str = "acceptance-close";
    const TITLE: &'static str = "Close the acceptance window";
    const MEANS: &'static str = "The setting of before it is taken back.";

    fn first(_: &OnRollout) -> Fields {
        Fields::default().with("reason", "closed by hand")
    }

    fn controls(scene: &OnRollout, services: &Services) -> Result<Vec<Control>, Failure> {
        only_reason(scene, services)
    }

    fn order(scene: &OnRollout, fields: &Fields) -> Result<Order, Failure> {
        let change = closing(scene.target.clone(), Some(fields.get("reason")))?;
        Ok(Order::Change(change))
    }
}
