//! A fence for SQL stores: a write of a lower generation than the store has seen is refused, in the
//! write's own transaction.
//!
//! Flips wait for every process that is known to write. Some writes nobody can wait for: those of a
//! process that was stopped for longer than anybody believed it to live, was declared gone, and wakes up
//! amid a write; and those of a halt, which waits for nobody. With a fence the store itself refuses
//! them, once the SDK has raised it ([`Store::raise`](crate::Store::raise)): after each flip, and after
//! each change that moved keys without one.
//!
//! What it closes, and why:
//!
//! - *An old write commits after the fence was raised.* The old one reads the fence in its own
//!   transaction, under a lock that it shares with other writes and that raising excludes. So either its
//!   commit is before the raise, and whoever raised sees its row; or it reads the raised generation and
//!   is refused.
//! - *The process checks, sleeps, and writes.* Check and write are one transaction: there is no between.
//! - *Writes that are under way while keys move.* None of them is refused: a fence is raised only when
//!   every known process has ended what it began before the hold, and began anew by the new generation.
//!
//! - *A copy is under way when a halt moves its key.* It would save an older row over what is written after the
//!   halt. So whoever hears of one raises the fences of both stores, and begins to write only then: what began
//!   before is refused by then, or was there before.
//!
//! What it does not close: a store whose fence cannot be raised. A write after a halt waits for the fence of its
//! own store for two seconds from the halt on, and for that of the other one, which may be what the rollout was
//! halted for, for a quarter of one; then it goes on without. And what a process that has not heard of a halt
//! acknowledges until the fences are raised is in the store that was left: such keys are compared, and named as
//! conflicts where the rows differ.

use std::fmt;

/// How a fence asks a transaction that is open: a few lines, with any library. The
/// statements have their parameters as `$1` and `$2`, in this order, which PostgreSQL and SQLite both
/// understand.
pub trait FenceConnection {
    /// What goes wrong in the database.
    type Error;

    /// Runs a statement that gives no row or one with one integer.
    ///
    /// # Errors
    /// Those of the database.
    fn generation(&mut self, sql: &str, route: &str) -> Result<Option<i64>, Self::Error>;

    /// Runs a statement that gives nothing.
    ///
    /// # Errors
    /// Those of the database.
    fn raise(&mut self, sql: &str, route: &str, generation: i64) -> Result<(), Self::Error>;
}

/// Which database the fence is in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialect {
    /// Reads under `FOR SHARE`. The transaction may be READ COMMITTED or stricter.
    Postgres,
    /// One writer at a time is the lock: begin the transaction with `BEGIN IMMEDIATE`.
    Sqlite,
}

/// One route's fence in one store. Have it checked in the transaction of each write, the application's
/// own and [`Store::save`](crate::Store::save) alike, and say so by
/// [`Store::is_fenced`](crate::Store::is_fenced).
///
/// ```
/// # use std::collections::BTreeMap;
/// use switchover::{Dialect, Fence, FenceConnection, FenceError};
///
/// struct Transaction<'t>(&'t mut BTreeMap<String, i64>); // your library's
///
/// impl FenceConnection for Transaction<'_> {
///     type Error = std::io::Error;
///
///     fn generation(&mut self, sql: &str, route: &str) -> Result<Option<i64>, Self::Error> {
///         // rusqlite: self.0.query_row(sql, [route], |row| row.get(0)).optional()
///         # let _ = sql;
///         Ok(self.0.get(route).copied())
///     }
///
///     fn raise(&mut self, sql: &str, route: &str, generation: i64) -> Result<(), Self::Error> {
///         // rusqlite: self.0.execute(sql, (route, generation)).map(drop)
///         # let _ = sql;
///         self.0.insert(route.to_owned(), generation);
///         Ok(())
///     }
/// }
///
/// # let mut database = BTreeMap::new();
/// let fence = Fence::new("gear", Dialect::Sqlite);
/// let mut transaction = Transaction(&mut database); // BEGIN IMMEDIATE
/// fence.check(&mut transaction, 2).unwrap();
/// // … the write itself, and COMMIT. Later, in a transaction of its own:
/// fence.raise(&mut transaction, 3).unwrap();
/// assert!(matches!(fence.check(&mut transaction, 2), Err(FenceError::Refused { seen: 3 })));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fence {
    route: String,
    dialect: Dialect,
}

/// Why a write may not go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FenceError<E> {
    /// The store has seen this generation, which is higher than the write's: roll the write back. A
    /// [`Store::save`](crate::Store::save) answers [`Saved::Fenced`](crate::Saved::Fenced).
    Refused {
        /// What the store has seen.
        seen: u64,
    },
    /// What the database says.
    Database(E),
}

impl<E: fmt::Display> fmt::Display for FenceError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            FenceError::Refused { seen } => {
                write!(f, "the store has seen generation {seen}, which is higher")
            }
            FenceError::Database(error) => error.fmt(f),
        }
    }
}

impl<E: std::error::Error + 'static> std::error::Error for FenceError<E> {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            FenceError::Refused { .. } => None,
            FenceError::Database(error) => error.source(),
        }
    }
}

impl Fence {
    /// The table that fences need, one per database; for PostgreSQL and SQLite alike.
    pub const CREATE: &'static str = "CREATE TABLE IF NOT EXISTS switchover_fence (\
         route TEXT NOT NULL PRIMARY KEY, \
         generation BIGINT NOT NULL)";

    const READ: &'static str = "SELECT generation FROM switchover_fence WHERE route = $1";
    const READ_SHARED: &'static str =
        "SELECT generation FROM switchover_fence WHERE route = $1 FOR SHARE";
    const RAISE: &'static str = "INSERT INTO switchover_fence (route, generation) VALUES ($1, $2) \
         ON CONFLICT (route) DO UPDATE SET generation = excluded.generation \
         WHERE switchover_fence.generation < excluded.generation";

    /// The fence of a route.
    #[must_use]
    pub fn new(route: impl Into<String>, dialect: Dialect) -> Fence {
        Fence {
            route: route.into(),
            dialect,
        }
    }

    /// Lets a write of this generation pass, within its transaction and before it writes. It refuses
    /// nobody else: that is for [`raise`](Fence::raise), when nobody who is known writes by an older
    /// generation any more.
    ///
    /// # Errors
    /// When the fence was raised to a higher generation: nothing of the write may be committed. And those of
    /// the database.
    pub fn check<C: FenceConnection>(
        &self,
        transaction: &mut C,
        generation: u64,
    ) -> Result<(), FenceError<C::Error>> {
        // Generations are counted one by one: no database lives to see that many.
        let own = i64::try_from(generation).unwrap_or(i64::MAX);
        let sql = match self.dialect {
            Dialect::Sqlite => Fence::READ,
            Dialect::Postgres => Fence::READ_SHARED,
        };
        let mut seen = self.read(transaction, sql)?;
        if seen.is_none() {
            // A row to lock, so that whoever raises it waits for this write.
            transaction
                .raise(Fence::RAISE, &self.route, 0)
                .map_err(FenceError::Database)?;
            seen = self.read(transaction, sql)?;
        }
        self.compare(seen, own)
    }

    /// Has everything of a lower generation refused from now on, in a transaction of its own: what a
    /// [`Store::raise`](crate::Store::raise) does.
    ///
    /// # Errors
    /// Those of the database.
    pub fn raise<C: FenceConnection>(
        &self,
        transaction: &mut C,
        generation: u64,
    ) -> Result<(), FenceError<C::Error>> {
        let own = i64::try_from(generation).unwrap_or(i64::MAX);
        transaction
            .raise(Fence::RAISE, &self.route, own)
            .map_err(FenceError::Database)
    }

    fn read<C: FenceConnection>(
        &self,
        transaction: &mut C,
        sql: &str,
    ) -> Result<Option<i64>, FenceError<C::Error>> {
        let seen = transaction.generation(sql, &self.route);
        seen.map_err(FenceError::Database)
    }

    fn compare<E>(&self, seen: Option<i64>, own: i64) -> Result<(), FenceError<E>> {
        match seen {
            Some(seen) if seen > own => Err(FenceError::Refused {
                seen: u64::try_from(seen).unwrap_or_default(),
            }),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[derive(Default)]
    struct Database {
        generations: BTreeMap<String, i64>,
        statements: Vec<String>,
    }

    impl FenceConnection for Database {
        type Error = String;

        fn generation(&mut self, sql: &str, route: &str) -> Result<Option<i64>, String> {
            self.statements.push(sql.to_owned());
            Ok(self.generations.get(route).copied())
        }

        fn raise(&mut self, sql: &str, route: &str, generation: i64) -> Result<(), String> {
            self.statements.push(sql.to_owned());
            let present = self.generations.entry(route.to_owned()).or_default();
            *present = (*present).max(generation);
            Ok(())
        }
    }

    #[test]
    fn a_write_of_a_lower_generation_is_refused_once_the_fence_is_raised() {
        let mut database = Database::default();
        let fence = Fence::new("gear", Dialect::Postgres);
        for generation in [0, 3, 1, 2] {
            assert_eq!(fence.check(&mut database, generation), Ok(()));
        }
        fence.raise(&mut database, 3).unwrap();
        fence.raise(&mut database, 2).unwrap();
        let refused = fence.check(&mut database, 2);
        assert_eq!(refused, Err(FenceError::Refused { seen: 3 }));
        assert_eq!(fence.check(&mut database, 3), Ok(()));
        assert_eq!(
            Fence::new("other", Dialect::Postgres).check(&mut database, 1),
            Ok(())
        );
    }

    #[test]
    fn a_check_has_a_row_to_lock() {
        let mut database = Database::default();
        let fence = Fence::new("gear", Dialect::Postgres);
        fence.check(&mut database, 7).unwrap();
        assert_eq!(database.generations["gear"], 0);
        let last = database.statements.last().unwrap();
        assert!(last.ends_with("FOR SHARE"), "{last}");
        let mut file = Database::default();
        Fence::new("gear", Dialect::Sqlite)
            .check(&mut file, 7)
            .unwrap();
        assert!(!file.statements.iter().any(|sql| sql.contains("FOR SHARE")));
    }
}
