//! The world: two stores, a server, processes that write, and a schedule drawn from a seed. A step is
//! what a store does at once; between any two steps anything else may happen.

mod work;

use std::collections::{BTreeMap, BTreeSet};

use switchover::{Authority, Form, Path, Shift, Token};

use super::super::{Verdict, verdict};
use super::{Known, at};

const KEYS: usize = 5;
const STEPS: u32 = 1_500;
const PROCESSES: usize = 3;

/// Which rules hold. All but the last four are of the protocol; those say what the world is like.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rules {
    pub(super) hold: bool,
    pub(super) waits_for_repairs: bool,
    pub(super) never_alone: bool,
    pub(super) counts_copies: bool,
    pub(super) spool: bool,
    pub(super) very_generation: bool,
    /// On a halt, keys whose copies have ended since the last proof of being current are listed too.
    pub(super) lists_recent: bool,
    pub(super) fenced: bool,
    pub(super) halts: bool,
    /// Processes are declared gone while they live.
    pub(super) zombies: bool,
}

impl Rules {
    pub(super) const ALL: Rules = Rules {
        hold: true,
        waits_for_repairs: true,
        never_alone: true,
        counts_copies: true,
        spool: true,
        very_generation: true,
        lists_recent: true,
        fenced: false,
        halts: false,
        zombies: false,
    };
}

#[derive(Clone, Debug, Default)]
pub(super) struct Outcome {
    pub(super) flips: u64,
    pub(super) abandoned: u64,
    pub(super) halts: u64,
    pub(super) crashes: u64,
    pub(super) repairs: u64,
    /// Writes that a fence refused.
    pub(super) refused: u64,
    /// Writes that did not see the acknowledged write before them.
    pub(super) lost: u64,
    /// Those of them whose key nobody listed as at risk.
    pub(super) lost_unlisted: u64,
    /// Keys whose rows differ in the end, and are on no list.
    pub(super) unequal: u64,
}

pub(super) fn run(rules: Rules, seed: u64) -> Outcome {
    let mut world = World::new(rules, seed);
    for _ in 0..STEPS {
        world.step();
    }
    world.settle();
    world.outcome
}

/// What the server publishes of the rollout.
#[derive(Clone, Copy, Debug, Default)]
struct View {
    form: Form,
    /// Keys below it are the new store's.
    share: usize,
    halted: bool,
    /// The share that a flip is to lead to; it ends a halt too.
    next: Option<usize>,
    /// The generation with which keys last moved, or somebody was declared gone.
    moved: u64,
}

impl View {
    fn path(self, key: usize) -> Path {
        match !self.halted && key < self.share {
            true => Path::New,
            false => Path::Old,
        }
    }

    fn flipped(self) -> View {
        match self.next {
            None => self,
            Some(share) => View {
                share,
                halted: false,
                next: None,
                ..self
            },
        }
    }

    fn moves(self, key: usize) -> bool {
        self.flipped().path(key) != self.path(key)
    }
}

#[derive(Debug)]
enum Stage {
    Write,
    Load,
    Look { row: u64 },
    Save { row: u64, theirs: u64 },
    Again { row: u64 },
}

/// A write and its copy, or the copy of a repair.
#[derive(Debug)]
struct Op {
    key: usize,
    from: Path,
    generation: u64,
    stage: Stage,
    /// Of the write and of its copy; none where the rule that counts it is out.
    tokens: Vec<Token>,
    intent: u64,
    /// Whether the key's authority moved away unplanned meanwhile: what it found then is not overwritten.
    at_risk: bool,
}

#[derive(Clone, Copy, Debug)]
struct Intent {
    key: usize,
    written: Path,
}

#[derive(Debug, Default)]
struct Process {
    id: usize,
    view: View,
    authority: Authority,
    ops: Vec<Op>,
    /// Survives a crash.
    intents: BTreeMap<u64, Intent>,
    repairs: BTreeSet<u64>,
    /// Written or copied since the server last confirmed that this process is current.
    recent: BTreeSet<usize>,
    is_cut_off: bool,
    told: Option<u64>,
}

struct World {
    rules: Rules,
    random: u64,
    view: View,
    stores: [[u64; KEYS]; 2],
    fences: [u64; 2],
    /// The last acknowledged write of each key, wherever it was.
    last: [u64; KEYS],
    listed: BTreeSet<usize>,
    losses: BTreeMap<usize, u64>,
    processes: Vec<Process>,
    known: BTreeMap<usize, Known>,
    values: u64,
    ids: usize,
    held_for: u32,
    needs_check: bool,
    outcome: Outcome,
}

impl World {
    fn new(rules: Rules, seed: u64) -> World {
        let mut world = World {
            rules,
            random: seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1,
            view: View::default(),
            stores: [[0; KEYS]; 2],
            fences: [0; 2],
            last: [0; KEYS],
            listed: BTreeSet::new(),
            losses: BTreeMap::new(),
            processes: Vec::new(),
            known: BTreeMap::new(),
            values: 0,
            ids: 0,
            held_for: 0,
            needs_check: false,
            outcome: Outcome::default(),
        };
        for _ in 0..PROCESSES {
            world.join(Process::default());
        }
        world
    }

    fn draw(&mut self, below: usize) -> usize {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        usize::try_from(self.random >> 33).unwrap() % below
    }

    /// Known first, and only then with the present view: so no flip is made without it.
    fn join(&mut self, left_over: Process) {
        self.known.remove(&left_over.id);
        self.ids += 1;
        let id = self.ids;
        let name = id.to_string();
        let drained = None;
        self.known.insert(id, Known { name, drained });
        let repairs = left_over.intents.keys().copied().collect();
        self.outcome.repairs += u64::try_from(left_over.intents.len()).unwrap();
        self.processes.push(Process {
            id,
            view: self.view,
            authority: Authority::new(self.view.form),
            intents: left_over.intents,
            repairs,
            ..Process::default()
        });
    }

    fn step(&mut self) {
        let who = self.draw(self.processes.len());
        match self.draw(100) {
            0..9 => self.begin(who),
            9..65 => self.advance(who),
            65..73 => self.repair(who),
            73..82 => self.hear(who),
            82..91 => self.report(who),
            91..95 => self.drive(),
            95 if self.draw(4) == 0 => self.crash(who),
            96 if self.draw(4) == 0 => self.cut(who),
            99 if !self.rules.zombies || self.draw(4) == 0 => {
                self.processes[who].is_cut_off = false;
            }
            97 if self.rules.halts && self.draw(2) == 0 => self.halt(),
            98 if self.rules.zombies => {
                self.check(who);
                self.declare_gone(who);
            }
            _ => {}
        }
    }

    fn begin(&mut self, who: usize) {
        let key = self.draw(KEYS);
        let rules = self.rules;
        let process = &mut self.processes[who];
        let (view, from) = (process.view, process.view.path(key));
        // Whoever goes on alone takes a hold that it hears nothing of for one that was lifted.
        let alone = !rules.never_alone && process.is_cut_off;
        let from = match alone {
            true => view.flipped().path(key),
            false => from,
        };
        let Some(token) = process.authority.begin(view.moves(key) && !alone) else {
            return;
        };
        self.values += 1;
        let intent = self.values;
        process
            .intents
            .insert(intent, Intent { key, written: from });
        process.ops.push(Op {
            key,
            from,
            generation: token.generation(),
            stage: Stage::Write,
            tokens: vec![token],
            intent,
            at_risk: false,
        });
    }

    /// The process takes what the server publishes by now. One that was declared gone is known again
    /// first.
    fn hear(&mut self, who: usize) {
        let process = &mut self.processes[who];
        if process.is_cut_off || process.view.form == self.view.form {
            return;
        }
        self.known.entry(process.id).or_insert_with(|| Known {
            name: process.id.to_string(),
            drained: None,
        });
        let before = process.view;
        process.view = self.view;
        if self.rules.fenced {
            // After a move, never for a hold: what is under way may go on, also if that is given up.
            self.fences = self.fences.map(|fence| fence.max(self.view.moved));
        }
        if process.authority.apply(self.view.form) != Shift::Unplanned {
            return;
        }
        for op in &mut process.ops {
            op.at_risk |= self.view.path(op.key) != op.from;
        }
        let intents = process.intents.values();
        let at_risk = intents.filter(|intent| self.view.path(intent.key) != intent.written);
        self.listed.extend(at_risk.map(|intent| intent.key));
        if self.rules.lists_recent {
            let moved = |key: &&usize| before.path(**key) != self.view.path(**key);
            self.listed.extend(process.recent.iter().filter(moved));
        }
    }

    /// What the process has done its part for reaches the server, or gets lost; so does the answer.
    fn report(&mut self, who: usize) {
        let is_lost = self.draw(4) == 0;
        let process = &mut self.processes[who];
        if process.is_cut_off {
            return;
        }
        let (view, intents) = (process.view, &process.intents);
        let blocks = |intent: &u64| {
            let key = intents.get(intent).map(|intent| intent.key);
            key.is_some_and(|key| view.moves(key))
        };
        let is_repairing = process.repairs.iter().any(blocks) && self.rules.waits_for_repairs;
        // Once said, it stays true: what would undo it waits.
        let drained = process.authority.drained().filter(|_| !is_repairing);
        process.told = drained.or(process.told);
        if is_lost {
            return;
        }
        let told = process.told;
        if view.form.generation == self.view.form.generation {
            process.recent.clear();
        }
        if let Some(known) = self.known.get_mut(&process.id) {
            known.drained = told;
        }
    }

    /// The server begins a flip, makes it, or gives it up.
    fn drive(&mut self) {
        self.held_for += 1;
        let generation = self.view.form.generation;
        if self.view.next.is_none() {
            let share = self.draw(KEYS + 1);
            if share == self.view.share && !self.view.halted || self.needs_check {
                return;
            }
            self.view.form.generation += 1;
            self.view.next = Some(share);
            self.view.form.held = self.rules.hold;
            self.held_for = 0;
            if !self.rules.hold {
                self.lift();
            }
            return;
        }
        let mut known: Vec<Known> = self.known.values().cloned().collect();
        if !self.rules.very_generation {
            let stale = known.iter_mut().filter(|known| known.drained.is_some());
            stale.for_each(|known| known.drained = Some(generation));
        }
        match verdict(&known, generation, at(i64::from(self.held_for)), at(10)) {
            Verdict::Go => self.lift(),
            Verdict::Wait(_) => {}
            Verdict::Abandon(_) => {
                self.outcome.abandoned += 1;
                self.view.next = None;
                self.view.form.held = false;
            }
        }
    }

    fn lift(&mut self) {
        self.outcome.flips += 1;
        self.view = self.view.flipped();
        self.view.moved = self.view.form.generation;
        self.view.form.held = false;
    }

    fn halt(&mut self) {
        if self.view.halted {
            return;
        }
        self.outcome.halts += 1;
        self.view.form = Form {
            generation: self.view.form.generation + 1,
            held: false,
        };
        self.view.moved = self.view.form.generation;
        self.view.next = None;
        self.view.halted = true;
    }

    /// It starts again on the same spool, by another name.
    fn crash(&mut self, who: usize) {
        self.outcome.crashes += 1;
        let mut process = self.processes.swap_remove(who);
        if !self.rules.spool {
            process.intents.clear();
        }
        // What it had written since it was last known to be current, it cannot list any more.
        self.listed
            .extend(process.recent.iter().filter(|_| self.rules.halts));
        self.join(process);
    }

    fn cut(&mut self, who: usize) {
        let process = &mut self.processes[who];
        process.is_cut_off = true;
    }

    /// By mistake: it lives, and hears nothing. With it the generation rises, so that fences do too.
    fn declare_gone(&mut self, who: usize) {
        let process = &self.processes[who];
        if process.is_cut_off
            && self.view.next.is_none()
            && self.known.remove(&process.id).is_some()
        {
            self.view.form.generation += 1;
            self.view.moved = self.view.form.generation;
            self.needs_check = true;
        }
    }

    /// What was left unsaid by a process that is gone is made up for by a backfill, which begins after
    /// the fences have risen.
    fn check(&mut self, who: usize) {
        let process = &self.processes[who];
        let is_current = process.view.form.generation == self.view.form.generation;
        if !self.needs_check || !is_current || !self.known.contains_key(&process.id) {
            return;
        }
        self.needs_check = false;
        for key in 0..KEYS {
            let (from, to) = match self.view.path(key) {
                Path::Old => (0, 1),
                Path::New => (1, 0),
            };
            self.stores[to][key] = self.stores[from][key];
        }
    }

    /// No more writes; everything that is open comes to its end.
    fn settle(&mut self) {
        self.view.form.held = false;
        self.view.next = None;
        for _ in 0..20_000 {
            for process in &mut self.processes {
                process.is_cut_off = false;
            }
            let who = self.draw(self.processes.len());
            self.hear(who);
            self.advance(who);
            self.repair(who);
        }
        for (key, lost) in &self.losses {
            self.outcome.lost += lost;
            if !self.listed.contains(key) {
                self.outcome.lost_unlisted += lost;
            }
        }
        let unequal = |key: &usize| {
            self.stores[0][*key] != self.stores[1][*key] && !self.listed.contains(key)
        };
        self.outcome.unequal = u64::try_from((0..KEYS).filter(unequal).count()).unwrap();
    }
}
