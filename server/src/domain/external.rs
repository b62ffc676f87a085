//! What a promotion waits for outside of this product: confirmed by whoever answers for it.

use std::fmt;
use std::str::FromStr;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use switchover::Stage;

use crate::domain::actor::{Actor, Role};
use crate::domain::refusal::Refusal;

/// The most that one route may wait for.
pub const MOST_EXTERNALS: usize = 32;

/// The name of an outside dependency: `[a-z0-9][a-z0-9_.-]{0,62}`. It stands in addresses.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct ExternalName(Box<str>);

impl ExternalName {
    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ExternalName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl FromStr for ExternalName {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, &'static str> {
        let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
        let legal = |byte: u8| plain(byte) || matches!(byte, b'_' | b'.' | b'-');
        if text.bytes().next().is_some_and(plain) && text.len() <= 63 && text.bytes().all(legal) {
            Ok(ExternalName(text.into()))
        } else {
            Err(
                "the name of an outside dependency is a lower-case letter or a digit, then up to \
                 62 lower-case letters, digits, `_`, `.` or `-`",
            )
        }
    }
}

/// Something outside that promotions of a route wait for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct External {
    /// Its name; one of a kind within the route.
    pub name: ExternalName,
    /// Who confirms it: the subject of their token.
    pub owner: String,
    /// What must be so.
    pub description: String,
    /// The stage that it is needed for; `None` for every promotion.
    pub stage: Option<Stage>,
    /// That it is so, while somebody stands by that.
    pub confirmed: Option<Confirmation>,
}

/// Somebody's word that an outside dependency is there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Confirmation {
    /// Whose: the owner's, or an admin's in the owner's place.
    pub by: String,
    /// When.
    pub at: DateTime<Utc>,
    /// What they said.
    pub comment: String,
}

impl External {
    /// Whether a promotion to this stage waits for it.
    #[must_use]
    pub fn is_needed_for(&self, to: Stage) -> bool {
        self.stage.is_none_or(|stage| stage == to)
    }

    /// Whether an admin confirmed it in the owner's place.
    #[must_use]
    pub fn is_confirmed_for_owner(&self) -> bool {
        let confirmed = self.confirmed.as_ref();
        confirmed.is_some_and(|confirmed| confirmed.by != self.owner)
    }

    /// The same with somebody's word for it.
    ///
    /// # Errors
    /// When it is not theirs to give.
    pub fn confirm(
        &self,
        actor: &Actor,
        comment: &str,
        now: DateTime<Utc>,
    ) -> Result<External, Refusal> {
        self.only_owner(actor, "confirming")?;
        Ok(External {
            confirmed: Some(Confirmation {
                by: actor.subject.clone(),
                at: now,
                comment: comment.to_owned(),
            }),
            ..self.clone()
        })
    }

    /// The same without anybody's word for it.
    ///
    /// # Errors
    /// When it is not theirs to take back.
    pub fn withdraw(&self, actor: &Actor) -> Result<External, Refusal> {
        self.only_owner(actor, "withdrawing the confirmation of")?;
        Ok(External {
            confirmed: None,
            ..self.clone()
        })
    }

    /// The same as somebody wants it to be. What was confirmed was that text, to that owner's
    /// knowledge: another text or owner has to be confirmed anew.
    ///
    /// # Errors
    /// When it would let more through than before, and they may not decide that: whoever waits for
    /// somebody's word does not choose whose.
    pub fn change(&self, wanted: External, actor: &Actor) -> Result<External, Refusal> {
        let narrower = wanted.stage != self.stage && wanted.stage.is_some();
        if (narrower || wanted.owner != self.owner) && actor.role < Role::Maintainer {
            return Err(Refusal::Forbidden {
                needs: Role::Maintainer,
                to_do: format!(
                    "changing who confirms `{}`, or which promotions wait for it,",
                    self.name
                ),
            });
        }
        let same = wanted.owner == self.owner && wanted.description == self.description;
        Ok(External {
            confirmed: self.confirmed.clone().filter(|_| same),
            ..wanted
        })
    }

    fn only_owner(&self, actor: &Actor, what: &str) -> Result<(), Refusal> {
        if actor.subject == self.owner || actor.role >= Role::Admin {
            return Ok(());
        }
        Err(Refusal::Forbidden {
            needs: Role::Admin,
            to_do: format!(
                "{what} `{}` is for its owner, {}; in the owner's place it",
                self.name, self.owner
            ),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn who(subject: &str, role: Role) -> Actor {
        Actor {
            subject: subject.to_owned(),
            role,
        }
    }

    fn external(stage: Option<Stage>) -> External {
        External {
            name: "legal".parse().unwrap(),
            owner: "lea".to_owned(),
            description: "the contract is signed".to_owned(),
            stage,
            confirmed: None,
        }
    }

    #[test]
    fn names_stand_in_addresses() {
        for good in ["legal", "1", "dns.example-2", "a_b", &"a".repeat(63)] {
            assert!(good.parse::<ExternalName>().is_ok(), "{good}");
        }
        for bad in [
            "",
            "-a",
            ".a",
            "A",
            "a b",
            "a/b",
            "ä",
            "..",
            &"a".repeat(64),
        ] {
            assert!(bad.parse::<ExternalName>().is_err(), "{bad}");
        }
    }

    #[test]
    fn only_its_owner_gives_and_takes_back_its_word() {
        let now = DateTime::UNIX_EPOCH;
        for (subject, role, may) in [
            ("lea", Role::Viewer, true),
            ("lea", Role::Admin, true),
            ("otto", Role::Viewer, false),
            ("otto", Role::Operator, false),
            ("mia", Role::Maintainer, false),
            ("ada", Role::Admin, true),
            ("Lea", Role::Maintainer, false),
        ] {
            let actor = who(subject, role);
            let given = external(None).confirm(&actor, "signed", now);
            assert_eq!(given.is_ok(), may, "{subject} {role}");
            assert_eq!(external(None).withdraw(&actor).is_ok(), may);
            if let Ok(given) = given {
                assert_eq!(given.is_confirmed_for_owner(), subject != "lea");
                assert_eq!(given.withdraw(&actor).unwrap(), external(None));
            }
        }
    }

    #[test]
    fn another_text_or_owner_is_confirmed_anew() {
        let lea = who("lea", Role::Viewer);
        let given = external(Some(Stage::OptIn));
        let given = given.confirm(&lea, "", DateTime::UNIX_EPOCH).unwrap();
        let wanted = || external(Some(Stage::OptIn));
        let (operator, maintainer) = (who("otto", Role::Operator), who("mia", Role::Maintainer));

        let same = given.change(wanted(), &operator).unwrap();
        assert!(same.confirmed.is_some());
        let described = External {
            description: "another".to_owned(),
            ..wanted()
        };
        assert_eq!(given.change(described, &operator).unwrap().confirmed, None);
        let owned = External {
            owner: "otto".to_owned(),
            ..wanted()
        };
        assert!(given.change(owned.clone(), &operator).is_err());
        assert_eq!(given.change(owned, &maintainer).unwrap().confirmed, None);
    }

    #[test]
    fn who_waits_does_not_choose_for_what() {
        let (operator, maintainer) = (who("otto", Role::Operator), who("mia", Role::Maintainer));
        let change = |from, to, actor: &Actor| external(from).change(external(to), actor).is_ok();
        assert!(change(Some(Stage::OptIn), None, &operator), "more wait");
        assert!(!change(None, Some(Stage::OptIn), &operator));
        assert!(!change(Some(Stage::OptIn), Some(Stage::OptOut), &operator));
        assert!(change(None, Some(Stage::OptIn), &maintainer));
    }

    #[test]
    fn it_is_needed_for_its_stage_or_for_all() {
        for stage in Stage::ALL {
            assert!(external(None).is_needed_for(stage));
            let opt_out = external(Some(Stage::OptOut));
            assert_eq!(opt_out.is_needed_for(stage), stage == Stage::OptOut);
        }
    }
}
