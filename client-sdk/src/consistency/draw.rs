//! Keys drawn at random from both stores, without holding all of them.

use super::compare::RANGE;
use crate::chance::Chance;
use crate::doubled::{self, Doubled};
use crate::store::CopyError;

/// Draws this many keys, each with the same probability: the first fill the sample, and the n-th after
/// them takes the place of one of it with probability `most / n` (Vitter's algorithm R).
pub(super) fn draw(doubled: &dyn Doubled, most: usize) -> Result<Vec<String>, CopyError> {
    let mut chance = Chance::default();
    let mut drawn: Vec<String> = Vec::new();
    let mut seen: u64 = 0;
    let mut cursor: Option<String> = None;
    loop {
        let keys = doubled::keys_after(doubled, cursor.as_deref(), RANGE)?;
        cursor = match keys.last() {
            Some(last) => Some(last.clone()),
            None => return Ok(drawn),
        };
        for key in keys {
            seen = seen.saturating_add(1);
            if drawn.len() < most {
                drawn.push(key);
                continue;
            }
            let place = usize::try_from(chance.below(seen)).unwrap_or(usize::MAX);
            if let Some(place) = drawn.get_mut(place) {
                *place = key;
            }
        }
    }
}
