//! What promotions wait for outside, on record.

use diesel::prelude::*;
use switchover::RouteKey;

use crate::domain::external::{Confirmation, External, ExternalName};
use crate::store::rows::{from_json, json, read};
use crate::store::schema::externals;
use crate::store::{StoreError, Tx};

#[derive(Queryable, Insertable)]
#[diesel(table_name = externals)]
struct ExternalRow {
    route: String,
    name: String,
    owner: String,
    description: String,
    stage: Option<String>,
    confirmed: Option<String>,
}

impl Tx<'_> {
    /// What promotions of a route wait for, by name.
    ///
    /// # Errors
    /// When the database cannot be used.
    pub fn externals(&mut self, route: &RouteKey) -> Result<Vec<External>, StoreError> {
        externals::table
            .filter(externals::route.eq(route.as_str()))
            .order(externals::name.asc())
            .load::<ExternalRow>(self.connection)?
            .into_iter()
            .map(External::try_from)
            .collect()
    }

    /// Writes one of them, in the place of what has its name.
    ///
    /// # Errors
    /// When the database cannot be used.
    pub fn put_external(
        &mut self,
        route: &RouteKey,
        external: &External,
    ) -> Result<(), StoreError> {
        self.remove_external(route, &external.name)?;
        diesel::insert_into(externals::table)
            .values(&ExternalRow::of(route, external)?)
            .execute(self.connection)?;
        Ok(())
    }

    /// Removes one of them.
    ///
    /// # Errors
    /// When the database cannot be used.
    pub fn remove_external(
        &mut self,
        route: &RouteKey,
        name: &ExternalName,
    ) -> Result<(), StoreError> {
        diesel::delete(
            externals::table
                .filter(externals::route.eq(route.as_str()))
                .filter(externals::name.eq(name.as_str())),
        )
        .execute(self.connection)?;
        Ok(())
    }
}

impl ExternalRow {
    fn of(route: &RouteKey, external: &External) -> Result<ExternalRow, StoreError> {
        Ok(ExternalRow {
            route: route.to_string(),
            name: external.name.to_string(),
            owner: external.owner.clone(),
            description: external.description.clone(),
            stage: external.stage.map(|stage| stage.name().to_owned()),
            confirmed: external.confirmed.as_ref().map(json).transpose()?,
        })
    }
}

impl TryFrom<ExternalRow> for External {
    type Error = StoreError;

    fn try_from(row: ExternalRow) -> Result<External, StoreError> {
        let stage = row.stage.as_deref();
        let confirmed = row.confirmed.as_deref();
        Ok(External {
            name: read("externals.name", &row.name)?,
            owner: row.owner,
            description: row.description,
            stage: stage
                .map(|stage| read("externals.stage", stage))
                .transpose()?,
            confirmed: confirmed
                .map(|confirmed| from_json::<Confirmation>("externals.confirmed", confirmed))
                .transpose()?,
        })
    }
}
