//! Statements about many rows, which the query builder makes for one engine alone.

use diesel::prelude::*;
use diesel::query_builder::BoxedSqlQuery;
use diesel::query_builder::SqlQuery;
use diesel::sql_types::{BigInt, Nullable, Text};

use super::AnyConnection;

/// Bound values of one statement: below what either engine takes.
const MOST_BOUND: usize = 16_000;

type Any = <AnyConnection as diesel::Connection>::Backend;

/// One value of a row.
#[derive(Clone, Debug)]
pub(crate) enum Cell {
    /// Text, or nothing.
    Text(Option<String>),
    /// A number, or nothing.
    Number(Option<i64>),
}

impl From<&str> for Cell {
    fn from(text: &str) -> Cell {
        Cell::Text(Some(text.to_owned()))
    }
}

impl From<String> for Cell {
    fn from(text: String) -> Cell {
        Cell::Text(Some(text))
    }
}

impl From<i64> for Cell {
    fn from(number: i64) -> Cell {
        Cell::Number(Some(number))
    }
}

/// Writes rows. The first `key` columns are the table's primary key: a row that is there is
/// overwritten. No two rows may have the same key.
pub(crate) fn put(
    connection: &mut AnyConnection,
    table: &str,
    columns: &[&str],
    key: usize,
    rows: Vec<Vec<Cell>>,
) -> QueryResult<()> {
    let (keys, others) = columns.split_at_checked(key).unwrap_or((columns, &[]));
    let set: Vec<String> = others
        .iter()
        .map(|column| format!("{column} = excluded.{column}"))
        .collect();
    let end = if set.is_empty() {
        "DO NOTHING".to_owned()
    } else {
        format!("DO UPDATE SET {}", set.join(", "))
    };
    let end = format!("ON CONFLICT ({}) {end}", keys.join(", "));
    let start = format!("INSERT INTO {table} ({}) VALUES", columns.join(", "));
    for part in in_parts(rows) {
        bound(&start, part, &end).execute(connection)?;
    }
    Ok(())
}

/// Reads the rows with these keys: `select` names the columns and the table, `columns` are those of
/// the key.
pub(crate) fn load_by_key<T>(
    connection: &mut AnyConnection,
    select: &str,
    columns: &[&str],
    keys: Vec<Vec<Cell>>,
) -> QueryResult<Vec<T>>
where
    T: QueryableByName<Any> + 'static,
{
    let start = format!("{select} WHERE ({}) IN (VALUES", columns.join(", "));
    let mut found = Vec::new();
    for part in in_parts(keys) {
        found.extend(bound(&start, part, ")").load::<T>(connection)?);
    }
    Ok(found)
}

/// Not too many rows for one statement each.
fn in_parts(mut rows: Vec<Vec<Cell>>) -> Vec<Vec<Vec<Cell>>> {
    let width = rows.first().map_or(1, Vec::len).max(1);
    let mut parts = Vec::new();
    while !rows.is_empty() {
        let rest = rows.split_off(rows.len().min(MOST_BOUND / width));
        parts.push(std::mem::replace(&mut rows, rest));
    }
    parts
}

fn bound(start: &str, rows: Vec<Vec<Cell>>, end: &str) -> BoxedSqlQuery<'static, Any, SqlQuery> {
    let mut sql = String::from(start);
    let mut next = 1;
    for (row, cells) in rows.iter().enumerate() {
        sql.push_str(if row == 0 { " (" } else { ", (" });
        for column in 0..cells.len() {
            if column > 0 {
                sql.push_str(", ");
            }
            sql.push_str(&format!("${next}"));
            next += 1;
        }
        sql.push(')');
    }
    sql.push(' ');
    sql.push_str(end);
    let query = diesel::sql_query(sql).into_boxed();
    rows.into_iter()
        .flatten()
        .fold(query, |query, cell| match cell {
            Cell::Text(text) => query.bind::<Nullable<Text>, _>(text),
            Cell::Number(number) => query.bind::<Nullable<BigInt>, _>(number),
        })
}
