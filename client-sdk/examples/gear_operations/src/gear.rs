//! The data: pieces of equipment, as both stores must agree on them, and awkward on purpose.

use std::iter;

use serde::{Deserialize, Serialize};

/// A piece of equipment. What only the new store has (status, role, when it was updated) has its
/// defaults, and is no part of what both must agree on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Gear {
    /// Whose it is.
    pub(crate) user_id: i64,
    /// What its owner calls it.
    pub(crate) name: String,
    /// What it is: `type` in the old table, `category` in the new one.
    pub(crate) kind: Option<String>,
    /// Who made it.
    pub(crate) brand: Option<String>,
    /// When it was entered, in seconds since 1970.
    pub(crate) created_at: i64,
}

/// Names as people give them. Whatever breaks an escape, a length or an encoding is among them.
const NAMES: [&str; 14] = [
    "Tent",
    "Tent",
    "tent",
    "",
    " ",
    "O'Neill \"Pro\" 50% \\ off",
    "'; DROP TABLE gear_items; --",
    "🏕️ Zelt für 2 👩‍👩‍👧",
    "登山杖（碳纤维）",
    "חבל טיפוס",
    "a\u{301}e\u{308} against áë",
    "two\nlines\tand a tab",
    "NULL",
    "\u{feff}byte order mark",
];

const KINDS: [Option<&str>; 6] = [
    Some("tent"),
    Some("rope/dynamic"),
    Some("Stove"),
    Some(""),
    Some("背包"),
    None,
];

const BRANDS: [Option<&str>; 6] = [
    Some("Müller & Söhne"),
    Some("acme"),
    Some("ACME "),
    Some("null"),
    None,
    None,
];

/// The end of the old system's 32-bit clock, its beginning, one from before it, and others.
const TIMES: [i64; 6] = [
    1_699_999_999,
    0,
    -2_177_452_800,
    2_147_483_648,
    951_782_400,
    253_402_300_799,
];

impl Gear {
    /// What write number `stamp` makes of a piece: the same for the same numbers. The name ends in the
    /// stamp, so that a row says which write it is from.
    #[must_use]
    pub(crate) fn of_write(stamp: u64, users: u64) -> Gear {
        let mut dice = Dice::new(stamp);
        let mut name = dice.pick(&NAMES, "Tent").to_owned();
        if dice.below(50) == 0 {
            name.extend(iter::repeat_n('长', 400));
        }
        Gear {
            user_id: i64::try_from(dice.below(users)).unwrap_or_default(),
            name: format!("{name} #{stamp}"),
            kind: dice.pick(&KINDS, None).map(str::to_owned),
            brand: dice.pick(&BRANDS, None).map(str::to_owned),
            created_at: dice.pick(&TIMES, 0),
        }
    }

    /// The number of the write that it is from.
    #[must_use]
    pub(crate) fn stamp(&self) -> Option<u64> {
        self.name.rsplit_once('#')?.1.parse().ok()
    }

    /// A checksum of the piece under its id: FNV-1a over every field, absent ones told from empty ones.
    #[must_use]
    pub(crate) fn checksum(&self, id: &str) -> i64 {
        let texts = [
            Some(id),
            Some(&self.name),
            self.kind.as_deref(),
            self.brand.as_deref(),
        ];
        let texts = texts.into_iter().flat_map(|text| {
            let end = if text.is_some() { 0xff } else { 0xfe };
            text.unwrap_or_default().bytes().chain([end])
        });
        let numbers = [self.user_id, self.created_at];
        let bytes = texts.chain(numbers.into_iter().flat_map(i64::to_le_bytes));
        let hash = bytes.fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        });
        hash.cast_signed()
    }
}

/// The id of piece number `n`, which is its key.
#[must_use]
pub(crate) fn id(n: u64) -> String {
    format!("eq-{n:07}")
}

/// Numbers that look random and are the same each time (SplitMix64).
#[derive(Clone, Debug)]
pub(crate) struct Dice(u64);

impl Dice {
    /// From a seed.
    #[must_use]
    pub(crate) fn new(seed: u64) -> Dice {
        Dice(seed)
    }

    /// Uniform in `0..bound`; 0 where that is empty.
    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^= mixed >> 31;
        mixed.checked_rem(bound).unwrap_or_default()
    }

    fn pick<T: Copy>(&mut self, from: &[T], or: T) -> T {
        let places = u64::try_from(from.len()).unwrap_or_default();
        let place = usize::try_from(self.below(places)).unwrap_or_default();
        from.get(place).copied().unwrap_or(or)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_says_which_write_it_is_from() {
        for stamp in 0..2_000 {
            let gear = Gear::of_write(stamp, 300);
            assert_eq!(gear.stamp(), Some(stamp));
            assert_eq!(gear, Gear::of_write(stamp, 300));
            assert!((0..300).contains(&gear.user_id));
        }
    }

    #[test]
    fn a_checksum_sees_every_field() {
        let gear = Gear::of_write(1, 300);
        let others = [
            Gear {
                user_id: gear.user_id + 1,
                ..gear.clone()
            },
            Gear {
                name: format!("{}x", gear.name),
                ..gear.clone()
            },
            Gear {
                kind: Some("x".to_owned()),
                ..gear.clone()
            },
            Gear {
                kind: gear.brand.clone(),
                brand: gear.kind.clone(),
                ..gear.clone()
            },
            Gear {
                created_at: gear.created_at + 1,
                ..gear.clone()
            },
        ];
        for other in others {
            if other != gear {
                assert_ne!(other.checksum("a"), gear.checksum("a"), "{other:?}");
            }
        }
        assert_ne!(gear.checksum("a"), gear.checksum("b"));
        let absent = Gear {
            kind: None,
            ..gear.clone()
        };
        let empty = Gear {
            kind: Some(String::new()),
            ..gear
        };
        assert_ne!(absent.checksum("a"), empty.checksum("a"));
    }
}
