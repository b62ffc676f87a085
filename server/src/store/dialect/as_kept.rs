//! The record as the engine keeps it, byte for byte. Whoever writes past this server is bound by no
//! type: SQLite takes anything in any column, so columns are read as bytes and judged afterwards.

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Binary, Nullable};

use super::AnyConnection;
use crate::domain::chain::Kept;

#[derive(QueryableByName)]
struct EntryBytes {
    #[diesel(sql_type = Nullable<Binary>)]
    seq: Option<Vec<u8>>,
    #[diesel(sql_type = Nullable<Binary>)]
    at: Option<Vec<u8>>,
    #[diesel(sql_type = Nullable<Binary>)]
    subject: Option<Vec<u8>>,
    #[diesel(sql_type = Nullable<Binary>)]
    action: Option<Vec<u8>>,
    #[diesel(sql_type = Nullable<Binary>)]
    route: Option<Vec<u8>>,
    #[diesel(sql_type = Nullable<Binary>)]
    environment: Option<Vec<u8>>,
    #[diesel(sql_type = Nullable<Binary>)]
    entry: Option<Vec<u8>>,
    #[diesel(sql_type = Nullable<Binary>)]
    hash: Option<Vec<u8>>,
}

/// A checkpoint's columns.
#[derive(QueryableByName)]
pub(in crate::store) struct CheckpointBytes {
    #[diesel(sql_type = Nullable<Binary>)]
    pub(in crate::store) seq: Option<Vec<u8>>,
    #[diesel(sql_type = Nullable<Binary>)]
    pub(in crate::store) hash: Option<Vec<u8>>,
    #[diesel(sql_type = Nullable<Binary>)]
    pub(in crate::store) at: Option<Vec<u8>>,
    #[diesel(sql_type = Nullable<Binary>)]
    pub(in crate::store) signed: Option<Vec<u8>>,
}

#[derive(QueryableByName)]
struct HeadBytes {
    #[diesel(sql_type = Nullable<Binary>)]
    seq: Option<Vec<u8>>,
    #[diesel(sql_type = Nullable<Binary>)]
    hash: Option<Vec<u8>>,
}

/// The entries from a place on, by place.
pub(in crate::store) fn entries_from(
    connection: &mut AnyConnection,
    from: i64,
    limit: i64,
) -> QueryResult<Vec<Kept>> {
    let columns = [
        "seq",
        "at",
        "subject",
        "action",
        "route",
        "environment",
        "entry",
        "hash",
    ];
    let sql = format!(
        "SELECT {} FROM audit WHERE audit.seq >= $1 ORDER BY audit.seq LIMIT $2",
        as_bytes(connection, &columns)
    );
    let query = diesel::sql_query(sql)
        .bind::<BigInt, _>(from)
        .bind::<BigInt, _>(limit);
    let rows: Vec<EntryBytes> = query.load(connection)?;
    Ok(rows
        .into_iter()
        .map(|row| Kept {
            seq: row.seq,
            at: row.at,
            subject: row.subject,
            action: row.action,
            route: row.route,
            environment: row.environment,
            entry: row.entry,
            hash: row.hash,
        })
        .collect())
}

/// The head of the chain: place and hash.
pub(in crate::store) fn head(
    connection: &mut AnyConnection,
) -> QueryResult<Option<(Vec<u8>, Vec<u8>)>> {
    let sql = format!(
        "SELECT {} FROM audit_head WHERE audit_head.id = 1",
        as_bytes(connection, &["seq", "hash"])
    );
    let rows: Vec<HeadBytes> = diesel::sql_query(sql).load(connection)?;
    Ok(rows
        .into_iter()
        .next()
        .map(|row| (row.seq.unwrap_or_default(), row.hash.unwrap_or_default())))
}

/// Every checkpoint, by place.
pub(in crate::store) fn checkpoints(
    connection: &mut AnyConnection,
) -> QueryResult<Vec<CheckpointBytes>> {
    let sql = format!(
        "SELECT {} FROM audit_checkpoints ORDER BY audit_checkpoints.seq",
        as_bytes(connection, &["seq", "hash", "at", "signed"])
    );
    diesel::sql_query(sql).load(connection)
}

/// How the engine gives a moment as text.
pub(in crate::store) fn written(connection: &AnyConnection) -> fn(&DateTime<Utc>) -> String {
    match connection {
        AnyConnection::Sqlite(_) => |at| at.naive_utc().format("%F %T%.f").to_string(),
        #[cfg(feature = "postgres")]
        AnyConnection::Postgres(_) => |at| at.naive_utc().format("%F %T%.6f").to_string(),
    }
}

fn as_bytes(connection: &AnyConnection, columns: &[&str]) -> String {
    let columns: Vec<String> = columns
        .iter()
        .map(|column| match (connection, *column) {
            (AnyConnection::Sqlite(_), _) => format!("CAST({column} AS BLOB) AS {column}"),
            #[cfg(feature = "postgres")]
            (AnyConnection::Postgres(_), "at") => format!(
                "convert_to(to_char({column}, 'YYYY-MM-DD HH24:MI:SS.US'), 'UTF8') AS {column}"
            ),
            #[cfg(feature = "postgres")]
            (AnyConnection::Postgres(_), _) => {
                format!("convert_to(CAST({column} AS TEXT), 'UTF8') AS {column}")
            }
        })
        .collect();
    columns.join(", ")
}
