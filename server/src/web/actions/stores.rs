//! The two stores of a route that writes: backfills, repairs, comparisons, and who writes.

use crate::domain::backfill::Act;
use crate::http::consistency::{NewRunBody, ScheduleChangeBody};
use crate::http::extract::{Maintainer, Operator};
use crate::http::repairs::SettleBody;
use crate::http::rollouts::read_reason;
use crate::service::{Failure, Services, UNRESOLVED};
use crate::web::actions::control::{Choice, Control};
use crate::web::actions::form::{Form, Order, deed, noted};
use crate::web::actions::said::Said;
use crate::web::actions::scene::{OnRollout, Scene as _};
use crate::web::fields::Fields;
use crate::web::words::span;

/// The latest backfills and writers that a form lists.
const MOST_LISTED: usize = 50;

/// A backfill that waits, goes on, or is void.
pub(crate) struct OrderBackfill;

impl Form for OrderBackfill {
    type Role = Operator;
    type On = OnRollout;

    const SLUG: &'static str = "backfill";
    const TITLE: &'static str = "Order a backfill";
    const MEANS: &'static str =
        "It waits, goes on, or is made void. What is void has to be run again, from the first key.";
    const IS_TRIED: bool = false;
    const IS_VOUCHED: bool = true;

    fn first(_: &OnRollout) -> Fields {
        Fields::default().with("act", "pause")
    }

    fn controls(scene: &OnRollout, services: &Services) -> Result<Vec<Control>, Failure> {
        let found = services.backfills(&scene.target, None, MOST_LISTED)?;
        let choices = found.into_iter().map(|backfill| {
            let (state, keys) = (backfill.state.name(), backfill.keys);
            let label = format!(
                "{state}, {keys} keys, begun {} ago",
                span(scene.now - backfill.begun_at)
            );
            Choice::new(backfill.id, label)
        });
        let acts = vec![
            Choice::new("pause", "Pause"),
            Choice::new("resume", "Resume"),
            Choice::new("reset", "Reset"),
        ];
        Ok(vec![
            Control::choice("backfill", "Backfill", choices.collect())
                .hint("The latest first. A process of the application begins one."),
            Control::choice("act", "What is to happen", acts),
            Control::reason(),
        ])
    }

    fn order(scene: &OnRollout, fields: &Fields) -> Result<Order, Failure> {
        let reason = read_reason(fields.get("reason"))?;
        let id = uuid::Uuid::parse_str(fields.get("backfill"));
        let id = id.map_err(|_| Failure::invalid("backfill", "there is none yet"))?;
        let (act, told) = match fields.get("act") {
            "pause" => (Act::Pause, "paused"),
            "resume" => (Act::Resume, "resumed"),
            "reset" => (Act::Reset, "reset"),
            _ => return Err(Failure::invalid("act", "choose one")),
        };
        let (target, title) = (scene.target.clone(), scene.title());
        Ok(deed(move |services, ctx| {
            services.order_backfill(ctx, (&target, &id.to_string()), (act, &reason), &|_| {
                noted(format!("{title}: the backfill is {told}."))
            })
        }))
    }
}

/// Repairs that are tried again, or taken for settled.
pub(crate) struct SettleRepairs;

impl Form for SettleRepairs {
    type Role = Operator;
    type On = OnRollout;

    const SLUG: &'static str = "repairs";
    const TITLE: &'static str = "Settle repairs";
    const MEANS: &'static str = "Keys whose two rows may differ. They are tried again, or taken for settled: then you \
                                 vouch for it that their rows are equal.";
    const IS_TRIED: bool = false;
    const IS_VOUCHED: bool = true;

    fn first(_: &OnRollout) -> Fields {
        Fields::default().with("action", "retry")
    }

    fn controls(scene: &OnRollout, services: &Services) -> Result<Vec<Control>, Failure> {
        let found = services.repairs(&scene.target, &UNRESOLVED, None, MOST_LISTED)?;
        let first: Vec<&str> = found
            .iter()
            .take(5)
            .map(|repair| repair.key.as_str())
            .collect();
        let hint = match first.len() {
            0 => "None is unresolved.".to_owned(),
            _ => format!(
                "One a line. The first unresolved ones: {}.",
                first.join(", ")
            ),
        };
        let acts = vec![
            Choice::new("retry", "Try them again"),
            Choice::new("resolve", "Take them for settled"),
        ];
        Ok(vec![
            Control::choice("action", "What is to happen", acts),
            Control::area("keys", "Keys").hint(hint),
            Control::tick("all", "All that are unresolved, in the place of keys"),
            Control::reason(),
        ])
    }

    fn order(scene: &OnRollout, fields: &Fields) -> Result<Order, Failure> {
        let said = Said::of(fields).choice("action").tick("all").text("reason");
        let said = match fields.lines("keys").is_empty() {
            true => said,
            false => said.keys("keys"),
        };
        let settle = said.read::<SettleBody>()?.read()?;
        let (target, title) = (scene.target.clone(), scene.title());
        Ok(deed(move |services, ctx| {
            services.settle_repairs(ctx, (&target, &settle), &|done| {
                let unknown = match done.unknown {
                    0 => String::new(),
                    more => format!(" {more} keys have no unresolved repair."),
                };
                noted(format!(
                    "{title}: done to {} repairs.{unknown}",
                    done.repairs
                ))
            })
        }))
    }
}

/// A comparison of both stores.
pub(crate) struct Compare;

impl Form for Compare {
    type Role = Operator;
    type On = OnRollout;

    const SLUG: &'static str = "consistency";
    const TITLE: &'static str = "Compare the stores";
    const MEANS: &'static str =
        "The next process that writes the route compares rows. What it finds is evidence.";
    const IS_TRIED: bool = false;

    fn first(_: &OnRollout) -> Fields {
        Fields::default()
            .with("kind", "sample")
            .with("sample", "100")
    }

    fn controls(_: &OnRollout, _: &Services) -> Result<Vec<Control>, Failure> {
        Ok(vec![kind(), sample(), Control::reason()])
    }

    fn order(scene: &OnRollout, fields: &Fields) -> Result<Order, Failure> {
        let body: NewRunBody = Said::of(fields)
            .choice("kind")
            .whole("sample")
            .text("reason")
            .read()?;
        let new = body.read()?;
        let (target, title) = (scene.target.clone(), scene.title());
        Ok(deed(move |services, ctx| {
            services.order_consistency(ctx, (&target, &new), &|_| {
                noted(format!("{title}: a comparison is ordered."))
            })
        }))
    }
}

/// Comparisons that are made by themselves.
pub(crate) struct Schedule;

impl Form for Schedule {
    type Role = Operator;
    type On = OnRollout;

    const SLUG: &'static str = "consistency-schedule";
    const TITLE: &'static str = "Schedule comparisons";
    const MEANS: &'static str = "When rows are compared by themselves.";
    const IS_TRIED: bool = false;

    fn first(_: &OnRollout) -> Fields {
        Fields::default()
            .with("every", "hourly")
            .with("kind", "sample")
            .with("sample", "100")
    }

    fn controls(_: &OnRollout, _: &Services) -> Result<Vec<Control>, Failure> {
        let choices = vec![
            Choice::new("hourly", "Hourly"),
            Choice::new("daily", "Daily"),
            Choice::new("", "Never"),
        ];
        Ok(vec![
            Control::choice("every", "How often", choices),
            kind(),
            sample(),
            Control::reason(),
        ])
    }

    fn order(scene: &OnRollout, fields: &Fields) -> Result<Order, Failure> {
        let said = Said::of(fields).text("reason");
        let body: ScheduleChangeBody = match fields.get("every") {
            // Without a script the other fields stay as they are.
            "" => said.read()?,
            _ => said.choice("every").choice("kind").whole("sample").read()?,
        };
        let (schedule, reason) = body.read()?;
        let (target, title) = (scene.target.clone(), scene.title());
        Ok(deed(move |services, ctx| {
            services.schedule_consistency(ctx, (&target, schedule, &reason), &|_| {
                noted(format!("{title}: the schedule of comparisons is set."))
            })
        }))
    }
}

fn kind() -> Control {
    let kinds = vec![
        Choice::new("sample", "Some keys, drawn at random"),
        Choice::new("checksum", "Every key, by checksums"),
    ];
    Control::choice("kind", "What is compared", kinds)
}

fn sample() -> Control {
    Control::line("sample", "Keys of a sample").hint("1 to 100,000.")
}

/// A process that is gone for good.
pub(crate) struct DeclareGone;

impl Form for DeclareGone {
    type Role = Maintainer;
    type On = OnRollout;

    const SLUG: &'static str = "writers";
    const TITLE: &'static str = "Declare a writer gone";
    const MEANS: &'static str = "Changes that move keys wait for it no longer. You vouch for it: what it still wrote could \
                                 be lost.";
    const IS_DANGER: bool = true;
    const IS_TRIED: bool = false;
    const IS_VOUCHED: bool = true;

    fn first(_: &OnRollout) -> Fields {
        Fields::default()
    }

    fn controls(scene: &OnRollout, services: &Services) -> Result<Vec<Control>, Failure> {
        let found = services.writers(&scene.target, "", MOST_LISTED)?;
        let here = found
            .writers
            .into_iter()
            .filter(|writer| writer.gone.is_none());
        let choices = here.map(|writer| {
            let silent = span(found.now - writer.seen_at);
            Choice::new(
                writer.instance,
                format!("{}, last heard of {silent} ago", writer.name),
            )
        });
        Ok(vec![
            Control::choice("instance", "Process", choices.collect()),
            Control::reason(),
        ])
    }

    fn order(scene: &OnRollout, fields: &Fields) -> Result<Order, Failure> {
        let reason = read_reason(fields.get("reason"))?;
        let instance = fields.get("instance").to_owned();
        if instance.is_empty() {
            return Err(Failure::invalid(
                "instance",
                "no process writes the route here",
            ));
        }
        let (target, title) = (scene.target.clone(), scene.title());
        Ok(deed(move |services, ctx| {
            services.declare_gone(ctx, (&target, &instance), &reason, &|writer| {
                noted(format!("{title}: {} is declared gone.", writer.name))
            })
        }))
    }
}
