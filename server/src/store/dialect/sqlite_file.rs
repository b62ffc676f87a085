//! A SQLite database as a file: whether it is ours and whole, and whether somebody uses it.

use std::path::Path;

use diesel::connection::SimpleConnection as _;
use diesel::prelude::*;
use diesel::sql_types::Text;

use crate::store::dialect::AnyConnection;
use crate::store::{StoreError, Tx};

/// A database that nobody else uses until this is dropped.
pub struct Alone {
    _connection: SqliteConnection,
}

#[derive(QueryableByName)]
struct Line {
    #[diesel(sql_type = Text, column_name = "quick_check")]
    text: String,
}

/// Makes the file of a database that is not there, its owner's alone: SQLite would let everybody
/// read it, and gives its log the same mode. What fails here SQLite says better.
pub(super) fn make_private(path: &Path) {
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt as _;
        let mut options = std::fs::OpenOptions::new();
        let _ = options.write(true).create_new(true).mode(0o600).open(path);
    }
    #[cfg(not(unix))]
    let _ = path;
}

/// Checks that a file is a database of this product and that its pages fit together.
pub(in crate::store) fn check(path: &Path) -> Result<(), StoreError> {
    let mut sqlite = open(path)?;
    let lines: Vec<Line> = diesel::sql_query("PRAGMA quick_check").load(&mut sqlite)?;
    if let Some(wrong) = lines.iter().find(|line| line.text != "ok") {
        return Err(StoreError::Corrupt(wrong.text.clone()));
    }
    let mut connection = AnyConnection::Sqlite(sqlite);
    let epoch = Tx {
        connection: &mut connection,
    }
    .epoch();
    match epoch {
        Ok(Some(_)) => Ok(()),
        Ok(None) | Err(StoreError::Unavailable(_)) => Err(StoreError::Unavailable(
            "it is not a database of Switchover".to_owned(),
        )),
        Err(other) => Err(other),
    }
}

/// Takes a database for itself, all of it in its one file.
pub(in crate::store) fn hold_alone(path: &Path) -> Result<Alone, StoreError> {
    let mut sqlite = open(path)?;
    // Leaving write-ahead logging needs the database to itself: idle users count too. It brings
    // what is in the log into the file.
    sqlite
        .batch_execute("PRAGMA busy_timeout = 0; PRAGMA journal_mode = DELETE; BEGIN EXCLUSIVE;")?;
    Ok(Alone {
        _connection: sqlite,
    })
}

fn open(path: &Path) -> Result<SqliteConnection, StoreError> {
    if !path.is_file() {
        return Err(StoreError::Unavailable("there is no such file".to_owned()));
    }
    Ok(SqliteConnection::establish(&path.to_string_lossy())?)
}
