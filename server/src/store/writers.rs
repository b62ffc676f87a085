//! The processes that write data routes.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Nullable, Text};
use serde::{Deserialize, Serialize};
use switchover::RouteKey;

use crate::domain::environment::EnvironmentKey;
use crate::domain::flip::VANISHED_AFTER;
use crate::domain::writer::{Gone, Silent, Writer, Writing};
use crate::store::dialect::{self, Cell};
use crate::store::rows::{corrupt, count, counted, from_json, json, read};
use crate::store::schema::writers;
use crate::store::{StoreError, Tx};

/// How many of those that have vanished are named.
const NAMED: i64 = 5;

/// How many keys whose rows may differ are looked at one by one; with more, none moves.
const MOST_UNEQUAL: usize = 1_000;

const KEY: [&str; 3] = ["environment", "route", "instance"];
const COLUMNS: [&str; 14] = [
    "environment",
    "route",
    "instance",
    "name",
    "joined_at",
    "seen_at",
    "generation",
    "drained",
    "fenced",
    "unverified",
    "open_repairs",
    "gone",
    "gone_at",
    "returned_at",
];

#[derive(Queryable, QueryableByName)]
struct WriterRow {
    #[diesel(sql_type = Text)]
    environment: String,
    #[diesel(sql_type = Text)]
    route: String,
    #[diesel(sql_type = Text)]
    instance: String,
    #[diesel(sql_type = Text)]
    name: String,
    #[diesel(sql_type = BigInt)]
    joined_at: i64,
    #[diesel(sql_type = BigInt)]
    seen_at: i64,
    #[diesel(sql_type = BigInt)]
    generation: i64,
    #[diesel(sql_type = Nullable<BigInt>)]
    drained: Option<i64>,
    #[diesel(sql_type = BigInt)]
    fenced: i64,
    #[diesel(sql_type = Nullable<Text>)]
    unverified: Option<String>,
    #[diesel(sql_type = BigInt)]
    open_repairs: i64,
    #[diesel(sql_type = Nullable<Text>)]
    gone: Option<String>,
    #[diesel(sql_type = Nullable<BigInt>)]
    gone_at: Option<i64>,
    #[diesel(sql_type = Nullable<BigInt>)]
    returned_at: Option<i64>,
}

/// Who said that a process is gone, and why.
#[derive(Serialize, Deserialize)]
struct Said {
    by: String,
    reason: String,
}

/// One process on one route.
pub type WriterKey = (EnvironmentKey, RouteKey, String);

impl Tx<'_> {
    /// What is known of the processes that write a route, as far as flips ask for it.
    ///
    /// # Errors
    /// When the database cannot be used.
    pub fn writing(
        &mut self,
        (route, environment): (&RouteKey, &EnvironmentKey),
        now: DateTime<Utc>,
    ) -> Result<Writing, StoreError> {
        let known = writers::table
            .filter(writers::environment.eq(environment.as_str()))
            .filter(writers::route.eq(route.as_str()))
            .filter(writers::gone.is_null());
        let number: i64 = known.count().get_result(self.connection)?;
        let vanished = known.filter(writers::seen_at.le((now - VANISHED_AFTER).timestamp_micros()));
        let number_vanished: i64 = vanished.count().get_result(self.connection)?;
        let silent = if number_vanished == 0 {
            Vec::new()
        } else {
            vanished
                .select((writers::instance, writers::name, writers::seen_at))
                .order((writers::seen_at.asc(), writers::instance.asc()))
                .limit(NAMED)
                .load::<(String, String, i64)>(self.connection)?
        };
        let silent = silent
            .into_iter()
            .map(|(instance, name, since)| {
                Ok(Silent {
                    instance,
                    name,
                    since: moment("writers.seen_at", since)?,
                })
            })
            .collect::<Result<_, StoreError>>()?;
        let mut unequal = self.unresolved_keys((route, environment), MOST_UNEQUAL + 1)?;
        let more_unequal = unequal.len() > MOST_UNEQUAL;
        unequal.truncate(MOST_UNEQUAL);
        let writing = Writing::of(
            counted("writers", number)?,
            counted("writers", number_vanished)?,
            silent,
        );
        Ok(writing.with_unequal(unequal, more_unequal))
    }

    /// The processes that write a route, also those that were declared gone, by identity.
    ///
    /// # Errors
    /// When the database cannot be used.
    pub fn writers_of(
        &mut self,
        (route, environment): (&RouteKey, &EnvironmentKey),
        after: &str,
        most: usize,
    ) -> Result<Vec<Writer>, StoreError> {
        writers::table
            .filter(writers::environment.eq(environment.as_str()))
            .filter(writers::route.eq(route.as_str()))
            .filter(writers::instance.gt(after))
            .order(writers::instance.asc())
            .limit(i64::try_from(most).unwrap_or(i64::MAX))
            .load::<WriterRow>(self.connection)?
            .into_iter()
            .map(Writer::try_from)
            .collect()
    }

    /// One process that writes a route.
    ///
    /// # Errors
    /// When the database cannot be used.
    pub fn writer(
        &mut self,
        (route, environment): (&RouteKey, &EnvironmentKey),
        instance: &str,
    ) -> Result<Option<Writer>, StoreError> {
        let found = writers::table
            .filter(writers::environment.eq(environment.as_str()))
            .filter(writers::route.eq(route.as_str()))
            .filter(writers::instance.eq(instance))
            .first::<WriterRow>(self.connection)
            .optional()?;
        found.map(Writer::try_from).transpose()
    }

    /// The processes on these routes, as far as they are known.
    ///
    /// # Errors
    /// When the database cannot be used.
    pub fn writers_by_key(
        &mut self,
        keys: &BTreeSet<WriterKey>,
    ) -> Result<Vec<(WriterKey, Writer)>, StoreError> {
        let keys = keys.iter().map(|(environment, route, instance)| {
            vec![
                Cell::from(environment.as_str()),
                Cell::from(route.as_str()),
                Cell::from(instance.as_str()),
            ]
        });
        let select = format!("SELECT {} FROM writers", COLUMNS.join(", "));
        let rows: Vec<WriterRow> =
            dialect::load_by_key(self.connection, &select, &KEY, keys.collect())?;
        rows.into_iter()
            .map(|row| {
                let key = (
                    read("writers.environment", &row.environment)?,
                    read("writers.route", &row.route)?,
                    row.instance.clone(),
                );
                Ok((key, Writer::try_from(row)?))
            })
            .collect()
    }

    /// How many processes are kept of a route.
    ///
    /// # Errors
    /// When the database cannot be used.
    pub fn count_writers(
        &mut self,
        (route, environment): (&RouteKey, &EnvironmentKey),
    ) -> Result<u64, StoreError> {
        let kept: i64 = writers::table
            .filter(writers::environment.eq(environment.as_str()))
            .filter(writers::route.eq(route.as_str()))
            .count()
            .get_result(self.connection)?;
        counted("writers", kept)
    }

    /// Keeps what is known of these processes from now on.
    ///
    /// # Errors
    /// When the database cannot be used.
    pub fn put_writers(&mut self, writers: &[(&WriterKey, &Writer)]) -> Result<(), StoreError> {
        let rows = writers
            .iter()
            .map(|(key, writer)| cells(key, writer))
            .collect::<Result<Vec<_>, StoreError>>()?;
        if rows.is_empty() {
            return Ok(());
        }
        Ok(dialect::put(
            self.connection,
            "writers",
            &COLUMNS,
            KEY.len(),
            rows,
        )?)
    }

    /// Forgets a process that has said goodbye; the routes that it wrote.
    ///
    /// # Errors
    /// When the database cannot be used.
    pub fn remove_writer(
        &mut self,
        environment: &EnvironmentKey,
        instance: &str,
    ) -> Result<Vec<String>, StoreError> {
        let its = writers::table
            .filter(writers::environment.eq(environment.as_str()))
            .filter(writers::instance.eq(instance));
        let routes: Vec<String> = its.select(writers::route).load(self.connection)?;
        if !routes.is_empty() {
            diesel::delete(its).execute(self.connection)?;
        }
        Ok(routes)
    }

    /// Forgets a process on one route: another has taken over what it had.
    ///
    /// # Errors
    /// When the database cannot be used.
    pub fn remove_writer_of(
        &mut self,
        (environment, route, instance): &WriterKey,
    ) -> Result<(), StoreError> {
        let its = (environment.as_str(), route.as_str(), instance.as_str());
        diesel::delete(writers::table.find(its)).execute(self.connection)?;
        Ok(())
    }

    /// Forgets those that were declared gone before.
    ///
    /// # Errors
    /// When the database cannot be used.
    pub fn forget_gone_writers(&mut self, before: DateTime<Utc>) -> Result<usize, StoreError> {
        let old = writers::table.filter(writers::gone_at.lt(before.timestamp_micros()));
        Ok(diesel::delete(old).execute(self.connection)?)
    }
}

impl TryFrom<WriterRow> for Writer {
    type Error = StoreError;

    fn try_from(row: WriterRow) -> Result<Writer, StoreError> {
        let gone = match (row.gone, row.gone_at) {
            (Some(said), Some(at)) => {
                let Said { by, reason } = from_json("writers.gone", &said)?;
                let at = moment("writers.gone_at", at)?;
                Some(Gone { at, by, reason })
            }
            _ => None,
        };
        let unverified = row.unverified.as_deref();
        let drained = row.drained.map(|it| counted("writers.drained", it));
        let returned = row.returned_at.map(|at| moment("writers.returned_at", at));
        Ok(Writer {
            instance: row.instance,
            name: row.name,
            joined_at: moment("writers.joined_at", row.joined_at)?,
            seen_at: moment("writers.seen_at", row.seen_at)?,
            generation: counted("writers.generation", row.generation)?,
            drained: drained.transpose()?,
            fenced: row.fenced != 0,
            unverified: unverified
                .map(|why| from_json("writers.unverified", why))
                .transpose()?,
            open_repairs: counted("writers.open_repairs", row.open_repairs)?,
            gone,
            returned_at: returned.transpose()?,
        })
    }
}

fn cells((environment, route, _): &WriterKey, writer: &Writer) -> Result<Vec<Cell>, StoreError> {
    let gone = writer.gone.as_ref();
    let said = gone.map(|gone| Said {
        by: gone.by.clone(),
        reason: gone.reason.clone(),
    });
    let micros = |at: DateTime<Utc>| at.timestamp_micros();
    Ok(vec![
        environment.as_str().into(),
        route.as_str().into(),
        writer.instance.as_str().into(),
        writer.name.as_str().into(),
        micros(writer.joined_at).into(),
        micros(writer.seen_at).into(),
        count(writer.generation).into(),
        Cell::Number(writer.drained.map(count)),
        i64::from(writer.fenced).into(),
        Cell::Text(writer.unverified.as_ref().map(json).transpose()?),
        count(writer.open_repairs).into(),
        Cell::Text(said.as_ref().map(json).transpose()?),
        Cell::Number(gone.map(|gone| micros(gone.at))),
        Cell::Number(writer.returned_at.map(micros)),
    ])
}

fn moment(column: &str, micros: i64) -> Result<DateTime<Utc>, StoreError> {
    DateTime::from_timestamp_micros(micros).ok_or_else(|| corrupt(column, micros))
}
