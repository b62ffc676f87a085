//! A rollout at a glance.

use chrono::{DateTime, Utc};
use switchover::{EnvironmentKind, Percent, Setting, Stage};

use crate::domain::actor::Actor;
use crate::domain::next_action::Next;
use crate::domain::route::Route;
use crate::domain::schedule::Milestone;
use crate::service::{RolloutOverview, Target};
use crate::web::Shell;
use crate::web::actions::{HaltInline, Kind, Offer, offered};
use crate::web::route::gates::{NextView, guards_at_a_glance};
use crate::web::route::stepper::{Step, steps};
use crate::web::route::{Badge, many, ramp};
use crate::web::words::{SplitBar, When, setting_name};

/// A rollout at a glance.
pub(super) struct Card {
    /// The environment.
    pub(super) environment: String,
    /// Where everything about it is.
    pub(super) address: String,
    /// What kind of environment it is.
    pub(super) kind: &'static str,
    pub(super) is_production: bool,
    pub(super) steps: Vec<Step>,
    pub(super) exposure: Exposed,
    pub(super) setting: String,
    pub(super) badges: Vec<Badge>,
    pub(super) halt: Option<HaltView>,
    pub(super) next: NextView,
    /// How calls were split in the last ten minutes.
    pub(super) split: Option<SplitBar>,
    /// The same in words.
    pub(super) split_told: String,
    /// What can be done, by whom looks at it.
    pub(super) offers: Offered,
    /// A halt in one step, where there is something to halt.
    pub(super) halt_form: Option<HaltInline>,
}

/// What can be done: at once, besides, and why not what else.
pub(super) struct Offered {
    pub(super) first: Vec<Offer>,
    pub(super) more: Vec<Offer>,
    pub(super) refused: Vec<Offer>,
}

impl Offered {
    /// What comes next, if its form has this name, asks most to be taken.
    pub(super) fn of(offers: Vec<Offer>, next: Option<&str>) -> Offered {
        let is_next = |offer: &Offer| {
            let slug = offer.address.rsplit('/').next();
            slug.is_some() && slug == next
        };
        let (open, refused): (Vec<Offer>, Vec<Offer>) = offers
            .into_iter()
            .partition(|offer| offer.why_not.is_none());
        let (mut first, more): (Vec<Offer>, Vec<Offer>) = open
            .into_iter()
            .partition(|offer| offer.kind != Kind::Quiet || is_next(offer));
        for offer in &mut first {
            offer.kind = match offer.kind {
                Kind::Danger => Kind::Danger,
                _ if is_next(offer) => Kind::Primary,
                _ => Kind::Quiet,
            };
        }
        first.sort_by_key(|offer| (offer.kind == Kind::Danger, offer.kind != Kind::Primary));
        Offered {
            first,
            more,
            refused,
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.first.is_empty() && self.more.is_empty() && self.refused.is_empty()
    }
}

/// How much may take the new path.
pub(super) struct Exposed {
    /// The width of the bar, in percent.
    pub(super) width: String,
    pub(super) told: String,
}

/// Since when, by whom and why it is halted.
pub(super) struct HaltView {
    pub(super) by: String,
    pub(super) at: When,
    pub(super) reason: String,
}

impl Card {
    /// What the list of all that can be done is called in the page.
    pub(super) fn offers_id(&self) -> String {
        format!("more-{}", self.environment)
    }

    pub(super) fn of(
        shell: &Shell,
        actor: &Actor,
        route: &Route,
        seen: &RolloutOverview,
        milestones: &[Milestone],
        now: DateTime<Utc>,
    ) -> Card {
        let (rollout, environment) = (&seen.rollout, seen.environment());
        // A halt has a form of its own, where it takes effect at once: installations of others hear of
        // it with their next release.
        let mut offers = offered(actor, route, rollout, environment);
        let all = offers.len();
        if environment.kind == EnvironmentKind::Hosted {
            offers.retain(|offer| !offer.address.ends_with("/halt"));
        }
        let target = Target {
            route: rollout.route.clone(),
            environment: rollout.environment.clone(),
        };
        let halt_form = (offers.len() < all).then(|| HaltInline::of(shell, &target));
        let lately = seen.lately.clone().unwrap_or_default();
        let (new, old) = (lately.new.calls, lately.old.calls);
        let split_told = match (&seen.lately, new, old) {
            (None, ..) => "what callers report cannot be read now".to_owned(),
            (Some(_), 0, 0) => "no calls were reported in the last 10 minutes".to_owned(),
            (Some(_), new, old) => format!(
                "{} of {} calls of the last 10 minutes took the new path",
                crate::web::words::count(new),
                crate::web::words::count(new.saturating_add(old))
            ),
        };
        Card {
            address: format!("/routes/{}/environments/{}", rollout.route, environment.key),
            environment: environment.key.to_string(),
            kind: match environment.kind {
                EnvironmentKind::Hosted => "hosted",
                EnvironmentKind::OnPrem => "on-prem",
            },
            is_production: environment.production,
            steps: steps(route, Some((rollout, &environment.key)), milestones, now),
            exposure: exposed(seen),
            setting: setting(rollout.stage, rollout.setting),
            badges: badges(seen, now),
            halt: rollout.halt.as_ref().map(|halt| HaltView {
                by: halt.by.clone(),
                at: When::of(halt.at, now),
                reason: halt.reason.clone(),
            }),
            next: NextView::of(&seen.next, now),
            split: SplitBar::of(new, old),
            split_told,
            offers: Offered::of(offers, asked_for(&seen.next.what)),
            halt_form,
        }
    }
}

/// The form that does what comes next; `None` where none does.
pub(super) fn asked_for(next: &Next) -> Option<&'static str> {
    match next {
        Next::Promote { .. } => Some("promote"),
        Next::Resume { frozen: None, .. } => Some("resume"),
        Next::StartRamp { .. } => Some("ramp-start"),
        Next::ResumeRamp { .. } => Some("ramp-resume"),
        Next::SwitchOn { .. } | Next::ExposeAll => Some("setting"),
        Next::LeaveOldStore => Some("mirror"),
        Next::TakeUp | Next::Prepare { .. } => Some("prepare"),
        Next::Retire => Some("retire"),
        _ => None,
    }
}

fn setting(stage: Stage, setting: Setting) -> String {
    match stage {
        Stage::Mandatory => "none: mandatory".to_owned(),
        _ => setting_name(setting),
    }
}

fn exposed(seen: &RolloutOverview) -> Exposed {
    let exposure = seen.rollout.exposure(seen.environment().kind);
    let thousandths = exposure.share.thousandths();
    let mut told = match exposure.share {
        Percent::ZERO => "No key takes the new path".to_owned(),
        Percent::HUNDRED => "Every key may take the new path".to_owned(),
        share => format!("{share} of the keys may take the new path"),
    };
    let apart = [
        (exposure.include.len(), "included"),
        (exposure.exclude.len(), "excluded"),
    ];
    for (count, how) in apart.into_iter().filter(|(count, _)| *count > 0) {
        told.push_str(&format!(", {} {how}", many(count, "key")));
    }
    Exposed {
        width: format!("{}.{:03}", thousandths / 1_000, thousandths % 1_000),
        told,
    }
}

/// What is out of the ordinary, or worth knowing at a glance.
fn badges(seen: &RolloutOverview, now: DateTime<Utc>) -> Vec<Badge> {
    let (rollout, facts) = (&seen.rollout, &seen.facts);
    let mut badges = Vec::new();
    if rollout.halt.is_some() {
        badges.push(Badge::new("is-bad", "halted"));
    }
    if rollout.data.hold.is_some() {
        badges.push(Badge::new("is-wait", "keys are about to move"));
    }
    if !facts.freezes.is_empty() {
        badges.push(Badge::new("is-wait", "change freeze"));
    }
    let mut earlier = facts.proof.earlier.iter();
    if let Some((behind, _)) = earlier.find(|(_, stage)| *stage < rollout.stage) {
        badges.push(Badge::new("is-wait", format!("drift: ahead of {behind}")));
    }
    if let Some(window) = rollout.acceptance.as_ref() {
        let left = crate::web::words::span(window.until - now);
        badges.push(Badge::new(
            "is-wait",
            format!("acceptance window, {left} left"),
        ));
    }
    if rollout.stage != Stage::Mandatory {
        badges.extend(guards_at_a_glance(&facts.guards, facts.guards_unread));
        badges.extend(ramp::at_a_glance(seen));
    }
    let shares = rollout.mirror.shares;
    if shares.read > Percent::ZERO || shares.write > Percent::ZERO {
        let told = format!(
            "mirror: {} of reads, {} of writes",
            shares.read, shares.write
        );
        badges.push(Badge::new("is-new", told));
    }
    if rollout.mirror.stopped.is_some() {
        badges.push(Badge::new("is-bad", "mirror stopped"));
    }
    badges
}
