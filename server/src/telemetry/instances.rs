//! The processes that report.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Duration, Utc};
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Nullable, Text};
use sha2::{Digest as _, Sha256};
use switchover::{Batch, Registered};

use crate::domain::approval::hex;
use crate::domain::telemetry::Used;
use crate::store::StoreError;
use crate::store::dialect::{self, Cell};
use crate::telemetry::Tx;
use crate::telemetry::sequences::Counted;
use crate::telemetry::take::Arrived;
use crate::telemetry::text::{self, number};
use crate::telemetry::usage::Usage;
use crate::telemetry::windows::start;

/// The most instances of an environment that are kept.
const MOST: i64 = 20_000;
/// For so long an instance is kept in any case, as it may send again what was counted: twice as long
/// as it keeps a batch; in hours.
const NEEDED_HOURS: i64 = 2;
/// More processors than this, no process has.
const MOST_PROCESSORS: u64 = 1_024;

const KEY: [&str; 2] = ["environment", "id"];
const COLUMNS: [&str; 18] = [
    "environment",
    "id",
    "name",
    "application",
    "version",
    "sdk",
    "snapshot",
    "source",
    "routes",
    "routes_by",
    "cpu_ms",
    "memory_bytes",
    "first_seen",
    "last_seen",
    "ended_at",
    "described_by",
    "minute",
    "counted",
];

#[derive(QueryableByName)]
struct InstanceRow {
    #[diesel(sql_type = Text)]
    environment: String,
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
    #[diesel(sql_type = BigInt)]
    routes_by: i64,
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
    #[diesel(sql_type = BigInt)]
    described_by: i64,
    #[diesel(sql_type = BigInt)]
    minute: i64,
    #[diesel(sql_type = Text)]
    counted: String,
}

/// An instance as it is on record, to be changed.
pub(super) struct Known {
    row: InstanceRow,
    pub(super) counted: Counted,
    /// What it has in its code, where that was reported anew.
    routes: Option<(String, String)>,
}

/// The instances that a group of batches is from.
pub(super) struct Instances {
    known: BTreeMap<(String, String), Known>,
    /// How many are kept of an environment from which new ones have come.
    kept: BTreeMap<String, i64>,
}

impl Instances {
    pub(super) fn load(tx: &mut Tx<'_>, arrived: &[Arrived]) -> Result<Instances, StoreError> {
        let keys: BTreeSet<(&str, &str)> = arrived
            .iter()
            .map(|one| (one.environment.as_str(), one.batch.instance.id.as_str()))
            .collect();
        let keys = keys
            .into_iter()
            .map(|(environment, id)| vec![Cell::from(environment), Cell::from(id)])
            .collect();
        let select = format!("SELECT {} FROM instances", COLUMNS.join(", "));
        let rows: Vec<InstanceRow> = dialect::load_by_key(tx.connection, &select, &KEY, keys)?;
        let mut known = BTreeMap::new();
        for row in rows {
            let counted = text::from_json("instances.counted", &row.counted)?;
            let key = (row.environment.clone(), row.id.clone());
            known.insert(
                key,
                Known {
                    row,
                    counted,
                    routes: None,
                },
            );
        }
        Ok(Instances {
            known,
            kept: BTreeMap::new(),
        })
    }

    /// The sender of a batch; `None` where no more can be kept.
    pub(super) fn known(
        &mut self,
        tx: &mut Tx<'_>,
        arrived: &Arrived,
        now: DateTime<Utc>,
    ) -> Result<Option<&mut Known>, StoreError> {
        let environment = arrived.environment.as_str();
        let key = (environment.to_owned(), arrived.batch.instance.id.clone());
        if !self.known.contains_key(&key) {
            let kept = match self.kept.get(environment) {
                Some(kept) => *kept,
                None => tx.room_for_instances(environment, now)?,
            };
            let has_room = kept < MOST;
            self.kept
                .insert(environment.to_owned(), kept + i64::from(has_room));
            if !has_room {
                return Ok(None);
            }
        }
        Ok(Some(
            self.known
                .entry(key)
                .or_insert_with(|| Known::new(arrived, now)),
        ))
    }

    pub(super) fn save(self, tx: &mut Tx<'_>) -> Result<(), StoreError> {
        let mut lists = BTreeMap::new();
        let mut rows = Vec::with_capacity(self.known.len());
        for known in self.known.into_values() {
            lists.extend(known.routes);
            let row = known.row;
            rows.push(vec![
                row.environment.into(),
                row.id.into(),
                row.name.into(),
                row.application.into(),
                row.version.into(),
                row.sdk.into(),
                Cell::Text(row.snapshot),
                Cell::Text(row.source),
                Cell::Text(row.routes),
                row.routes_by.into(),
                Cell::Number(row.cpu_ms),
                Cell::Number(row.memory_bytes),
                row.first_seen.into(),
                row.last_seen.into(),
                Cell::Number(row.ended_at),
                row.described_by.into(),
                row.minute.into(),
                text::to_json(&known.counted)?.into(),
            ]);
        }
        let lists = lists
            .into_iter()
            .map(|(digest, routes)| vec![Cell::from(digest), Cell::from(routes)]);
        dialect::put(
            tx.connection,
            "route_lists",
            &["digest", "routes"],
            1,
            lists.collect(),
        )?;
        dialect::put(tx.connection, "instances", &COLUMNS, KEY.len(), rows)?;
        Ok(())
    }
}

impl Known {
    fn new(arrived: &Arrived, now: DateTime<Utc>) -> Known {
        let instance = &arrived.batch.instance;
        let now = now.timestamp_micros();
        Known {
            row: InstanceRow {
                environment: arrived.environment.as_str().to_owned(),
                id: instance.id.clone(),
                name: instance.name.clone(),
                application: instance.application.clone(),
                version: instance.version.clone(),
                sdk: instance.sdk.clone(),
                snapshot: None,
                source: None,
                routes: None,
                routes_by: 0,
                cpu_ms: None,
                memory_bytes: None,
                first_seen: now,
                last_seen: now,
                ended_at: None,
                described_by: 0,
                minute: i64::MIN,
                counted: String::new(),
            },
            counted: Counted::default(),
            routes: None,
        }
    }

    /// Takes over what a batch says of its sender, unless a later one has said it. `then` is when
    /// the batch was counted.
    pub(super) fn describe(
        &mut self,
        tx: &mut Tx<'_>,
        batch: &Batch,
        (now, then): (DateTime<Utc>, DateTime<Utc>),
        usage: &mut Usage,
    ) -> Result<(), StoreError> {
        let now = now.timestamp_micros();
        let since = u64::try_from(now.saturating_sub(self.row.last_seen)).unwrap_or(0) / 1_000;
        self.row.last_seen = self.row.last_seen.max(now);
        let sequence = number(batch.sequence);
        if let Some(routes) = &batch.routes
            && sequence > self.row.routes_by
        {
            let mut list = match &self.row.routes {
                Some(digest) if batch.continues => self.known_routes(tx, digest)?,
                _ => Vec::new(),
            };
            list.retain(|known| routes.iter().all(|new| new.route != known.route));
            list.extend(routes.iter().cloned());
            let list = text::to_json(&list)?;
            let digest = hex(&Sha256::digest(&list));
            self.row.routes = Some(digest.clone());
            self.row.routes_by = sequence;
            self.routes = Some((digest, list));
        }
        if sequence <= self.row.described_by {
            return Ok(());
        }
        let instance = &batch.instance;
        let minute = start(then, 60);
        let mut used = Used {
            instances: u64::from(minute > self.row.minute),
            ..Used::default()
        };
        if let (Some(before), Some(cpu)) = (self.row.cpu_ms, instance.cpu_ms) {
            let more = cpu.saturating_sub(before.try_into().unwrap_or(0));
            used.cpu_ms = more.min(since.saturating_mul(MOST_PROCESSORS));
        }
        if let Some(memory) = instance.memory_bytes {
            (used.memory_max, used.memory_sum, used.memory_samples) = (memory, memory, 1);
        }
        usage.add(&self.row.environment, minute, used);
        let row = &mut self.row;
        row.name.clone_from(&instance.name);
        row.application.clone_from(&instance.application);
        row.version.clone_from(&instance.version);
        row.sdk.clone_from(&instance.sdk);
        row.snapshot = instance.snapshot.as_ref().map(ToString::to_string);
        row.source = instance.source.map(|source| source.name().to_owned());
        row.cpu_ms = instance.cpu_ms.map(number);
        row.memory_bytes = instance.memory_bytes.map(number);
        row.ended_at = batch.ends.then_some(now);
        row.minute = row.minute.max(minute);
        row.described_by = sequence;
        Ok(())
    }
}

impl Known {
    /// The list that a batch goes on with.
    fn known_routes(&self, tx: &mut Tx<'_>, digest: &str) -> Result<Vec<Registered>, StoreError> {
        match &self.routes {
            Some((_, list)) => text::from_json("batch.routes", list),
            None => {
                let lists = tx.route_lists(vec![vec![Cell::from(digest)]])?;
                Ok(lists.get(digest).map_or(Vec::new(), |list| list.to_vec()))
            }
        }
    }
}

#[derive(QueryableByName)]
struct Number {
    #[diesel(sql_type = BigInt)]
    value: i64,
}

impl Tx<'_> {
    /// How many instances are kept of an environment, after room was made where there was none.
    fn room_for_instances(
        &mut self,
        environment: &str,
        now: DateTime<Utc>,
    ) -> Result<i64, StoreError> {
        let kept = self.count_instances(environment)?;
        if kept < MOST {
            return Ok(kept);
        }
        let before = now - Duration::hours(NEEDED_HOURS);
        diesel::sql_query("DELETE FROM instances WHERE environment = $1 AND last_seen < $2")
            .bind::<Text, _>(environment.to_owned())
            .bind::<BigInt, _>(before.timestamp_micros())
            .execute(self.connection)?;
        self.count_instances(environment)
    }

    fn count_instances(&mut self, environment: &str) -> Result<i64, StoreError> {
        let counted: Number =
            diesel::sql_query("SELECT COUNT(*) AS value FROM instances WHERE environment = $1")
                .bind::<Text, _>(environment.to_owned())
                .get_result(self.connection)?;
        Ok(counted.value)
    }

    /// Forgets the instances that nobody has heard of for 30 days, or that ended a day ago.
    pub(super) fn forget_instances(&mut self, now: DateTime<Utc>) -> Result<(), StoreError> {
        diesel::sql_query("DELETE FROM instances WHERE last_seen < $1 OR ended_at < $2")
            .bind::<BigInt, _>((now - Duration::days(30)).timestamp_micros())
            .bind::<BigInt, _>((now - Duration::days(1)).timestamp_micros())
            .execute(self.connection)?;
        diesel::sql_query(
            "DELETE FROM route_lists WHERE NOT EXISTS \
             (SELECT 1 FROM instances WHERE instances.routes = route_lists.digest)",
        )
        .execute(self.connection)?;
        Ok(())
    }
}
