//! What has to be done before a step is.

use std::collections::HashMap;

use super::{OpenStep, Plan, PlanError, Step};

impl Plan {
    /// The open steps that have to be done before this one: those that it names and, in an ordered
    /// plan, its parts and whatever stands before it.
    #[must_use]
    pub fn missing(&self, step: &Step) -> Vec<OpenStep> {
        let steps = self.document.steps();
        let after = self.after(step);
        let ranks = ranks(steps);
        let rank = steps.iter().position(|other| other.id == step.id);
        let rank = rank.and_then(|place| ranks.get(place));
        let ordered = self.is_ordered();
        let comes_first = |(other, at): (&Step, &usize)| {
            let stands_before = ordered && rank.is_some_and(|rank| at < rank);
            (stands_before || after.contains(&other.id)) && !self.is_done(other)
        };
        steps
            .iter()
            .zip(&ranks)
            .filter(|pair| comes_first((pair.0, pair.1)))
            .map(|(other, _)| OpenStep::of(other))
            .collect()
    }

    /// That there is an order in which all steps can be done.
    ///
    /// # Errors
    /// When a step waits for what is no step, for itself, or in a circle.
    pub fn check(&self) -> Result<(), PlanError> {
        let steps = self.document.steps();
        let places: HashMap<&str, usize> = steps
            .iter()
            .enumerate()
            .map(|(place, step)| (step.id.as_str(), place))
            .collect();
        let ranks = ranks(steps);
        let mut waits: Vec<Vec<usize>> = Vec::with_capacity(steps.len());
        for (step, rank) in steps.iter().zip(&ranks) {
            let mut after = Vec::new();
            for name in self.after(step) {
                let refused = |why: &str| {
                    let shown: String = name.chars().take(60).collect();
                    let detail = format!("the step `{}` waits for `{shown}`, {why}", step.id);
                    Err(PlanError::whole(detail))
                };
                let Some(place) = places.get(name.as_str()) else {
                    return refused("and there is no such step");
                };
                let earlier = ranks.get(*place).is_some_and(|other| other < rank);
                if name == &step.id {
                    return refused("which is itself");
                }
                if self.is_ordered() && !earlier {
                    return refused("which comes later in an ordered plan");
                }
                after.push(*place);
            }
            waits.push(after);
        }
        match in_a_circle(&waits).and_then(|place| steps.get(place)) {
            None => Ok(()),
            Some(step) => Err(PlanError::whole(format!(
                "the step `{}` waits for others that wait for it",
                step.id
            ))),
        }
    }
}

/// The order in which steps are done that are done in order: the parts of a step before it.
fn ranks(steps: &[Step]) -> Vec<usize> {
    let mut ranks = vec![0; steps.len()];
    let mut open: Vec<usize> = Vec::new();
    let mut next = 0;
    let mut finish = |place: usize| {
        if let Some(rank) = ranks.get_mut(place) {
            *rank = next;
            next += 1;
        }
    };
    for (place, step) in steps.iter().enumerate() {
        while open.last().is_some_and(|last| step.parent != Some(*last)) {
            open.pop().into_iter().for_each(&mut finish);
        }
        open.push(place);
    }
    open.into_iter().rev().for_each(finish);
    ranks
}

/// A step that cannot be reached by doing, again and again, those that wait for nothing more.
fn in_a_circle(waits: &[Vec<usize>]) -> Option<usize> {
    let mut waiters: Vec<Vec<usize>> = vec![Vec::new(); waits.len()];
    let mut open: Vec<usize> = waits.iter().map(Vec::len).collect();
    for (place, after) in waits.iter().enumerate() {
        for other in after {
            waiters.get_mut(*other)?.push(place);
        }
    }
    let mut ready: Vec<usize> = (0..waits.len())
        .filter(|place| open.get(*place) == Some(&0))
        .collect();
    while let Some(done) = ready.pop() {
        for waiter in waiters.get(done).into_iter().flatten() {
            let left = open.get_mut(*waiter)?;
            *left -= 1;
            if *left == 0 {
                ready.push(*waiter);
            }
        }
    }
    open.iter().position(|left| *left > 0)
}
