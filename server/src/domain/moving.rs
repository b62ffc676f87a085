//! Moving in: flags of other systems as routes, and all that cannot be carried.
//!
//! What is carried is who takes the new path now, as far as it does not depend on more than a key.
//! What a promotion stands for (acceptance, soak, approval) did not happen here, so that a route begins
//! at ready_for_testing unless somebody says a later stage.

mod gitlab;
mod launchdarkly;
mod names;
mod pages;
mod routes;
mod unleash;

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;
use switchover::{Percent, Stage};

use crate::domain::cohort::Name;
use crate::domain::declared::{Declared, DeclaredEnvironment, Unreadable};
use crate::domain::environment::EnvironmentKey;
use crate::domain::route::{Labels, Operation};

/// A system whose flags can be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "their names say it")]
pub enum System {
    LaunchDarkly,
    Unleash,
    GitLab,
}

/// A flag of another system, as far as a route can be like it.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Flag {
    pub(super) name: String,
    pub(super) description: String,
    pub(super) owner: Option<String>,
    pub(super) issue: Option<String>,
    pub(super) labels: Labels,
    pub(super) contacts: Labels,
    /// Flags that must be on first.
    pub(super) requires: BTreeSet<String>,
    /// Whether it requires something that no route can: then nobody takes the new path by it.
    pub(super) requires_else: bool,
    /// Whether its calls are known to write.
    pub(super) writes: bool,
    /// Whether only the default in its code is known, and not what is in force.
    pub(super) default_only: bool,
    /// By the other system's environment; of none where it has none.
    pub(super) places: BTreeMap<Option<String>, Place>,
    /// What cannot be carried, wherever it is.
    pub(super) lost: Vec<(String, String)>,
    /// Why it is left out as a whole.
    pub(super) left_out: Option<String>,
}

/// A flag in one environment.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Place {
    pub(super) share: Share,
    pub(super) include: BTreeSet<String>,
    pub(super) exclude: BTreeSet<String>,
    pub(super) lost: Vec<(String, String)>,
}

/// How many of the callers take the new path.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Share {
    #[default]
    Nobody,
    Some(Percent),
    Everybody,
}

/// Something that is not carried, or not as it was.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Lost {
    /// The flag, by the name that it has there.
    pub flag: String,
    /// Where: the other system's environment, or everywhere.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub environment: Option<String>,
    /// Of what.
    pub field: String,
    /// What becomes of it, and what to do.
    pub detail: String,
}

/// What flags become.
#[derive(Clone, Debug, PartialEq)]
pub struct Moved {
    /// The routes.
    pub declared: Declared,
    /// What is not carried, by flag.
    pub lost: Vec<Lost>,
    /// How many flags were read.
    pub flags: usize,
}

/// What somebody says of all flags that are read.
#[derive(Clone, Debug)]
pub struct Wish {
    /// Package and service of the endpoints, such as `gitaly.CommitService`.
    pub endpoint_prefix: Option<String>,
    /// Who answers for those that name nobody.
    pub owner: Option<String>,
    /// The policy of the routes.
    pub policy: Option<Name>,
    /// What their calls do, where nothing says it.
    pub operation: Operation,
    /// The stage of what is on for somebody.
    pub stage: Stage,
    /// Our environments by theirs.
    pub environments: BTreeMap<String, EnvironmentKey>,
    /// The environment of flags that have none.
    pub everywhere: Option<EnvironmentKey>,
    /// The server's environments.
    pub known: BTreeMap<EnvironmentKey, DeclaredEnvironment>,
}

/// Reads exports of another system, and says what becomes of them here.
///
/// # Errors
/// When a file is none of its forms, or says only a part of what there is; which one, and where.
pub fn moved(
    system: System,
    files: &[(String, String)],
    wish: &Wish,
) -> Result<Moved, (String, Unreadable)> {
    let flags = match system {
        // Its lists come in pages, which are one list.
        System::LaunchDarkly => launchdarkly::read(files)?,
        System::Unleash => each(files, unleash::read)?,
        System::GitLab => gitlab::joined(each(files, gitlab::read)?),
    };
    Ok(routes::routes(flags, wish))
}

fn each(
    files: &[(String, String)],
    read: impl Fn(&str) -> Result<Vec<Flag>, Unreadable>,
) -> Result<Vec<Flag>, (String, Unreadable)> {
    let mut flags = Vec::new();
    for (name, text) in files {
        flags.extend(read(text).map_err(|why| (name.clone(), why))?);
    }
    Ok(flags)
}

impl Place {
    pub(super) fn lose(&mut self, field: impl Into<String>, detail: impl Into<String>) {
        self.lost.push((field.into(), detail.into()));
    }
}

impl Flag {
    pub(super) fn lose(&mut self, field: impl Into<String>, detail: impl Into<String>) {
        self.lost.push((field.into(), detail.into()));
    }
}

impl Share {
    /// A share of so many thousandths of a percent, at most all.
    pub(super) fn of(thousandths: u32) -> Share {
        match Percent::from_thousandths(thousandths) {
            Ok(Percent::ZERO) => Share::Nobody,
            Ok(percent) if percent < Percent::HUNDRED => Share::Some(percent),
            _ => Share::Everybody,
        }
    }
}

#[cfg(test)]
mod tests;
