//! What an upgrade changes for an installation, before it is made: the two releases' tables, decided
//! with the variables that are set there.

use std::collections::BTreeSet;

use serde::Serialize;
use switchover::{
    Entry, FlagName, FlagOverride, Overrides, Path, Plan, Reason, RouteKey, Stage, Table, plan,
};

/// A route before and after the upgrade.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Outlook {
    /// The route.
    pub route: RouteKey,
    /// In the release that runs; none when that does not have it.
    pub from: Option<Standing>,
    /// In the release to come; none when that does not have it.
    pub to: Option<Standing>,
    /// The route's variable, when it is set.
    pub variable: Option<Variable>,
}

/// A route in a release, with the variables that are set.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Standing {
    /// Its stage; none when it is one that this version does not know.
    pub stage: Option<Stage>,
    /// Its path: `old`, `new`, a share, or `by key`.
    pub path: String,
    /// Why; none when it depends on the key.
    pub reason: Option<Reason>,
}

/// A variable that is set.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Variable {
    /// Its name.
    pub name: FlagName,
    /// What it asks for; none when it is set to no legal value.
    pub asks_for: Option<Path>,
    /// What becomes of it.
    #[serde(flatten)]
    pub fate: Fate,
}

/// What becomes of an override.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "fate", content = "why", rename_all = "snake_case")]
pub enum Fate {
    /// It is in force in the release to come.
    Works,
    /// It is in force now, and will not be: why.
    Stops(String),
    /// It is not in force, now or then: why.
    Idle(String),
}

impl Outlook {
    /// Whether stage or path are others.
    #[must_use]
    pub fn changes(&self) -> bool {
        let shown = |standing: &Option<Standing>| {
            let standing = standing.as_ref();
            standing.map(|standing| (standing.stage, standing.path.clone()))
        };
        shown(&self.from) != shown(&self.to)
    }

    /// Whether an override of it stops working.
    #[must_use]
    pub fn loses_override(&self) -> bool {
        let variable = self.variable.as_ref();
        variable.is_some_and(|variable| matches!(variable.fate, Fate::Stops(_)))
    }
}

/// Every route of either release, before and after.
#[must_use]
pub fn forecast(from: &Table, to: &Table, overrides: &Overrides) -> Vec<Outlook> {
    let both = from.entries().keys().chain(to.entries().keys());
    let routes: BTreeSet<&RouteKey> = both.collect();
    let outlook = |route: &RouteKey| Outlook {
        from: standing(from, route, overrides),
        to: standing(to, route, overrides),
        variable: variable(route, (from, to), overrides),
        route: route.clone(),
    };
    routes.into_iter().map(outlook).collect()
}

fn standing(table: &Table, route: &RouteKey, overrides: &Overrides) -> Option<Standing> {
    let entry = table.get(route.as_str())?;
    let (path, reason) = match plan(table, route.as_str(), overrides) {
        Plan::Always(verdict) => (verdict.path.name().to_owned(), Some(verdict.reason)),
        Plan::Ramp { percent, .. } => (format!("ramp {percent}"), None),
        Plan::PerKey => ("by key".to_owned(), None),
    };
    let stage = match entry {
        Entry::Known(rollout) => Some(rollout.stage),
        Entry::Unrecognized => None,
    };
    Some(Standing {
        stage,
        path,
        reason,
    })
}

/// The variable that stands for the route now, or else will.
fn variable(
    route: &RouteKey,
    (from, to): (&Table, &Table),
    overrides: &Overrides,
) -> Option<Variable> {
    let flag = |table: &Table| {
        let rollout = table.rollout(route.as_str());
        rollout.map(|rollout| rollout.flag.clone())
    };
    let name = flag(from).or_else(|| flag(to))?;
    let asks_for = match overrides.flag(&name) {
        FlagOverride::Unset => return None,
        FlagOverride::On => Some(Path::New),
        FlagOverride::Off => Some(Path::Old),
        FlagOverride::Ignored(_) => None,
    };
    let fate = match asks_for {
        None => Fate::Idle("it is ignored: the legal values are exactly 1 and 0".to_owned()),
        Some(_) => match (
            heeded(from, route, &name, overrides),
            heeded(to, route, &name, overrides),
        ) {
            (_, Ok(())) => Fate::Works,
            (Ok(()), Err(why)) => Fate::Stops(why),
            (Err(_), Err(why)) => Fate::Idle(why),
        },
    };
    Some(Variable {
        name,
        asks_for,
        fate,
    })
}

/// Whether an override is in force, and if not why. Where that depends on the key, it is.
fn heeded(
    table: &Table,
    route: &RouteKey,
    name: &FlagName,
    overrides: &Overrides,
) -> Result<(), String> {
    let rollout = match table.get(route.as_str()) {
        None => return Err("the release does not have the route".to_owned()),
        Some(Entry::Unrecognized) => {
            return Err("the route is at a stage that this version does not know".to_owned());
        }
        Some(Entry::Known(rollout)) => rollout,
    };
    if rollout.flag != *name {
        return Err(format!("the route's variable is {}", rollout.flag));
    }
    match plan(table, route.as_str(), overrides) {
        Plan::Always(verdict) => match verdict.reason {
            Reason::EnvOn | Reason::EnvOff => Ok(()),
            Reason::Mandatory => Err("the route is mandatory: remove the variable".to_owned()),
            Reason::Halted => Err("the route is halted".to_owned()),
            Reason::Prerequisite => Err("a required route takes the old path".to_owned()),
            other => Err(other.to_string()),
        },
        Plan::Ramp { .. } | Plan::PerKey => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::sync::Arc;

    use switchover::{EnvironmentKind, Rollout, Source};

    use super::*;

    fn table(routes: &[(&str, Stage)]) -> Table {
        let entries: BTreeMap<RouteKey, Entry> = routes
            .iter()
            .map(|(route, stage)| {
                let flag = format!("GITALY_{}", route.to_uppercase()).parse().unwrap();
                let rollout = Rollout::at(flag, *stage);
                (route.parse().unwrap(), Entry::Known(Arc::new(rollout)))
            })
            .collect();
        Table::new(Source::Bundled, EnvironmentKind::OnPrem, entries).unwrap()
    }

    fn one(from: Option<Stage>, to: Option<Stage>, variables: &[(&str, &str)]) -> Outlook {
        let routes = |stage: Option<Stage>| stage.map(|stage| ("blame", stage));
        let tables = (table(routes(from).as_slice()), table(routes(to).as_slice()));
        let overrides = variables.iter().copied().collect();
        let mut found = forecast(&tables.0, &tables.1, &overrides);
        assert_eq!(found.len(), 1);
        found.remove(0)
    }

    #[test]
    fn an_override_dies_where_the_route_becomes_mandatory_or_goes() {
        let (out, mandatory) = (Some(Stage::OptOut), Some(Stage::Mandatory));
        let set = |value| [("GITALY_BLAME", value)];
        for value in ["0", "1"] {
            assert!(one(out, mandatory, &set(value)).loses_override());
            assert!(one(out, None, &set(value)).loses_override());
            assert!(!one(out, out, &set(value)).loses_override());
            let idle = one(mandatory, mandatory, &set(value));
            assert!(matches!(idle.variable.unwrap().fate, Fate::Idle(_)));
            let new = one(None, mandatory, &set(value));
            assert!(!new.loses_override() && new.changes());
        }
        assert!(!one(out, mandatory, &set("no")).loses_override());
        assert!(one(out, mandatory, &[]).variable.is_none());
    }

    #[test]
    fn stage_and_path_are_those_of_the_installation() {
        let (opt_in, out) = (Some(Stage::OptIn), Some(Stage::OptOut));
        let paths = |outlook: &Outlook| {
            let path = |standing: &Option<Standing>| standing.as_ref().unwrap().path.clone();
            (path(&outlook.from), path(&outlook.to))
        };
        let plain = one(opt_in, out, &[]);
        assert_eq!(paths(&plain), ("old".to_owned(), "new".to_owned()));
        let all_on = one(opt_in, out, &[("GITALY_FEATURE_DEFAULT_ON", "1")]);
        assert_eq!(paths(&all_on), ("new".to_owned(), "new".to_owned()));
        assert!(all_on.changes(), "the stage does");
        let off = one(opt_in, out, &[("GITALY_BLAME", "0")]);
        assert_eq!(paths(&off), ("old".to_owned(), "old".to_owned()));
        assert!(!one(out, out, &[]).changes());
    }
}
