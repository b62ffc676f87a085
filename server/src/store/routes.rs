//! Routes on record.

use std::collections::BTreeMap;

use diesel::prelude::*;
use switchover::RouteKey;

use crate::domain::preparation::At;
use crate::domain::route::Route;
use crate::store::rows::{RouteRow, count};
use crate::store::schema::{requirements, rollouts, routes};
use crate::store::{StoreError, Tx};

/// Which routes a list has. Empty fields ask for nothing.
#[derive(Clone, Debug, Default)]
pub struct RouteFilter {
    /// At this stage, in `environment` or, without one, anywhere.
    pub stage: Option<switchover::Stage>,
    /// The environment that `stage` and `halted` speak of.
    pub environment: Option<String>,
    /// Of this owner.
    pub owner: Option<String>,
    /// Under this policy.
    pub policy: Option<String>,
    /// With this text in key, flag, endpoint or description, whatever its case.
    pub text: Option<String>,
    /// Halted, in `environment` or, without one, anywhere.
    pub halted: bool,
    /// By how far their preparation is.
    pub preparation: Option<At>,
    /// How the list is ordered.
    pub order: RouteOrder,
    /// After this key.
    pub after: Option<String>,
}

/// How a list of routes is ordered.
#[derive(Clone, Copy, Debug, Default)]
pub enum RouteOrder {
    /// By key.
    #[default]
    Key,
    /// By priority, then by key; those without one come last.
    Priority {
        /// The priority of the route that the list goes on after.
        after: Option<u32>,
    },
}

/// The place of a route that has no priority: behind every other.
const NO_PRIORITY: i32 = i32::MAX;

diesel::define_sql_function! {
    fn lower(text: diesel::sql_types::Text) -> diesel::sql_types::Text;
}
diesel::define_sql_function! {
    fn coalesce(
        number: diesel::sql_types::Nullable<diesel::sql_types::Integer>,
        otherwise: diesel::sql_types::Integer,
    ) -> diesel::sql_types::Integer;
}

impl Tx<'_> {
    /// One route.
    ///
    /// # Errors
    /// When the database cannot be used.
    pub fn route(&mut self, key: &RouteKey) -> Result<Option<Route>, StoreError> {
        let Some(row) = routes::table
            .filter(routes::key.eq(key.as_str()))
            .first::<RouteRow>(self.connection)
            .optional()?
        else {
            return Ok(None);
        };
        let requires = requirements::table
            .filter(requirements::route.eq(key.as_str()))
            .select(requirements::required)
            .load::<String>(self.connection)?;
        row.with_requirements(requires).map(Some)
    }

    /// The first `limit` routes that pass the filter, in its order.
    ///
    /// # Errors
    /// When the database cannot be used.
    pub fn routes(&mut self, filter: &RouteFilter, limit: usize) -> Result<Vec<Route>, StoreError> {
        let mut query = routes::table.into_boxed();
        if let Some(owner) = &filter.owner {
            query = query.filter(routes::owner.eq(owner.clone()));
        }
        if let Some(policy) = &filter.policy {
            query = query.filter(routes::policy.eq(policy.clone()));
        }
        if let Some(at) = filter.preparation {
            // No name of a phase is a part of another's.
            query = match at {
                At::Phase(phase) => query.filter(routes::phase.like(format!("%{phase}%"))),
                At::Shelved => query.filter(routes::phase.eq("shelved")),
                At::Ready => query.filter(routes::phase.eq("ready")),
                At::Unready => query.filter(routes::phase.ne("ready")),
            };
        }
        let place = coalesce(routes::priority, NO_PRIORITY);
        query = match filter.order {
            RouteOrder::Key => query.order(routes::key.asc()),
            RouteOrder::Priority { .. } => query.order((place, routes::key.asc())),
        };
        if let Some(after) = &filter.after {
            let beyond = routes::key.gt(after.clone());
            query = match filter.order {
                RouteOrder::Key => query.filter(beyond),
                RouteOrder::Priority { after } => {
                    let last = after.and_then(|after| i32::try_from(after).ok());
                    let last = last.unwrap_or(NO_PRIORITY);
                    query.filter(place.gt(last).or(place.eq(last).and(beyond)))
                }
            };
        }
        if let Some(text) = &filter.text {
            // SQLite's LIKE takes no notice of case and PostgreSQL's does, so both compare lower
            // case: the engines' own, which both know for ASCII.
            let text = format!("%{}%", escape(&text.to_ascii_lowercase()));
            query = query.filter(
                routes::key
                    .like(text.clone())
                    .escape('!')
                    .or(lower(routes::flag).like(text.clone()).escape('!'))
                    .or(lower(routes::endpoint).like(text.clone()).escape('!'))
                    .or(lower(routes::description).like(text).escape('!')),
            );
        }
        if let Some(stage) = filter.stage {
            // A subquery and not a list of keys: an engine takes only so many values.
            let at_stage = rollouts::table
                .filter(rollouts::stage.eq(stage.name()))
                .select(rollouts::route);
            query = match &filter.environment {
                None => query.filter(routes::key.eq_any(at_stage)),
                Some(environment) => {
                    let here = rollouts::environment.eq(environment.clone());
                    query.filter(routes::key.eq_any(at_stage.filter(here)))
                }
            };
        }
        if filter.halted {
            let halted = rollouts::table
                .filter(rollouts::halt.is_not_null())
                .select(rollouts::route);
            query = match &filter.environment {
                None => query.filter(routes::key.eq_any(halted)),
                Some(environment) => {
                    let here = rollouts::environment.eq(environment.clone());
                    query.filter(routes::key.eq_any(halted.filter(here)))
                }
            };
        }
        let rows = query
            .limit(i64::try_from(limit).unwrap_or(i64::MAX))
            .load::<RouteRow>(self.connection)?;
        let mut requires = self.requirements()?;
        rows.into_iter()
            .map(|row| {
                let requires = requires.remove(&row.key).unwrap_or_default();
                row.with_requirements(requires)
            })
            .collect()
    }

    /// Whether a flag is taken, and by which route.
    ///
    /// # Errors
    /// When the database cannot be used.
    pub fn flag_owner(&mut self, flag: &str) -> Result<Option<String>, StoreError> {
        Ok(routes::table
            .filter(routes::flag.eq(flag))
            .select(routes::key)
            .first(self.connection)
            .optional()?)
    }

    /// Adds a route, without its rollouts.
    ///
    /// # Errors
    /// [`StoreError::Duplicate`] when key or flag is taken.
    pub fn add_route(&mut self, route: &Route) -> Result<(), StoreError> {
        diesel::insert_into(routes::table)
            .values(&RouteRow::try_from(route)?)
            .execute(self.connection)?;
        self.write_requirements(route)
    }

    /// Writes a route that was read at `revision`.
    ///
    /// # Errors
    /// [`StoreError::Stale`] when it has changed since.
    pub fn update_route(&mut self, route: &Route, revision: u64) -> Result<(), StoreError> {
        let updated = diesel::update(
            routes::table
                .filter(routes::key.eq(route.spec.key.as_str()))
                .filter(routes::revision.eq(count(revision))),
        )
        .set(&RouteRow::try_from(route)?)
        .execute(self.connection)?;
        if updated != 1 {
            return Err(StoreError::Stale);
        }
        diesel::delete(requirements::table.filter(requirements::route.eq(route.spec.key.as_str())))
            .execute(self.connection)?;
        self.write_requirements(route)
    }

    /// The routes that require this one.
    ///
    /// # Errors
    /// When the database cannot be used.
    pub fn dependents(&mut self, key: &RouteKey) -> Result<Vec<String>, StoreError> {
        Ok(requirements::table
            .filter(requirements::required.eq(key.as_str()))
            .select(requirements::route)
            .order(requirements::route.asc())
            .load(self.connection)?)
    }

    /// Every requirement, by route.
    ///
    /// # Errors
    /// When the database cannot be used.
    pub fn requirements(&mut self) -> Result<BTreeMap<String, Vec<String>>, StoreError> {
        let mut requires: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for (route, required) in requirements::table
            .order((requirements::route.asc(), requirements::required.asc()))
            .load::<(String, String)>(self.connection)?
        {
            requires.entry(route).or_default().push(required);
        }
        Ok(requires)
    }

    fn write_requirements(&mut self, route: &Route) -> Result<(), StoreError> {
        for required in &route.spec.requires {
            diesel::insert_into(requirements::table)
                .values((
                    requirements::route.eq(route.spec.key.as_str()),
                    requirements::required.eq(required.as_str()),
                ))
                .execute(self.connection)?;
        }
        Ok(())
    }
}

fn escape(text: &str) -> String {
    text.chars()
        .flat_map(|c| {
            matches!(c, '%' | '_' | '!')
                .then_some('!')
                .into_iter()
                .chain([c])
        })
        .collect()
}
