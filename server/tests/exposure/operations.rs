//! Every operation that changes something, and how it is tried.

use super::Scene::{self, Frozen, Ramp, Untested};
use super::{harmless, raising};
use crate::support::Who;

/// All of them, in the order in which they are tried.
pub(super) fn table() -> impl Iterator<Item = &'static Row> {
    raising::TABLE.iter().chain(harmless::TABLE)
}

/// What an operation can do to exposure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Class {
    /// It can raise it, and is refused where nothing may.
    Raises,
    /// It is carried out everywhere, and raises nothing.
    Never,
}

pub(super) struct Row {
    pub(super) operation: &'static str,
    pub(super) class: Class,
    pub(super) probes: &'static [Probe],
}

pub(super) struct Probe {
    pub(super) scene: Scene,
    pub(super) by: &'static [Who],
    pub(super) path: &'static str,
    pub(super) body: Body,
}

pub(super) enum Body {
    None,
    Json(&'static str),
    Markdown(&'static str),
}

impl Probe {
    pub(super) fn text(&self) -> &'static str {
        match self.body {
            Body::None => "",
            Body::Json(text) | Body::Markdown(text) => text,
        }
    }
}

pub(super) const fn raises(operation: &'static str, probes: &'static [Probe]) -> Row {
    Row {
        operation,
        class: Class::Raises,
        probes,
    }
}

pub(super) const fn never(operation: &'static str, probes: &'static [Probe]) -> Row {
    Row {
        operation,
        class: Class::Never,
        probes,
    }
}

pub(super) const fn probe(
    scene: Scene,
    by: &'static [Who],
    path: &'static str,
    body: &'static str,
) -> Probe {
    Probe {
        scene,
        by,
        path,
        body: if body.is_empty() {
            Body::None
        } else {
            Body::Json(body)
        },
    }
}

/// In a freeze by an admin, who may do most.
pub(super) const fn frozen(path: &'static str, body: &'static str) -> Probe {
    probe(Frozen, ADMIN, path, body)
}

pub(super) const fn ramp(path: &'static str, body: &'static str) -> Probe {
    probe(Ramp, OPERATOR, path, body)
}

pub(super) const fn untested(path: &'static str, body: &'static str) -> Probe {
    probe(Untested, EVERYBODY, path, body)
}

pub(super) const fn markdown(path: &'static str, text: &'static str) -> Probe {
    Probe {
        scene: Frozen,
        by: ADMIN,
        path,
        body: Body::Markdown(text),
    }
}

pub(super) const ADMIN: &[Who] = &[Who::ADMIN];
pub(super) const OPERATOR: &[Who] = &[Who::OPERATOR];
pub(super) const EVERYBODY: &[Who] = &[Who::OPERATOR, Who::MAINTAINER, Who::ADMIN];
pub(super) const REASON: &str = r#"{"reason":"test"}"#;
pub(super) const TO_OPT_IN: &str = r#"{"to":"opt_in","reason":"test"}"#;
