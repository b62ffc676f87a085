//! The two stores: the old system's table and the new one's, which hold the same pieces.
//!
//! They differ in their columns alone, so they are one type with two sets of statements. Every write goes
//! through the fence in its own transaction.

use std::sync::Arc;

use diesel::connection::SimpleConnection as _;
use diesel::prelude::*;
use diesel::sql_query;
use diesel::sql_types::{BigInt, Nullable, Text};
use switchover::{Checksum, Dialect, Fence, FenceConnection, FenceError, Saved, Store, StoreError};

use crate::database::{AnyConnection, Database};
use crate::faults::Faults;
use crate::gear::Gear;

/// The statements of one store. `$1` is the id, as each engine takes it.
#[derive(Debug)]
pub(crate) struct Layout {
    create: &'static str,
    load: &'static str,
    all: &'static str,
    keys: &'static str,
    put: &'static str,
    delete: &'static str,
}

/// The old system's table.
pub(crate) static OLD: Layout = Layout {
    create: "CREATE TABLE old_equipment (
                 id TEXT{bytes} PRIMARY KEY,
                 user_id BIGINT NOT NULL,
                 name TEXT NOT NULL,
                 type TEXT,
                 brand TEXT,
                 created_at BIGINT NOT NULL
             )",
    load: "SELECT id, user_id, name, type AS kind, brand, created_at FROM old_equipment WHERE id = $1",
    all: "SELECT id, user_id, name, type AS kind, brand, created_at FROM old_equipment
          WHERE id > $1 AND ($2 = '' OR id <= $2) ORDER BY id",
    keys: "SELECT id FROM old_equipment WHERE id > $1 ORDER BY id LIMIT $2",
    put: "INSERT INTO old_equipment (id, user_id, name, type, brand, created_at)
          VALUES ($1, $2, $3, $4, $5, $6)
          ON CONFLICT (id) DO UPDATE SET user_id = excluded.user_id, name = excluded.name,
              type = excluded.type, brand = excluded.brand, created_at = excluded.created_at",
    delete: "DELETE FROM old_equipment WHERE id = $1",
};

/// The new system's table. What the old one lacks has its default, and is left as it is when a piece is
/// written again.
pub(crate) static NEW: Layout = Layout {
    create: "CREATE TABLE gear_items (
                 id TEXT{bytes} PRIMARY KEY,
                 user_id BIGINT NOT NULL,
                 name TEXT NOT NULL,
                 category TEXT,
                 brand TEXT,
                 status TEXT NOT NULL DEFAULT 'active',
                 role TEXT NOT NULL DEFAULT 'personal',
                 created_at BIGINT NOT NULL,
                 updated_at BIGINT NOT NULL
             )",
    load: "SELECT id, user_id, name, category AS kind, brand, created_at FROM gear_items WHERE id = $1",
    all: "SELECT id, user_id, name, category AS kind, brand, created_at FROM gear_items
          WHERE id > $1 AND ($2 = '' OR id <= $2) ORDER BY id",
    keys: "SELECT id FROM gear_items WHERE id > $1 ORDER BY id LIMIT $2",
    put: "INSERT INTO gear_items (id, user_id, name, category, brand, created_at, updated_at)
          VALUES ($1, $2, $3, $4, $5, $6, $6)
          ON CONFLICT (id) DO UPDATE SET user_id = excluded.user_id, name = excluded.name,
              category = excluded.category, brand = excluded.brand,
              created_at = excluded.created_at",
    delete: "DELETE FROM gear_items WHERE id = $1",
};

/// One of the two stores. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Equipment {
    database: Arc<Database>,
    layout: &'static Layout,
    fence: Fence,
    faults: Arc<Faults>,
}

/// A row, whichever table it is from.
#[derive(QueryableByName)]
struct Row {
    #[diesel(sql_type = Text)]
    id: String,
    #[diesel(sql_type = BigInt)]
    user_id: i64,
    #[diesel(sql_type = Text)]
    name: String,
    #[diesel(sql_type = Nullable<Text>)]
    kind: Option<String>,
    #[diesel(sql_type = Nullable<Text>)]
    brand: Option<String>,
    #[diesel(sql_type = BigInt)]
    created_at: i64,
}

impl Row {
    fn into_gear(self) -> (String, Gear) {
        let gear = Gear {
            user_id: self.user_id,
            name: self.name,
            kind: self.kind,
            brand: self.brand,
            created_at: self.created_at,
        };
        (self.id, gear)
    }
}

#[derive(QueryableByName)]
struct Id {
    #[diesel(sql_type = Text)]
    id: String,
}

#[derive(QueryableByName)]
struct Generation {
    #[diesel(sql_type = BigInt)]
    generation: i64,
}

impl Equipment {
    /// An empty store in an empty database.
    ///
    /// # Errors
    /// When its tables cannot be made.
    pub(crate) fn create(
        route: &str,
        database: Database,
        layout: &'static Layout,
        faults: Arc<Faults>,
    ) -> Result<Equipment, StoreError> {
        // Keys are asked for in the order of their bytes; PostgreSQL would sort by a language's rules.
        let bytes = match database.has_row_locks() {
            true => " COLLATE \"C\"",
            false => "",
        };
        let table = layout.create.replace("{bytes}", bytes);
        let dialect = match database.has_row_locks() {
            true => Dialect::Postgres,
            false => Dialect::Sqlite,
        };
        database.in_transaction(|connection| {
            connection.batch_execute(&table)?;
            Ok(connection.batch_execute(Fence::CREATE)?)
        })?;
        Ok(Equipment {
            database: Arc::new(database),
            layout,
            fence: Fence::new(route, dialect),
            faults,
        })
    }

    /// What an application writes: the piece under this id, or `None` for none.
    ///
    /// # Errors
    /// When the store cannot write, or has seen a higher generation.
    pub(crate) fn put(
        &self,
        id: &str,
        gear: Option<&Gear>,
        generation: u64,
    ) -> Result<(), StoreError> {
        self.faults.slow_down();
        self.faults.strike()?;
        self.database.in_transaction(|connection| {
            self.fence.check(&mut Open(connection), generation)?;
            self.write(connection, id, gear)
        })
    }

    /// What an application reads.
    ///
    /// # Errors
    /// When the store cannot read.
    pub(crate) fn get(&self, id: &str) -> Result<Option<Gear>, StoreError> {
        self.faults.slow_down();
        self.load(id)
    }

    /// Every piece with its id, in order.
    ///
    /// # Errors
    /// When the store cannot read.
    pub(crate) fn all(&self) -> Result<Vec<(String, Gear)>, StoreError> {
        self.rows(None, None)
    }

    /// Many pieces at once, as they were before anybody migrated anything.
    ///
    /// # Errors
    /// When the store cannot write.
    pub(crate) fn fill(
        &self,
        pieces: impl Iterator<Item = (String, Gear)>,
    ) -> Result<(), StoreError> {
        self.database.in_transaction(|connection| {
            for (id, gear) in pieces {
                self.write(connection, &id, Some(&gear))?;
            }
            Ok(())
        })
    }

    fn rows(
        &self,
        after: Option<&str>,
        up_to: Option<&str>,
    ) -> Result<Vec<(String, Gear)>, StoreError> {
        self.database.with(|connection| {
            let rows: Vec<Row> = sql_query(self.layout.all)
                .bind::<Text, _>(after.unwrap_or_default())
                .bind::<Text, _>(up_to.unwrap_or_default())
                .load(connection)?;
            Ok(rows.into_iter().map(Row::into_gear).collect())
        })
    }

    fn read(
        &self,
        connection: &mut AnyConnection,
        id: &str,
        for_update: bool,
    ) -> Result<Option<Gear>, StoreError> {
        // SQLite locks the whole database when a transaction begins.
        let lock = match for_update && self.database.has_row_locks() {
            true => " FOR UPDATE",
            false => "",
        };
        let row: Option<Row> = sql_query(format!("{}{lock}", self.layout.load))
            .bind::<Text, _>(id)
            .get_result(connection)
            .optional()?;
        Ok(row.map(|row| row.into_gear().1))
    }

    fn write(
        &self,
        connection: &mut AnyConnection,
        id: &str,
        gear: Option<&Gear>,
    ) -> Result<(), StoreError> {
        match gear {
            None => sql_query(self.layout.delete)
                .bind::<Text, _>(id)
                .execute(connection)?,
            Some(gear) => sql_query(self.layout.put)
                .bind::<Text, _>(id)
                .bind::<BigInt, _>(gear.user_id)
                .bind::<Text, _>(&gear.name)
                .bind::<Nullable<Text>, _>(&gear.kind)
                .bind::<Nullable<Text>, _>(&gear.brand)
                .bind::<BigInt, _>(gear.created_at)
                .execute(connection)?,
        };
        Ok(())
    }
}

/// An open transaction, as the fence asks it.
struct Open<'c>(&'c mut AnyConnection);

impl FenceConnection for Open<'_> {
    type Error = diesel::result::Error;

    fn generation(&mut self, sql: &str, route: &str) -> Result<Option<i64>, Self::Error> {
        let seen = sql_query(sql).bind::<Text, _>(route);
        let seen: Option<Generation> = seen.get_result(self.0).optional()?;
        Ok(seen.map(|seen| seen.generation))
    }

    fn raise(&mut self, sql: &str, route: &str, generation: i64) -> Result<(), Self::Error> {
        let raise = sql_query(sql).bind::<Text, _>(route);
        raise.bind::<BigInt, _>(generation).execute(self.0)?;
        Ok(())
    }
}

impl Store for Equipment {
    type Row = Gear;

    fn load(&self, key: &str) -> Result<Option<Gear>, StoreError> {
        self.faults.strike()?;
        self.database
            .with(|connection| self.read(connection, key, false))
    }

    fn save(
        &self,
        key: &str,
        expected: Option<&Gear>,
        row: Option<&Gear>,
        generation: u64,
    ) -> Result<Saved, StoreError> {
        self.faults.strike()?;
        self.database.in_transaction(|connection| {
            match self.fence.check(&mut Open(connection), generation) {
                Ok(()) => {}
                Err(FenceError::Refused { .. }) => return Ok(Saved::Fenced),
                Err(FenceError::Database(error)) => return Err(error.into()),
            }
            if self.read(connection, key, true)?.as_ref() != expected {
                return Ok(Saved::Changed);
            }
            self.write(connection, key, row)?;
            Ok(Saved::Stored)
        })
    }

    fn raise(&self, generation: u64) -> Result<(), StoreError> {
        self.database.in_transaction(|connection| {
            let raised = self.fence.raise(&mut Open(connection), generation);
            raised.map_err(|error| match error {
                FenceError::Refused { .. } => "a raise is refused".into(),
                FenceError::Database(error) => error.into(),
            })
        })
    }

    fn keys_after(&self, key: Option<&str>, limit: usize) -> Result<Vec<String>, StoreError> {
        self.faults.strike()?;
        let limit = i64::try_from(limit)?;
        self.database.with(|connection| {
            let ids: Vec<Id> = sql_query(self.layout.keys)
                .bind::<Text, _>(key.unwrap_or_default())
                .bind::<BigInt, _>(limit)
                .load(connection)?;
            Ok(ids.into_iter().map(|row| row.id).collect())
        })
    }

    fn checksum(
        &self,
        after: Option<&str>,
        up_to: Option<&str>,
    ) -> Result<Option<Checksum>, StoreError> {
        let mut checksum = Checksum::default();
        for (id, gear) in self.rows(after, up_to)? {
            checksum.rows = checksum.rows.saturating_add(1);
            checksum.sum = checksum.sum.wrapping_add(gear.checksum(&id));
        }
        Ok(Some(checksum))
    }

    fn is_fenced(&self) -> bool {
        true
    }
}
