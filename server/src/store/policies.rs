//! Policies on record, every version of them. The built-in ones stand in the program.

use chrono::{DateTime, Utc};
use diesel::prelude::*;

use crate::domain::policy::{Policy, PolicyName};
use crate::store::dialect::AnyConnection;
use crate::store::rows::{corrupt, json, time};
use crate::store::schema::{policies, routes};
use crate::store::{StoreError, Tx};

/// A version of a policy, and where it comes from.
#[derive(Clone, Debug, PartialEq)]
pub struct StoredPolicy {
    /// The policy.
    pub policy: Policy,
    /// Which version; 0 for one that comes with the product.
    pub version: u32,
    /// Who wrote it; `None` for one that comes with the product.
    pub created_by: Option<String>,
    /// When.
    pub created_at: Option<DateTime<Utc>>,
}

type Row = (String, i32, String, String, chrono::NaiveDateTime);
/// The columns of a [`Row`].
const COLUMNS: (
    policies::name,
    policies::version,
    policies::document,
    policies::created_by,
    policies::created_at,
) = (
    policies::name,
    policies::version,
    policies::document,
    policies::created_by,
    policies::created_at,
);

impl Tx<'_> {
    /// The newest version of every policy, by name.
    ///
    /// # Errors
    /// When the database cannot be used.
    pub fn policies(&mut self) -> Result<Vec<StoredPolicy>, StoreError> {
        let mut found: Vec<StoredPolicy> = Policy::built_in().iter().map(built_in).collect();
        let rows = policies::table
            .filter(policies::deleted_at.is_null())
            .select(COLUMNS)
            .order((policies::name.asc(), policies::version.desc()))
            .load::<Row>(self.connection)?;
        for row in rows {
            let policy = stored(row)?;
            // Newest first: what follows of the same name is older.
            if found
                .last()
                .is_none_or(|last| last.policy.name != policy.policy.name)
            {
                found.push(policy);
            }
        }
        found.sort_by(|a, b| a.policy.name.cmp(&b.policy.name));
        Ok(found)
    }

    /// The newest version of a policy, or the one that is asked for.
    ///
    /// # Errors
    /// When the database cannot be used.
    pub fn policy(
        &mut self,
        name: &PolicyName,
        version: Option<u32>,
    ) -> Result<Option<StoredPolicy>, StoreError> {
        if let Some(policy) = Policy::built_in().iter().find(|own| own.name == *name) {
            let asked = version.is_none_or(|version| version == 0);
            return Ok(asked.then(|| built_in(policy)));
        }
        let mut query = of_name(name).filter(policies::deleted_at.is_null());
        if let Some(version) = version {
            query = query.filter(policies::version.eq(i32::try_from(version).unwrap_or(i32::MAX)));
        }
        newest(query, self.connection)
    }

    /// The policy that a route was given: also one that was deleted while the route got it.
    ///
    /// # Errors
    /// When the database cannot be used.
    pub fn policy_of_routes(
        &mut self,
        name: &PolicyName,
    ) -> Result<Option<StoredPolicy>, StoreError> {
        match self.policy(name, None)? {
            Some(policy) => Ok(Some(policy)),
            None => newest(of_name(name), self.connection),
        }
    }

    /// Adds the next version of a policy; gives its number.
    ///
    /// # Errors
    /// [`StoreError::Duplicate`] when somebody else has just added it.
    pub fn add_policy(
        &mut self,
        policy: &Policy,
        by: &str,
        at: DateTime<Utc>,
    ) -> Result<u32, StoreError> {
        // Deleted ones count: a version is never reused.
        let last: Option<i32> = policies::table
            .filter(policies::name.eq(policy.name.as_str()))
            .select(diesel::dsl::max(policies::version))
            .first(self.connection)?;
        let version = last.unwrap_or(0) + 1;
        diesel::insert_into(policies::table)
            .values((
                policies::name.eq(policy.name.as_str()),
                policies::version.eq(version),
                policies::document.eq(json(policy)?),
                policies::created_by.eq(by),
                policies::created_at.eq(time(at)),
            ))
            .execute(self.connection)?;
        u32::try_from(version).map_err(|_| corrupt("policies.version", version))
    }

    /// Deletes every version of a policy.
    ///
    /// # Errors
    /// When the database cannot be used.
    pub fn delete_policy(
        &mut self,
        name: &PolicyName,
        at: DateTime<Utc>,
    ) -> Result<(), StoreError> {
        diesel::update(
            policies::table
                .filter(policies::name.eq(name.as_str()))
                .filter(policies::deleted_at.is_null()),
        )
        .set(policies::deleted_at.eq(time(at)))
        .execute(self.connection)?;
        Ok(())
    }

    /// The routes with a policy, by key.
    ///
    /// # Errors
    /// When the database cannot be used.
    pub fn routes_with_policy(&mut self, name: &PolicyName) -> Result<Vec<String>, StoreError> {
        Ok(routes::table
            .filter(routes::policy.eq(name.as_str()))
            .select(routes::key)
            .order(routes::key.asc())
            .load(self.connection)?)
    }
}

type Query<'a> = policies::BoxedQuery<'a, <AnyConnection as diesel::Connection>::Backend>;

fn of_name(name: &PolicyName) -> Query<'_> {
    policies::table
        .filter(policies::name.eq(name.as_str()))
        .into_boxed()
}

fn newest(
    query: Query<'_>,
    connection: &mut AnyConnection,
) -> Result<Option<StoredPolicy>, StoreError> {
    query
        .select(COLUMNS)
        .order(policies::version.desc())
        .first::<Row>(connection)
        .optional()?
        .map(stored)
        .transpose()
}

fn built_in(policy: &Policy) -> StoredPolicy {
    StoredPolicy {
        policy: policy.clone(),
        version: 0,
        created_by: None,
        created_at: None,
    }
}

fn stored((name, version, document, by, at): Row) -> Result<StoredPolicy, StoreError> {
    let policy = Policy::parse(document.as_bytes())
        .map_err(|errors| corrupt("policies.document", format!("{name}: {errors:?}")))?;
    Ok(StoredPolicy {
        policy,
        version: u32::try_from(version).map_err(|_| corrupt("policies.version", version))?,
        created_by: Some(by),
        created_at: Some(at.and_utc()),
    })
}
