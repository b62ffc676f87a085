//! What a change of a rollout means for whom: callers in no cohort, keys by name, installations with
//! an environment variable, calls by the hour. Facts only; words are made where they are shown.

use std::collections::BTreeMap;

use chrono::{DateTime, Duration, Utc};
use switchover::{
    EnvironmentKind, FlagName, Mirror, Overrides, Path, Percent, RouteKey, Setting, Table, decide,
};

use crate::domain::exposure::Cohort;
use crate::domain::loss::LossRisk;
use crate::domain::ramp::RampState;
use crate::domain::rollout::Rollout;
use crate::domain::route::{Operation, RouteSpec};

/// The most keys that are named one by one.
const FEW: usize = 5;

/// Something as it was and as it will be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Turn<T> {
    /// As it was.
    pub before: T,
    /// As it will be.
    pub after: T,
}

impl<T: PartialEq> Turn<T> {
    /// Whether it will be otherwise.
    #[must_use]
    pub fn is_change(&self) -> bool {
        self.before != self.after
    }
}

/// Keys that a rollout names: how many, and the first of them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Few {
    /// How many.
    pub count: usize,
    /// The first of them, in order.
    pub first: Vec<String>,
}

impl Few {
    fn of<'a>(keys: impl Iterator<Item = &'a Box<str>>) -> Few {
        let mut few = Few::default();
        for key in keys {
            few.count += 1;
            if few.first.len() < FEW {
                few.first.push(key.to_string());
            }
        }
        few
    }

    /// How many are not named.
    #[must_use]
    pub fn more(&self) -> usize {
        self.count.saturating_sub(self.first.len())
    }
}

/// One side of the keys that a rollout treats apart, as far as that has an effect: a halt, `off` and
/// `mandatory` treat nobody apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Apart {
    /// How many there are.
    pub count: Turn<usize>,
    /// Those that are new among them.
    pub joining: Few,
    /// Those that are treated apart no more.
    pub leaving: Few,
}

/// Who calls, other than with a key and without any environment variable.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Caller {
    /// It passes no key.
    WithoutKey,
    /// Its environment variable is `1`.
    FlagOn,
    /// Its environment variable is `0`.
    FlagOff,
    /// On premises, with `<PREFIX>_FEATURE_DEFAULT_ON=1`.
    DefaultOn,
}

impl Caller {
    /// All of them.
    pub const ALL: [Caller; 4] = [
        Caller::WithoutKey,
        Caller::FlagOn,
        Caller::FlagOff,
        Caller::DefaultOn,
    ];

    fn overrides(self, flag: &FlagName) -> Overrides {
        let default_on = format!("{}_FEATURE_DEFAULT_ON", flag.prefix());
        let set = match self {
            Caller::WithoutKey => None,
            Caller::FlagOn => Some((flag.to_string(), "1")),
            Caller::FlagOff => Some((flag.to_string(), "0")),
            Caller::DefaultOn => Some((default_on, "1")),
        };
        set.into_iter().collect()
    }
}

/// What callers have reported of late.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lately {
    /// Over how long.
    pub span: Duration,
    /// Calls that took the old path.
    pub old: u64,
    /// Calls that took the new path.
    pub new: u64,
    /// How many processes run.
    pub processes: usize,
}

/// Calls that will take another path, as far as can be told from those of late.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moving {
    /// Which path they will take.
    pub to: Path,
    /// How many in an hour.
    pub per_hour: u64,
}

/// What becomes of the steps by which exposure goes up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RampTurn {
    /// The name of its state; none without a ramp.
    pub state: Turn<Option<&'static str>>,
    /// Whether it is new, and begins at 0 %.
    pub begins_at_zero: bool,
    /// Whether it goes on without anybody saying so.
    pub by_itself: bool,
}

/// What a change of a rollout means for whom.
#[derive(Clone, Debug, PartialEq)]
pub struct Effect {
    /// The share of the keys in no cohort that takes the new path, where the routes that it requires
    /// let it.
    pub share: Turn<Percent>,
    /// Keys that take the new path in any case.
    pub included: Apart,
    /// Keys that take the old path in any case.
    pub excluded: Apart,
    /// The path of callers without a key, and of those with an environment variable, where they have
    /// a say.
    pub callers: BTreeMap<Caller, Turn<Path>>,
    /// The calls that will take another path; `None` where none will, or nothing was reported.
    pub moving: Option<Moving>,
    /// How many processes hear of it; `None` where nobody knows.
    pub processes: Option<usize>,
    /// What is set on top of the stage.
    pub setting: Turn<Setting>,
    /// What becomes of the ramp; `None` where nothing does.
    pub ramp: Option<RampTurn>,
    /// What also runs on the other path.
    pub mirror: Turn<Mirror>,
    /// What going back to the old store costs from then on.
    pub risk: LossRisk,
    /// When it is given up at the latest, where keys move between two stores: then it is announced
    /// first, and made once every process that writes has let go of them.
    pub announced_until: Option<DateTime<Utc>>,
    /// Routes that may keep keys on the old path whatever is set here.
    pub requires: Vec<RouteKey>,
}

impl Effect {
    /// What it means that a rollout becomes another, in an environment of this kind.
    #[must_use]
    pub fn of(
        (before, after): (&Rollout, &Rollout),
        spec: &RouteSpec,
        kind: EnvironmentKind,
        (lately, risk): (Option<&Lately>, LossRisk),
    ) -> Effect {
        let held = match &before.data.hold {
            None => after.data.hold.as_deref(),
            Some(_) => None,
        };
        let made = held.map(|hold| as_made(after, &hold.next));
        let after = made.as_ref().unwrap_or(after);
        let (was, is) = (before.exposure(kind), after.exposure(kind));
        let share = Turn {
            before: was.share,
            after: is.share,
        };
        Effect {
            share,
            included: apart(&was.include, &is.include),
            excluded: apart(&was.exclude, &is.exclude),
            // What required routes decide for these callers, this route does not know.
            callers: if spec.requires.is_empty() {
                callers(before, after, spec, kind)
            } else {
                BTreeMap::new()
            },
            moving: lately.and_then(|lately| moving(share, lately)),
            processes: lately.map(|lately| lately.processes),
            setting: Turn {
                before: before.setting,
                after: after.setting,
            },
            ramp: ramp(before, after),
            mirror: Turn {
                before: before.mirror.shares,
                after: after.mirror.shares,
            },
            risk,
            announced_until: held.map(|hold| hold.until),
            requires: spec.requires.iter().cloned().collect(),
        }
    }

    /// Whether what was set on top of the stage is dropped, so that the stage decides.
    #[must_use]
    pub fn drops_the_setting(&self) -> bool {
        self.setting.is_change() && self.setting.after == Setting::StageDefault
    }

    /// Whether no caller takes another path than before.
    #[must_use]
    pub fn moves_nobody(&self) -> bool {
        let apart = |side: &Apart| side.joining.count == 0 && side.leaving.count == 0;
        !self.share.is_change()
            && apart(&self.included)
            && apart(&self.excluded)
            && !self.callers.values().any(Turn::is_change)
    }
}

/// The rollout once what is announced is made.
fn as_made(held: &Rollout, next: &switchover::Next) -> Rollout {
    let mut made = Rollout {
        stage: next.stage,
        setting: next.setting,
        include: next.include.clone(),
        exclude: next.exclude.clone(),
        ..held.clone()
    };
    if !next.halted {
        made.halt = None;
    }
    made
}

fn apart(before: &Cohort, after: &Cohort) -> Apart {
    Apart {
        count: Turn {
            before: before.len(),
            after: after.len(),
        },
        joining: Few::of(after.difference(before)),
        leaving: Few::of(before.difference(after)),
    }
}

fn callers(
    before: &Rollout,
    after: &Rollout,
    spec: &RouteSpec,
    kind: EnvironmentKind,
) -> BTreeMap<Caller, Turn<Path>> {
    let tables = (before.table(spec, kind), after.table(spec, kind));
    let (Some(was), Some(is)) = tables else {
        return BTreeMap::new();
    };
    let path = |table: &Table, caller: Caller| {
        let overrides = caller.overrides(&spec.flag);
        decide(table, spec.key.as_str(), &overrides, None).path
    };
    let heard = Caller::ALL.into_iter().filter(|caller| match caller {
        Caller::WithoutKey => true,
        // Writes of routes with two stores do not ask the environment.
        Caller::FlagOn | Caller::FlagOff => spec.operation != Operation::Write,
        Caller::DefaultOn => spec.operation != Operation::Write && kind == EnvironmentKind::OnPrem,
    });
    heard
        .map(|caller| {
            let turn = Turn {
                before: path(&was, caller),
                after: path(&is, caller),
            };
            (caller, turn)
        })
        .collect()
}

/// Of the calls that took one path of late, those whose keys change sides.
fn moving(share: Turn<Percent>, lately: &Lately) -> Option<Moving> {
    let thousandths = |percent: Percent| u128::from(percent.thousandths());
    let (before, after) = (thousandths(share.before), thousandths(share.after));
    let whole = thousandths(Percent::HUNDRED);
    let (to, calls, part, of) = if after > before {
        (Path::New, lately.old, after - before, whole - before)
    } else if after < before {
        (Path::Old, lately.new, before - after, before)
    } else {
        return None;
    };
    let seconds = u128::try_from(lately.span.num_seconds()).ok()?;
    let per_hour = (u128::from(calls) * part * 3_600).checked_div(of * seconds)?;
    let per_hour = u64::try_from(per_hour).ok().filter(|calls| *calls > 0)?;
    Some(Moving { to, per_hour })
}

fn ramp(before: &Rollout, after: &Rollout) -> Option<RampTurn> {
    if before.ramp == after.ramp {
        return None;
    }
    let (was, is) = (before.ramp.as_ref(), after.ramp.as_ref());
    let new = is.filter(|ramp| was.is_none_or(|was| was.steps != ramp.steps));
    Some(RampTurn {
        state: Turn {
            before: was.map(|ramp| ramp.name()),
            after: is.map(|ramp| ramp.name()),
        },
        begins_at_zero: new.is_some_and(|ramp| {
            ramp.step().is_none()
                && after.setting
                    == Setting::Ramp {
                        percent: Percent::ZERO,
                    }
        }),
        by_itself: is.is_some_and(|ramp| {
            ramp.is_running() || matches!(ramp.state, RampState::Ready { by_itself: true })
        }),
    })
}

#[cfg(test)]
mod tests;
