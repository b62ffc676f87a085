//! What a form is: what it asks for, and what it orders.

use crate::domain::cohort::Uses;
use crate::domain::gate::GateReport;
use crate::domain::lifecycle::Command;
use crate::domain::text::Reason;
use crate::http::extract::MinRole;
use crate::service::{Answer, Change, Changed, Ctx, Failure, Services, Target};
use crate::store::Receipt;
use crate::web::actions::control::Control;
use crate::web::actions::scene::{OnRollout, Scene};
use crate::web::actions::told;
use crate::web::fields::Fields;

/// A form that changes something.
pub(crate) trait Form: 'static {
    /// The role that it needs; where the rules need more, the service says so.
    type Role: MinRole;
    /// What it is about.
    type On: Scene;

    /// The end of its address.
    const SLUG: &'static str;
    /// What it does, as its heading and its button say.
    const TITLE: &'static str;
    /// What that means, in a sentence.
    const MEANS: &'static str;
    /// Whether it takes something away, or cannot be undone.
    const IS_DANGER: bool = false;
    /// Whether it is tried out before it is done. What is not tried out is done at once, whatever its
    /// page has shown: only where it makes things safer, or is no change of a rollout.
    const IS_TRIED: bool = true;
    /// Whether, in production, the route's name has to be typed for what is no change of a rollout.
    const IS_VOUCHED: bool = false;
    /// Whether what is no change of a rollout is done only to the state that was seen.
    const IS_TAGGED: bool = false;

    /// What stands in it first.
    fn first(scene: &Self::On) -> Fields;

    /// Its fields.
    ///
    /// # Errors
    /// When what can be chosen cannot be read.
    fn controls(scene: &Self::On, services: &Services) -> Result<Vec<Control>, Failure>;

    /// The gates that it has to pass.
    ///
    /// # Errors
    /// When they cannot be asked.
    fn gates(_: &Self::On, _: &Services) -> Result<Vec<GateReport>, Failure> {
        Ok(Vec::new())
    }

    /// What it orders, as it was filled in.
    ///
    /// # Errors
    /// What is wrong with its fields.
    fn order(scene: &Self::On, fields: &Fields) -> Result<Order, Failure>;
}

/// What a form orders.
pub(super) enum Order {
    /// A change of a rollout.
    Change(Change),
    /// Keys of a rollout that are treated apart, and why.
    Cohorts(Target, Uses, Reason),
    /// Anything else; its receipt says what was done.
    Deed(Deed),
}

/// Something that is done in one step.
pub(super) type Deed = Box<dyn FnOnce(&Services, &Ctx) -> Result<Answer, Failure> + Send>;

/// A change of a rollout that can be tried out first.
pub(super) enum Move {
    Change(Change),
    Cohorts(Target, Uses, Reason),
}

impl Move {
    /// What it would do now.
    pub(super) fn rehearse(&self, services: &Services, ctx: &Ctx) -> Result<Changed, Failure> {
        let ctx = Ctx {
            if_match: None,
            idempotency: None,
            ..ctx.clone()
        };
        match self {
            Move::Change(change) => services.rehearse(&ctx, change),
            Move::Cohorts(target, uses, reason) => {
                services.rehearse_cohorts(&ctx, target, uses, reason)
            }
        }
    }

    /// Does it.
    pub(super) fn make(&self, services: &Services, ctx: &Ctx) -> Result<Answer, Failure> {
        let render = |changed: &Changed| noted(told::done(changed));
        match self {
            Move::Change(change) => services.change_rollout(ctx, change, &render),
            Move::Cohorts(target, uses, reason) => {
                services.use_cohorts(ctx, target, uses, reason, &render)
            }
        }
    }

    /// Whether it must not wait, and is done as often as it is asked for.
    pub(super) fn is_urgent(&self) -> bool {
        matches!(self, Move::Change(change) if change.command.is_urgent())
    }

    /// Whether it can only make things safer, so that nobody has to type a name for it. What cannot
    /// be tried out is judged by what it is.
    pub(super) fn is_safe(&self, seen: Option<&Changed>, accepts_loss: bool) -> bool {
        let is_safe = match self {
            Move::Change(change) => match &change.command {
                Command::Demote { break_glass, .. } => !break_glass,
                // What is mirrored decides whether there is a way back.
                Command::SetMirror(_) => false,
                command if command.is_safe() => true,
                _ => seen.is_some_and(lowers),
            },
            Move::Cohorts(..) => seen.is_some_and(lowers),
        };
        is_safe && !accepts_loss
    }
}

/// Whether no key may take the new path that could not before.
fn lowers(changed: &Changed) -> bool {
    let kind = changed.environment.kind;
    let after = match &changed.after.data.hold {
        // It is announced, and moves keys once it is made.
        Some(_) => return false,
        None => changed.after.exposure(kind),
    };
    changed.before.stage >= changed.after.stage
        && changed.before.halt.is_none()
        && !after.raises(&changed.before.exposure(kind))
}

/// The receipt of what was done: what the next page says of it.
pub(super) fn noted(notice: String) -> Receipt {
    Receipt {
        status: 303,
        etag: None,
        body: notice,
    }
}

/// A deed, and what is said of it when it is done.
pub(super) fn deed(
    what: impl FnOnce(&Services, &Ctx) -> Result<Answer, Failure> + Send + 'static,
) -> Order {
    Order::Deed(Box::new(what))
}

/// Where a rollout's command needs a reason and nothing else.
pub(super) fn only_reason(_: &OnRollout, _: &Services) -> Result<Vec<Control>, Failure> {
    Ok(vec![Control::reason()])
}
