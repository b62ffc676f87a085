//! Locks that PostgreSQL is asked for. On SQLite the process is alone, and who writes has locked all.

#[cfg(feature = "postgres")]
use diesel::connection::SimpleConnection as _;
use diesel::prelude::*;

use crate::store::dialect::AnyConnection;
#[cfg(feature = "postgres")]
use crate::store::dialect::{Purpose, connect};
use crate::store::{Database, Duty, StoreError};

/// The number of a duty's lock; this product's own, in its own database.
#[cfg(feature = "postgres")]
const fn lock_of(duty: Duty) -> i64 {
    match duty {
        Duty::Conduct => 7_070_708,
        Duty::Deliver => 7_070_709,
    }
}

/// Takes the lock as soon as nobody has it.
pub(in crate::store) struct Candidate {
    /// The lock lives as long as this connection. SQLite is one process's alone.
    #[cfg(feature = "postgres")]
    connection: Option<PgConnection>,
    #[cfg(feature = "postgres")]
    duty: Duty,
    leads: bool,
}

#[cfg(feature = "postgres")]
#[derive(QueryableByName)]
struct Locked {
    #[diesel(sql_type = diesel::sql_types::Bool)]
    locked: bool,
}

impl Candidate {
    pub(in crate::store) fn stand(
        database: &Database,
        duty: Duty,
    ) -> Result<Candidate, StoreError> {
        #[cfg(feature = "postgres")]
        if database.is_shared()
            && let AnyConnection::Postgres(mut connection) = connect(database, Purpose::Record)?
        {
            // PostgreSQL gives the lock of a vanished host free when it takes the host for gone:
            // after three seconds without an answer.
            connection.batch_execute(
                "SET tcp_keepalives_idle = 1; SET tcp_keepalives_interval = 1; \
                 SET tcp_keepalives_count = 2; SET tcp_user_timeout = '3s';",
            )?;
            return Ok(Candidate {
                connection: Some(connection),
                duty,
                leads: false,
            });
        }
        #[cfg(not(feature = "postgres"))]
        let _ = (database, duty);
        Ok(Candidate {
            #[cfg(feature = "postgres")]
            connection: None,
            #[cfg(feature = "postgres")]
            duty,
            leads: true,
        })
    }

    pub(in crate::store) fn leads(&mut self) -> Result<bool, StoreError> {
        #[cfg(feature = "postgres")]
        if let Some(connection) = &mut self.connection {
            if self.leads {
                // An answer shows that the connection lives, and the lock with it.
                diesel::sql_query("SELECT 1").execute(connection)?;
            } else {
                let query = format!(
                    "SELECT pg_try_advisory_lock({}) AS locked",
                    lock_of(self.duty)
                );
                let answer: Locked = diesel::sql_query(query).get_result(connection)?;
                self.leads = answer.locked;
            }
        }
        Ok(self.leads)
    }
}

/// Locks the rollouts of every route with a policy, in the order in which all lock them.
pub(in crate::store) fn lock_rollouts_under(
    connection: &mut AnyConnection,
    policy: &str,
) -> QueryResult<()> {
    match connection {
        // Who writes has locked everything.
        AnyConnection::Sqlite(_) => Ok(()),
        #[cfg(feature = "postgres")]
        AnyConnection::Postgres(postgres) => diesel::sql_query(
            "SELECT 1 FROM rollouts JOIN routes ON routes.key = rollouts.route \
             WHERE routes.policy = $1 \
             ORDER BY rollouts.route COLLATE \"C\", rollouts.environment COLLATE \"C\" \
             FOR UPDATE OF rollouts",
        )
        .bind::<diesel::sql_types::Text, _>(policy.to_owned())
        .execute(postgres)
        .map(|_| ()),
    }
}
