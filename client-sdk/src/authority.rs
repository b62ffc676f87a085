//! Who may write which key now: what one process keeps of a data route's generations and holds.
//!
//! Two stores hold the same rows, and for each key one of them is the authority. It moves in a *flip*.
//! A planned flip is held first: the rollout that announces it has a new generation and says what it
//! will be ([`Rollout::hold`](crate::Rollout)). From then on writes of the keys that move wait, while
//! everything that began under an earlier generation comes to its end. A process says so when that is
//! done ([`Authority::drained`]), and the flip is published only once every process has. So no write
//! that began before a flip ends after it. Pure: no clock, no lock.

use std::collections::BTreeMap;

use crate::rollout::Rollout;

/// What a rollout says of authority: of which generation it is, and whether that one is held.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Form {
    /// See [`Rollout::generation`](crate::Rollout).
    pub generation: u64,
    /// Whether a flip is under way.
    pub held: bool,
}

impl Form {
    /// Of a rollout.
    #[must_use]
    pub fn of(rollout: &Rollout) -> Form {
        Form {
            generation: rollout.generation,
            held: rollout.hold.is_some(),
        }
    }
}

/// What a new form is for what began before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shift {
    /// Nothing moves.
    None,
    /// A flip is announced: what moves waits, what is under way is waited for.
    Held,
    /// The flip was made, or given up: what waited goes on.
    Released,
    /// Authority may have moved unannounced (a halt, or this process heard nothing of a flip), also
    /// where the next flip is announced already: what is under way is at risk, and so is what has ended
    /// since this process was last known to be current.
    Unplanned,
}

/// A write or a copy that has begun. Each is counted by itself, and ended by [`Authority::end`].
#[derive(Debug, PartialEq, Eq)]
#[must_use = "what has begun is to be ended"]
pub struct Token {
    generation: u64,
}

impl Token {
    /// The generation under which it began.
    #[must_use]
    pub fn generation(&self) -> u64 {
        self.generation
    }
}

/// One data route's authority, as one process knows it.
#[derive(Debug, Default)]
pub struct Authority {
    form: Form,
    /// How many are under way, by the generation under which they began.
    under_way: BTreeMap<u64, u64>,
    /// What began under a lower one has met an unplanned shift.
    at_risk_below: u64,
}

impl Authority {
    /// Nothing is under way yet.
    #[must_use]
    pub fn new(form: Form) -> Authority {
        Authority {
            form,
            under_way: BTreeMap::new(),
            at_risk_below: 0,
        }
    }

    /// The present form.
    #[must_use]
    pub fn form(&self) -> Form {
        self.form
    }

    /// Takes what a newer snapshot says. One that is older, by its generation, is not taken.
    pub fn apply(&mut self, form: Form) -> Shift {
        let before = self.form;
        if form.generation < before.generation || form == before {
            return Shift::None;
        }
        self.form = form;
        let is_next = form.generation == before.generation.saturating_add(1);
        match (before.held, form.held) {
            // A hold that is announced right after another has been decided before this process heard
            // of it, and the one before waited for what began under earlier generations.
            (_, true) if is_next => Shift::Held,
            (true, false) if form.generation == before.generation => Shift::Released,
            _ => {
                self.at_risk_below = form.generation;
                Shift::Unplanned
            }
        }
    }

    /// Begins a write or a copy of a key; `None` while the key is about to move.
    pub fn begin(&mut self, moves: bool) -> Option<Token> {
        if moves && self.form.held {
            return None;
        }
        let generation = self.form.generation;
        *self.under_way.entry(generation).or_default() += 1;
        Some(Token { generation })
    }

    /// Begins a copy on behalf of something that is under way: it is of the same generation, and
    /// waited for by itself.
    pub fn branch(&mut self, of: &Token) -> Token {
        let generation = of.generation;
        *self.under_way.entry(generation).or_default() += 1;
        Token { generation }
    }

    /// Begins a copy that a hold has to wait for although it begins after it: that of a repair, for a
    /// key that is about to move.
    pub fn begin_before(&mut self) -> Token {
        let generation = self.form.generation.saturating_sub(1);
        *self.under_way.entry(generation).or_default() += 1;
        Token { generation }
    }

    /// Ends it. Whether authority may have moved in the meantime without having waited for it: then
    /// the key is at risk if its authority is another one now.
    pub fn end(&mut self, token: Token) -> bool {
        if let Some(count) = self.under_way.get_mut(&token.generation) {
            *count -= 1;
            if *count == 0 {
                self.under_way.remove(&token.generation);
            }
        }
        token.generation < self.at_risk_below
    }

    /// Whether what began under this generation has met an unplanned shift.
    #[must_use]
    pub fn is_at_risk(&self, generation: u64) -> bool {
        generation < self.at_risk_below
    }

    /// The generation whose hold this process has done its part for: nothing that began before it is
    /// under way. `None` without a hold, or before that.
    #[must_use]
    pub fn drained(&self) -> Option<u64> {
        let generation = self.form.generation;
        let is_drained = self.under_way.range(..generation).next().is_none();
        (self.form.held && is_drained).then_some(generation)
    }

    /// How many writes and copies are under way.
    #[must_use]
    pub fn under_way(&self) -> u64 {
        self.under_way.values().sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn form(generation: u64, held: bool) -> Form {
        Form { generation, held }
    }

    #[test]
    fn a_hold_waits_for_what_began_before_it_and_for_each_of_its_copies() {
        let mut authority = Authority::new(form(1, false));
        let write = authority.begin(true).unwrap();
        assert_eq!(authority.apply(form(2, true)), Shift::Held);
        assert_eq!(authority.drained(), None);
        let copy = authority.branch(&write);
        assert!(!authority.end(write));
        assert_eq!(authority.drained(), None);
        assert!(authority.begin(true).is_none());
        let other = authority.begin(false).unwrap();
        assert_eq!(other.generation(), 2);
        assert!(!authority.end(copy));
        assert_eq!(authority.drained(), Some(2));
        assert_eq!(authority.apply(form(2, false)), Shift::Released);
        assert_eq!(authority.drained(), None);
        assert!(authority.begin(true).is_some());
        assert!(!authority.end(other));
    }

    #[test]
    fn what_was_not_waited_for_is_at_risk() {
        for unplanned in [form(3, false), form(4, false), form(4, true)] {
            let mut authority = Authority::new(form(2, false));
            let write = authority.begin(false).unwrap();
            authority.apply(unplanned);
            let later = authority.begin(false).unwrap();
            assert!(authority.end(write), "{unplanned:?}");
            assert!(!authority.end(later));
        }
        let mut held = Authority::new(form(2, true));
        let write = held.begin(false).unwrap();
        assert_eq!(held.apply(form(3, false)), Shift::Unplanned);
        assert!(held.end(write));
    }

    #[test]
    fn a_hold_after_a_hold_is_planned() {
        let mut authority = Authority::new(form(2, true));
        let write = authority.begin(false).unwrap();
        assert_eq!(authority.apply(form(3, true)), Shift::Held);
        assert_eq!(authority.drained(), None);
        assert!(!authority.end(write));
        assert_eq!(authority.drained(), Some(3));
    }

    #[test]
    fn a_hold_waits_for_a_repair_that_begins_within_it() {
        let mut authority = Authority::new(form(2, true));
        assert_eq!(authority.drained(), Some(2));
        let repair = authority.begin_before();
        assert_eq!(authority.drained(), None);
        authority.end(repair);
        assert_eq!(authority.drained(), Some(2));
    }

    #[test]
    fn a_halt_that_was_missed_is_unplanned_also_under_a_hold() {
        let mut authority = Authority::new(form(1, false));
        assert_eq!(authority.apply(form(3, true)), Shift::Unplanned);
        assert_eq!(authority.drained(), Some(3));
    }

    #[test]
    fn an_older_form_is_not_taken() {
        let mut authority = Authority::new(form(5, true));
        assert_eq!(authority.apply(form(4, false)), Shift::None);
        assert_eq!(authority.form(), form(5, true));
    }
}
