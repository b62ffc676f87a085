//! How writes, copies and repairs go on, step by step.

use switchover::Path;

use super::{Intent, Op, Stage, World};

impl World {
    /// One of the process's operations goes on by one step.
    pub(super) fn advance(&mut self, who: usize) {
        let many = self.processes[who].ops.len();
        if many == 0 {
            return;
        }
        let which = self.draw(many);
        let fails = self.draw(14) == 0;
        let mut op = self.processes[who].ops.swap_remove(which);
        let (from, to) = match op.from {
            Path::Old => (0, 1),
            Path::New => (1, 0),
        };
        let key = op.key;
        let goes_on = match op.stage {
            Stage::Write => {
                if !self.admits(from, op.generation) {
                    self.outcome.refused += 1;
                    self.processes[who].intents.remove(&op.intent);
                    self.end(who, op);
                    return;
                }
                if self.stores[from][key] != self.last[key] {
                    *self.losses.entry(key).or_default() += 1;
                }
                self.stores[from][key] = op.intent;
                self.last[key] = op.intent;
                let process = &mut self.processes[who];
                process.recent.insert(key);
                if self.rules.counts_copies {
                    let copy = process.authority.branch(&op.tokens[0]);
                    op.tokens.push(copy);
                }
                let write = op.tokens.swap_remove(0);
                process.authority.end(write);
                op.stage = Stage::Load;
                true
            }
            _ if fails => false,
            Stage::Load => {
                op.stage = Stage::Look {
                    row: self.stores[from][key],
                };
                true
            }
            Stage::Look { row } => {
                let theirs = self.stores[to][key];
                op.stage = match theirs == row {
                    true => Stage::Again { row },
                    false => Stage::Save { row, theirs },
                };
                true
            }
            // Half of the stores cannot compare: they write in any case.
            Stage::Save { row, theirs } => {
                let compares = op.at_risk || op.intent.is_multiple_of(2);
                let is_changed = compares && self.stores[to][key] != theirs;
                if !self.admits(to, op.generation) {
                    false
                } else if is_changed {
                    op.stage = Stage::Look { row };
                    !op.at_risk
                } else {
                    self.stores[to][key] = row;
                    op.stage = Stage::Again { row };
                    true
                }
            }
            Stage::Again { row } => {
                let again = self.stores[from][key];
                if again == row {
                    let process = &mut self.processes[who];
                    process.intents.remove(&op.intent);
                    process.repairs.remove(&op.intent);
                    process.recent.insert(key);
                    self.end(who, op);
                    return;
                }
                op.stage = Stage::Look { row: again };
                true
            }
        };
        if goes_on {
            self.processes[who].ops.push(op);
            return;
        }
        self.outcome.repairs += 1;
        self.processes[who].repairs.insert(op.intent);
        self.end(who, op);
    }

    fn admits(&self, store: usize, generation: u64) -> bool {
        !self.rules.fenced || generation >= self.fences[store]
    }

    fn end(&mut self, who: usize, op: Op) {
        for token in op.tokens {
            self.processes[who].authority.end(token);
        }
    }

    /// Tries an open repair of a key whose authority is still where it was written. Else authority
    /// moved without waiting for it: the key is on the list, also where its rows are equal by now.
    pub(super) fn repair(&mut self, who: usize) {
        let process = &mut self.processes[who];
        let busy = |intent: &u64| process.ops.iter().any(|op| op.intent == *intent);
        let Some(intent) = process.repairs.iter().copied().find(|intent| !busy(intent)) else {
            return;
        };
        let Intent { key, written } = process.intents[&intent];
        if process.view.path(key) != written {
            process.intents.remove(&intent);
            process.repairs.remove(&intent);
            self.listed.insert(key);
            return;
        }
        let Some(token) = process.authority.begin(false) else {
            return;
        };
        process.ops.push(Op {
            key,
            from: written,
            generation: token.generation(),
            stage: Stage::Load,
            tokens: vec![token],
            intent,
            at_risk: false,
        });
    }
}
