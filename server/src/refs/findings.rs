//! What follows from the uses that were found.

use std::collections::BTreeSet;

use serde::Serialize;

use crate::refs::matching::Subject;
use crate::refs::tree::Use;

/// A route whose names are looked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tracked {
    /// Its key.
    pub key: String,
    /// Its flag.
    pub flag: String,
    /// How far it is.
    pub standing: Standing,
}

/// How far a route is, as far as its code is concerned.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Standing {
    /// It is prepared: no code needs to ask for it yet.
    Unready,
    /// Both paths may be taken somewhere.
    Moving,
    /// It is mandatory in every environment: asking for it has become needless.
    Mandatory,
    /// It is retired.
    Retired,
}

/// What may be wrong with a source tree.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// Routes that are mandatory everywhere and still asked for.
    Mandatory,
    /// Retired routes that are still asked for.
    Retired,
    /// Flags and keys that no route has.
    Unknown,
    /// Routes that nothing asks for, though they are ready and not retired.
    Unreferenced,
}

/// A route and its uses.
#[derive(Clone, Debug, Serialize)]
pub struct RouteUses {
    /// The route's key.
    pub route: String,
    /// The route's flag.
    pub flag: String,
    /// How far it is.
    pub standing: Standing,
    /// Its uses, by file, line and column.
    pub uses: Vec<Use>,
}

/// What was found, by route.
#[derive(Clone, Debug)]
pub struct Findings {
    /// Every route that was looked for, in the order given.
    pub routes: Vec<RouteUses>,
    /// What no route has.
    pub unknown: Vec<Use>,
}

impl Findings {
    /// Uses by the route that they are of.
    #[must_use]
    pub fn new(tracked: Vec<Tracked>, uses: Vec<Use>) -> Findings {
        let mut findings = Findings {
            routes: tracked
                .into_iter()
                .map(|route| RouteUses {
                    route: route.key,
                    flag: route.flag,
                    standing: route.standing,
                    uses: Vec::new(),
                })
                .collect(),
            unknown: Vec::new(),
        };
        for found in uses {
            let route = match found.subject {
                Subject::Route(index) => findings.routes.get_mut(index),
                Subject::Unknown => None,
            };
            match route {
                Some(route) => route.uses.push(found),
                None => findings.unknown.push(found),
            }
        }
        findings
    }

    /// The routes that a kind of finding is about; none for `Unknown`.
    pub fn of(&self, kind: Kind) -> impl Iterator<Item = &RouteUses> {
        self.routes.iter().filter(move |route| {
            let is_used = !route.uses.is_empty();
            match kind {
                Kind::Mandatory => is_used && route.standing == Standing::Mandatory,
                Kind::Retired => is_used && route.standing == Standing::Retired,
                Kind::Unreferenced => !is_used && route.standing == Standing::Moving,
                Kind::Unknown => false,
            }
        })
    }

    /// The kinds of which there is something.
    #[must_use]
    pub fn kinds(&self) -> BTreeSet<Kind> {
        let mut kinds = BTreeSet::new();
        for kind in [Kind::Mandatory, Kind::Retired, Kind::Unreferenced] {
            if self.of(kind).next().is_some() {
                kinds.insert(kind);
            }
        }
        if !self.unknown.is_empty() {
            kinds.insert(Kind::Unknown);
        }
        kinds
    }
}
