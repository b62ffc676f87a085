//! The instances as they last described themselves.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Nullable, Text};
use switchover::{Registered, Source, Version};

use crate::domain::environment::EnvironmentKey;
use crate::domain::telemetry::{Process, Reporter};
use crate::store::StoreError;
use crate::store::dialect::{self, Cell};
use crate::telemetry::Tx;
use crate::telemetry::text::{self, count, moment};

#[derive(QueryableByName)]
struct ProcessRow {
    #[diesel(sql_type = Text)]
    id: String,
    #[diesel(sql_type = Text)]
    name: String,
    #[diesel(sql_type = Text)]
    application: String,
    #[diesel(sql_type = Text)]
    version: String,
    #[diesel(sql_type = Text)]
    sdk: String,
    #[diesel(sql_type = Nullable<Text>)]
    snapshot: Option<String>,
    #[diesel(sql_type = Nullable<Text>)]
    source: Option<String>,
    #[diesel(sql_type = Nullable<Text>)]
    routes: Option<String>,
    #[diesel(sql_type = Nullable<BigInt>)]
    cpu_ms: Option<i64>,
    #[diesel(sql_type = Nullable<BigInt>)]
    memory_bytes: Option<i64>,
    #[diesel(sql_type = BigInt)]
    first_seen: i64,
    #[diesel(sql_type = BigInt)]
    last_seen: i64,
    #[diesel(sql_type = Nullable<BigInt>)]
    ended_at: Option<i64>,
}

#[derive(QueryableByName)]
struct ListRow {
    #[diesel(sql_type = Text)]
    digest: String,
    #[diesel(sql_type = Text)]
    routes: String,
}

/// Which instances.
#[derive(Clone, Copy, Debug)]
pub struct Which {
    /// Heard of since.
    since: Option<DateTime<Utc>>,
    /// Those too that said goodbye.
    ended: bool,
}

impl Which {
    /// All that are kept.
    pub const ALL: Which = Which {
        since: None,
        ended: true,
    };

    /// Those that run, and were heard of since.
    #[must_use]
    pub fn running_since(since: DateTime<Utc>) -> Which {
        Which {
            since: Some(since),
            ended: false,
        }
    }
}

#[derive(QueryableByName)]
struct RunningRow {
    #[diesel(sql_type = Nullable<Text>)]
    snapshot: Option<String>,
    #[diesel(sql_type = BigInt)]
    instances: i64,
}

type Lists = BTreeMap<String, Arc<[Registered]>>;

impl ProcessRow {
    fn read(self, lists: &Lists) -> Result<Process, StoreError> {
        let routes = match &self.routes {
            None => None,
            Some(digest) => {
                let list = lists.get(digest);
                Some(list.ok_or_else(|| text::corrupt("instances.routes", digest))?)
            }
        };
        Ok(Process {
            reporter: Reporter {
                id: self.id,
                name: self.name,
                application: self.application,
                version: self.version,
            },
            sdk: self.sdk,
            snapshot: self
                .snapshot
                .map(|snapshot| text::parse("instances.snapshot", &snapshot))
                .transpose()?,
            source: self.source.map(|name| source(&name)).transpose()?,
            routes: routes.cloned(),
            cpu_ms: self
                .cpu_ms
                .map(|cpu| count("instances.cpu_ms", cpu))
                .transpose()?,
            memory_bytes: self
                .memory_bytes
                .map(|memory| count("instances.memory_bytes", memory))
                .transpose()?,
            first_seen: moment("instances.first_seen", self.first_seen)?,
            last_seen: moment("instances.last_seen", self.last_seen)?,
            ended_at: self
                .ended_at
                .map(|at| moment("instances.ended_at", at))
                .transpose()?,
        })
    }
}

fn source(name: &str) -> Result<Source, StoreError> {
    [
        Source::Live,
        Source::Cache,
        Source::Bundled,
        Source::Compiled,
    ]
    .into_iter()
    .find(|source| source.name() == name)
    .ok_or_else(|| text::corrupt("instances.source", name))
}

impl Tx<'_> {
    /// Instances of an environment, by identity, after one and at most so many.
    ///
    /// # Errors
    /// When the database cannot be used, or a row says what cannot be.
    pub fn processes(
        &mut self,
        environment: &EnvironmentKey,
        which: Which,
        after: &str,
        most: usize,
    ) -> Result<Vec<Process>, StoreError> {
        let rows: Vec<ProcessRow> = diesel::sql_query(
            "SELECT id, name, application, version, sdk, snapshot, source, routes, cpu_ms, \
             memory_bytes, first_seen, last_seen, ended_at FROM instances \
             WHERE environment = $1 AND id > $2 AND last_seen >= $3 \
             AND (ended_at IS NULL OR $4 = 1) ORDER BY id LIMIT $5",
        )
        .bind::<Text, _>(environment.as_str().to_owned())
        .bind::<Text, _>(after.to_owned())
        .bind::<BigInt, _>(which.since.map_or(0, |since| since.timestamp_micros()))
        .bind::<BigInt, _>(i64::from(which.ended))
        .bind::<BigInt, _>(i64::try_from(most).unwrap_or(i64::MAX))
        .load(self.connection)?;
        let digests: BTreeSet<&String> =
            rows.iter().filter_map(|row| row.routes.as_ref()).collect();
        let digests = digests
            .into_iter()
            .map(|digest| vec![Cell::from(digest.as_str())])
            .collect();
        let lists = self.route_lists(digests)?;
        rows.into_iter().map(|row| row.read(&lists)).collect()
    }

    /// How many instances of an environment run that were heard of since, by the version that they
    /// decide by; `None` for those that have not said.
    ///
    /// # Errors
    /// When the database cannot be used, or a row says what cannot be.
    pub fn running(
        &mut self,
        environment: &EnvironmentKey,
        since: DateTime<Utc>,
    ) -> Result<Vec<(Option<Version>, u64)>, StoreError> {
        let rows: Vec<RunningRow> = diesel::sql_query(
            "SELECT snapshot, COUNT(*) AS instances FROM instances \
             WHERE environment = $1 AND last_seen >= $2 AND ended_at IS NULL GROUP BY snapshot",
        )
        .bind::<Text, _>(environment.as_str().to_owned())
        .bind::<BigInt, _>(since.timestamp_micros())
        .load(self.connection)?;
        let read = rows.into_iter().map(|row| {
            let snapshot = row.snapshot;
            let version = snapshot.map(|snapshot| text::parse("instances.snapshot", &snapshot));
            Ok((version.transpose()?, count("instances", row.instances)?))
        });
        read.collect()
    }

    /// Lists of routes, by their digests.
    pub(super) fn route_lists(&mut self, digests: Vec<Vec<Cell>>) -> Result<Lists, StoreError> {
        let rows: Vec<ListRow> = dialect::load_by_key(
            self.connection,
            "SELECT digest, routes FROM route_lists",
            &["digest"],
            digests,
        )?;
        let mut lists = Lists::new();
        for row in rows {
            let routes: Vec<Registered> = text::from_json("route_lists.routes", &row.routes)?;
            lists.insert(row.digest, routes.into());
        }
        Ok(lists)
    }
}
