//! What a change would do, for whom, in words.

use chrono::Duration;
use switchover::{EnvironmentKind, Mirror, Path, Setting};

use crate::domain::effect::{Apart, Caller, Effect, Few, Lately, RampTurn, Turn};
use crate::domain::loss::LossRisk;
use crate::domain::route::RouteSpec;
use crate::service::{Changed, SeriesSpan, Services, Target, rollout_tag};
use crate::web::words::{count, exact, setting_name, stage_name};

/// Calls of how long are looked at, in seconds.
const LOOKED_AT: u32 = 600;
/// More processes than anybody counts on a page.
const MOST_PROCESSES: usize = 10_000;

/// One thing as it was and as it would be.
pub(super) struct Line {
    pub(super) what: String,
    pub(super) before: String,
    pub(super) after: String,
}

/// What a change would do.
pub(super) struct Preview {
    /// The state that it was tried out on.
    pub(super) tag: String,
    /// Whether anything would change.
    pub(super) changes: bool,
    /// Whether no caller would take another path.
    pub(super) moves_nobody: bool,
    pub(super) lines: Vec<Line>,
    /// What else there is to know.
    pub(super) notes: Vec<String>,
    /// What somebody may not have meant.
    pub(super) warnings: Vec<String>,
    /// The other routes that would move with it.
    pub(super) cascaded: Vec<Line>,
}

impl Preview {
    pub(super) fn of(changed: &Changed, spec: &RouteSpec, lately: Option<&Lately>) -> Preview {
        let kind = changed.environment.kind;
        let both = (&changed.before, &changed.after);
        let effect = Effect::of(both, spec, kind, (lately, changed.risk));
        let cascaded = changed.cascaded.iter().map(|(before, after)| Line {
            what: after.route.to_string(),
            before: stage_name(before.stage).to_owned(),
            after: stage_name(after.stage).to_owned(),
        });
        Preview {
            tag: rollout_tag(&changed.version.epoch, &changed.before),
            changes: changed.before != changed.after,
            moves_nobody: effect.moves_nobody(),
            lines: lines(changed, &effect, spec),
            notes: notes(changed, &effect, kind),
            warnings: changed.warnings.clone(),
            cascaded: cascaded.collect(),
        }
    }
}

/// What callers have reported of late; `None` where that cannot be read.
pub(super) fn lately(services: &Services, target: &Target) -> Option<Lately> {
    let span = SeriesSpan {
        last_seconds: Some(LOOKED_AT),
        ..SeriesSpan::default()
    };
    let series = services.traffic(target, span).ok()?;
    let found = services
        .instances(&target.environment, false, "", MOST_PROCESSES)
        .ok()?;
    let mut processes = found.processes.iter().collect::<Vec<_>>();
    processes.retain(|process| process.is_live(found.now) && process.has(&target.route));
    Some(Lately {
        span: Duration::seconds(i64::from(LOOKED_AT)),
        old: series.totals.old.calls,
        new: series.totals.new.calls,
        processes: processes.len(),
    })
}

fn lines(changed: &Changed, effect: &Effect, spec: &RouteSpec) -> Vec<Line> {
    let (before, after) = (&changed.before, &changed.after);
    let mut lines = Vec::new();
    let mut say = |what: String, turn: Turn<String>| {
        lines.push(Line {
            what,
            before: turn.before,
            after: turn.after,
        });
    };
    let stage = Turn {
        before: stage_name(before.stage).to_owned(),
        after: stage_name(after.stage).to_owned(),
    };
    if stage.is_change() {
        say("Stage".to_owned(), stage);
    }
    let halted = Turn {
        before: yes(before.halt.is_some()),
        after: yes(after.halt.is_some()),
    };
    if halted.is_change() {
        say("Halted".to_owned(), halted);
    }
    let share = effect.share;
    say(
        "Keys that may take the new path".to_owned(),
        share.told(|it| it.to_string()),
    );
    // One that stays on top of the stage is easily forgotten.
    if effect.setting.is_change() || effect.setting.after != Setting::StageDefault {
        say("Setting".to_owned(), effect.setting.told(setting_name));
    }
    for (what, apart) in [
        ("Keys that take the new path by name", &effect.included),
        ("Keys that take the old path by name", &effect.excluded),
    ] {
        if apart.joining.count + apart.leaving.count > 0 {
            say(what.to_owned(), apart.count.told(|it| it.to_string()));
        }
    }
    for (caller, turn) in &effect.callers {
        let is_told = turn.is_change() || *caller == Caller::WithoutKey;
        if is_told || changed.environment.kind == EnvironmentKind::OnPrem {
            say(caller_name(*caller, spec), turn.told(path_name));
        }
    }
    if effect.mirror.is_change() {
        say("Mirror".to_owned(), effect.mirror.told(mirror_name));
    }
    let ramp = effect.ramp.filter(|ramp| ramp.state.is_change());
    if let Some(RampTurn { state, .. }) = ramp {
        let name = |state: Option<&str>| state.unwrap_or("none").to_owned();
        say("Ramp".to_owned(), state.told(name));
    }
    lines
}

fn notes(changed: &Changed, effect: &Effect, kind: EnvironmentKind) -> Vec<String> {
    let mut notes = Vec::new();
    if let Some(until) = effect.announced_until {
        notes.push(format!(
            "Keys move between two stores, so it is announced first: writes of those keys wait, and \
             it is made when every process has let go of them, or given up at {}.",
            exact(until)
        ));
    }
    if let Some(moving) = effect.moving {
        notes.push(format!(
            "About {} calls an hour move to the {}, judging by the last {} minutes.",
            count(moving.per_hour),
            path_name(moving.to),
            LOOKED_AT / 60
        ));
    }
    match effect.processes {
        Some(0) if kind == EnvironmentKind::Hosted => {
            notes.push("No process that has this route in its code reports here.".to_owned());
        }
        Some(1) => notes.push("1 process hears of it at once.".to_owned()),
        Some(more @ 2..) => notes.push(format!("{more} processes hear of it at once.")),
        Some(0) | None => {}
    }
    if effect.drops_the_setting() {
        notes.push("What was set is dropped: the stage decides.".to_owned());
    }
    if effect.ramp.is_some_and(|ramp| ramp.begins_at_zero) {
        let by_itself = effect.ramp.is_some_and(|ramp| ramp.by_itself);
        notes.push(match by_itself {
            true => "The ramp begins at 0 % and goes on by itself.".to_owned(),
            false => "The ramp begins at 0 % and waits to be started.".to_owned(),
        });
    }
    for (told, apart) in [
        ("take the new path", &effect.included),
        ("take the old path", &effect.excluded),
    ] {
        notes.extend(named(told, apart));
    }
    if !effect.requires.is_empty() {
        let names: Vec<&str> = effect.requires.iter().map(|key| key.as_str()).collect();
        notes.push(format!(
            "A key takes the new path only where {} does so as well.",
            names.join(", ")
        ));
    }
    if let Some(window) = &changed.after.acceptance {
        notes.push(format!(
            "The acceptance window closes by itself at {}.",
            exact(window.until)
        ));
    }
    if changed.risk != LossRisk::None {
        notes.push(format!("Going back from then on: {}.", changed.risk.told()));
    }
    notes
}

fn named(told: &str, apart: &Apart) -> Vec<String> {
    let say = |few: &Few, how: &str| {
        let more = match few.more() {
            0 => String::new(),
            more => format!(" and {more} more"),
        };
        (few.count > 0).then(|| format!("{how} {told} by name: {}{more}.", few.first.join(", ")))
    };
    let joining = say(&apart.joining, "From now on these");
    joining
        .into_iter()
        .chain(say(&apart.leaving, "No longer do these"))
        .collect()
}

fn caller_name(caller: Caller, spec: &RouteSpec) -> String {
    match caller {
        Caller::WithoutKey => "Calls without a key".to_owned(),
        Caller::FlagOn => format!("Where {}=1", spec.flag),
        Caller::FlagOff => format!("Where {}=0", spec.flag),
        Caller::DefaultOn => format!("Where {}_FEATURE_DEFAULT_ON=1", spec.flag.prefix()),
    }
}

fn path_name(path: Path) -> String {
    format!("{path} path")
}

fn mirror_name(mirror: Mirror) -> String {
    format!("{} of reads, {} of writes", mirror.read, mirror.write)
}

fn yes(it_is: bool) -> String {
    if it_is { "yes" } else { "no" }.to_owned()
}

impl<T: Copy> Turn<T> {
    fn told(&self, tell: impl Fn(T) -> String) -> Turn<String> {
        Turn {
            before: tell(self.before),
            after: tell(self.after),
        }
    }
}
