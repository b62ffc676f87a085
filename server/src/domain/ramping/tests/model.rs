//! A ramp through random histories of pauses, halts, freezes and outages, held against a model that
//! knows no spans of time: it counts minutes one by one.

use proptest::prelude::*;
use switchover::{Percent, Setting};

use super::world::World;
use crate::domain::guard::GuardState;
use crate::domain::lifecycle::Command;
use crate::domain::ramp::Ramp;

const STEPS: [(u32, usize); 4] = [(10, 3), (30, 0), (50, 5), (100, 2)];

#[derive(Clone, Copy, Debug)]
enum Event {
    /// Time, in which somebody looks every minute.
    Watched(u8),
    /// Time, in which nobody does.
    Outage(u8),
    Look,
    Pause,
    GoOn,
    Halt,
    GuardHalt,
    Resume,
    Freeze,
    Thaw,
    Guard(bool),
    Lower,
}

#[derive(Clone, Debug, Default)]
struct Model {
    running: bool,
    finished: bool,
    /// From 1; 0 before the first.
    step: usize,
    completed: usize,
    held: usize,
    /// Whether by a guard, where it is halted.
    halted: Option<bool>,
    frozen: bool,
    unhealthy: bool,
    lowered: bool,
}

impl Model {
    fn hold(&self) -> usize {
        self.step.checked_sub(1).map_or(0, |step| STEPS[step].1)
    }

    fn minute(&mut self) {
        if self.running && self.halted.is_none() && !self.frozen {
            self.held += 1;
        }
    }

    fn look(&mut self) {
        let free = self.running && self.halted.is_none() && !self.frozen && !self.unhealthy;
        if free && self.held >= self.hold() {
            if self.step == STEPS.len() {
                (self.running, self.finished) = (false, true);
            } else {
                self.enter(self.step + 1);
            }
        }
    }

    fn enter(&mut self, step: usize) {
        self.completed = step - 1;
        (self.step, self.held, self.running) = (step, 0, true);
    }

    fn proven(&self) -> usize {
        if self.finished {
            self.step
        } else {
            self.completed
        }
    }

    /// What a command makes of it that the rules allow.
    fn done(&mut self, event: Event) {
        match event {
            Event::Pause => self.running = false,
            Event::GoOn => {
                if self.step == 0 {
                    self.enter(1);
                } else if self.lowered {
                    self.held = 0;
                }
                (self.running, self.lowered) = (true, false);
            }
            Event::Halt => self.halted = Some(false),
            Event::GuardHalt => {
                (self.halted, self.running) = (Some(true), false);
                if self.finished {
                    (self.finished, self.completed, self.held) = (false, self.step, 0);
                }
            }
            Event::Resume => {
                let was_by_guard = self.halted.take() == Some(true);
                if was_by_guard {
                    let proven = self.proven();
                    (self.step, self.completed, self.held) = (proven, proven, 0);
                    // What was lowered by hand stays as low, unless the ramp is back below it.
                    self.lowered &= proven > 0;
                }
            }
            Event::Lower => (self.running, self.lowered) = (false, true),
            _ => {}
        }
    }
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        4 => (0_u8..6).prop_map(Event::Watched),
        2 => (0_u8..20).prop_map(Event::Outage),
        2 => Just(Event::Look),
        2 => Just(Event::Pause),
        4 => Just(Event::GoOn),
        1 => Just(Event::Halt),
        1 => Just(Event::GuardHalt),
        2 => Just(Event::Resume),
        1 => Just(Event::Freeze),
        2 => Just(Event::Thaw),
        1 => Just(Event::Guard(false)),
        2 => Just(Event::Guard(true)),
        1 => Just(Event::Lower),
    ]
}

fn agree(world: &mut World, model: &Model, event: Event) -> Result<(), TestCaseError> {
    let ramp = world.ramp();
    let step = ramp.step().map_or(0, |step| step + 1);
    prop_assert_eq!(step, model.step, "{:?}", event);
    prop_assert_eq!(ramp.is_running(), model.running, "{:?}", event);
    prop_assert_eq!(world.state() == "finished", model.finished, "{:?}", event);
    prop_assert_eq!(world.rollout.halt.is_some(), model.halted.is_some());
    if !model.lowered {
        let setting = world.rollout.setting;
        prop_assert!(world.rollout.is_on_ramp(), "{event:?}: {setting:?}");
    }
    let outlook = world.outlook();
    if let (Some(held), false) = (outlook.held, model.finished) {
        let counted = i64::try_from(model.held).unwrap();
        prop_assert_eq!(held.num_minutes(), counted, "{:?}", event);
    }
    // What the store looks for is never later than what is due.
    if outlook.now(world.facts.now).is_some() {
        let due = world.rollout.ramp_due();
        prop_assert!(due.is_some_and(|due| due <= world.facts.now), "{due:?}");
    }
    let kept = serde_json::to_string(world.ramp()).unwrap();
    prop_assert_eq!(&serde_json::from_str::<Ramp>(&kept).unwrap(), world.ramp());
    Ok(())
}

fn command(world: &mut World, event: Event) -> bool {
    let lowest = Setting::Ramp {
        percent: Percent::from_thousandths(1).unwrap(),
    };
    let done = match event {
        Event::Pause => world.run(Command::PauseRamp),
        Event::GoOn => world.run(Command::ResumeRamp),
        Event::Halt => world.run(Command::Halt),
        Event::GuardHalt => Ok(world.as_guard(Command::Halt)),
        Event::Resume => world.run(Command::Resume),
        _ => world.run(Command::Set(lowest)),
    };
    done == Ok(true)
}

fn history(events: &[Event]) -> Result<(), TestCaseError> {
    let text = STEPS.map(|(percent, hold)| format!("{percent}%:{hold}m"));
    let mut world = World::ramping(&text.join(" "));
    let mut model = Model::default();
    model.enter(1);
    for event in events {
        match *event {
            Event::Watched(minutes) => {
                for _ in 0..minutes {
                    world.pass(1);
                    model.minute();
                    world.advance();
                    model.look();
                    agree(&mut world, &model, *event)?;
                }
            }
            Event::Outage(minutes) => {
                for _ in 0..minutes {
                    world.pass(1);
                    model.minute();
                }
            }
            Event::Look => {
                let before = world.ramp().step();
                world.advance();
                model.look();
                let after = world.ramp().step();
                prop_assert!(after == before || after == before.map(|step| step + 1));
            }
            Event::Freeze => {
                world.freeze();
                model.frozen = true;
            }
            Event::Thaw => {
                world.thaw();
                model.frozen = false;
            }
            Event::Guard(healthy) => {
                world.guard((!healthy).then_some(GuardState::Insufficient));
                model.unhealthy = !healthy;
            }
            event => {
                if command(&mut world, event) {
                    model.done(event);
                }
            }
        }
        agree(&mut world, &model, *event)?;
    }
    Ok(())
}

proptest! {
    #[test]
    fn a_ramp_is_where_counting_minutes_puts_it(
        events in prop::collection::vec(event(), 0..60)
    ) {
        history(&events)?;
    }
}
