//! What an environment publishes.

use std::collections::BTreeMap;

use diesel::prelude::*;
use diesel::sql_types::{BigInt, Nullable};
use switchover::{MOST_LIMITS, RouteKey, Watch};

use crate::domain::environment::EnvironmentKey;
use crate::domain::policy::{Numbers, Policy};
use crate::domain::rollout::Rollout;
use crate::store::rows::{RolloutRow, corrupt, count, counted, from_json, read};
use crate::store::schema::{environments, requirements, rollouts, routes};
use crate::store::{StoreError, Tx};

/// What a route says of itself besides its rollout: flag, ramp group, policy and its own numbers.
type RouteColumns = (String, Option<String>, String, String);

/// What has changed in an environment since a revision.
#[derive(Debug)]
pub struct PublishedChanges {
    /// The environment's revision now.
    pub revision: u64,
    /// The rollouts that changed, with the revision at which each last did, by route.
    pub changes: Vec<(RouteKey, u64, switchover::Rollout)>,
}

impl Tx<'_> {
    /// Every environment's revision, by key.
    ///
    /// # Errors
    /// When the database cannot be used.
    pub fn revisions(&mut self) -> Result<Vec<(String, u64)>, StoreError> {
        environments::table
            .select((environments::key, environments::revision))
            .order(environments::key.asc())
            .load::<(String, i64)>(self.connection)?
            .into_iter()
            .map(|(key, revision)| Ok((key, counted("environments.revision", revision)?)))
            .collect()
    }

    /// How many routes an environment publishes, and in how many bytes at the most: cohorts as they
    /// are, everything else at its bound.
    ///
    /// # Errors
    /// When the database cannot be used.
    pub fn published_size(
        &mut self,
        environment: &EnvironmentKey,
    ) -> Result<(usize, usize), StoreError> {
        const ENTRY: i64 = 480;
        const REQUIREMENT: i64 = 70;
        let (routes, cohorts): (i64, Option<i64>) = rollouts::table
            .filter(rollouts::environment.eq(environment.as_str()))
            .select((
                diesel::dsl::count_star(),
                diesel::dsl::sql::<Nullable<BigInt>>(
                    "CAST(SUM(OCTET_LENGTH(include) + OCTET_LENGTH(exclude)) AS BIGINT)",
                ),
            ))
            .first(self.connection)?;
        let requirements: i64 = requirements::table.count().get_result(self.connection)?;
        let bytes = cohorts.unwrap_or(0) + ENTRY * routes + REQUIREMENT * requirements;
        let size = |value| usize::try_from(value).unwrap_or(usize::MAX);
        Ok((size(routes), size(bytes)))
    }

    /// What an environment publishes that it did not at revision `since`.
    ///
    /// # Errors
    /// When the database cannot be used.
    pub fn changes_since(
        &mut self,
        environment: &EnvironmentKey,
        since: u64,
    ) -> Result<PublishedChanges, StoreError> {
        let revision: i64 = environments::table
            .filter(environments::key.eq(environment.as_str()))
            .select(environments::revision)
            .first(self.connection)?;
        let rows: Vec<(RolloutRow, i64, RouteColumns)> = rollouts::table
            .inner_join(routes::table)
            .filter(rollouts::environment.eq(environment.as_str()))
            .filter(rollouts::published_at.gt(count(since)))
            .order(rollouts::route.asc())
            .select((
                rollouts::all_columns,
                rollouts::published_at,
                (
                    routes::flag,
                    routes::ramp_group,
                    routes::policy,
                    routes::policy_numbers,
                ),
            ))
            .load(self.connection)?;
        let mut requires = self.requirements()?;
        let mut policies = BTreeMap::new();
        let changes = rows
            .into_iter()
            .map(|(row, published_at, (flag, ramp_group, policy, numbers))| {
                let rollout = Rollout::try_from(row)?;
                let requires = requires.remove(rollout.route.as_str()).unwrap_or_default();
                let published_at = counted("rollouts.published_at", published_at)?;
                let since = rollout.data.counted_since(published_at);
                let published = switchover::Rollout {
                    flag: read("routes.flag", &flag)?,
                    stage: rollout.stage,
                    setting: rollout.setting,
                    halted: rollout.halt.is_some(),
                    include: rollout.include,
                    exclude: rollout.exclude,
                    requires: requires
                        .iter()
                        .map(|required| read("requirements.required", required))
                        .collect::<Result<_, _>>()?,
                    ramp_group: ramp_group.map(Box::from),
                    mirror: rollout.mirror.shares,
                    watch: self.watch(&mut policies, &policy, &numbers, since)?,
                    generation: rollout.data.generation,
                    hold: rollout.data.hold.map(|hold| Box::new(hold.next)),
                };
                Ok((rollout.route, published_at, published))
            })
            .collect::<Result<_, StoreError>>()?;
        Ok(PublishedChanges {
            revision: counted("environments.revision", revision)?,
            changes,
        })
    }

    /// What callers count apart under a policy with a route's own numbers. More limits than they can
    /// count by, which only a policy's next version can make of a route's own, are left out.
    fn watch(
        &mut self,
        policies: &mut BTreeMap<String, (Policy, Watch)>,
        name: &str,
        numbers: &str,
        since: u64,
    ) -> Result<Watch, StoreError> {
        if !policies.contains_key(name) {
            let found = self.policy_of_routes(&read("routes.policy", name)?)?;
            let found = found.ok_or_else(|| corrupt("routes.policy", name))?;
            let watch = found.policy.watch();
            policies.insert(name.to_owned(), (found.policy, watch));
        }
        let Some((policy, watch)) = policies.get(name) else {
            return Ok(Watch::default());
        };
        let numbers: Numbers = from_json("routes.policy_numbers", numbers)?;
        let mut watch = if numbers.is_empty() {
            watch.clone()
        } else {
            policy.with_numbers(&numbers).watch()
        };
        // Every change of the rollout begins an epoch of its guards, also one that moves no key, such
        // as a ramp that goes on: callers must tell apart what they count from here on.
        if !policy.guards.is_empty() {
            watch.since = since;
        }
        watch.slow_ms.truncate(MOST_LIMITS);
        watch.mirror_slow_ms.truncate(MOST_LIMITS);
        Ok(watch)
    }
}
