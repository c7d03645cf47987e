//! Runs the migrations of the schema.

use tokio_postgres::error::SqlState;

use crate::{Client, Result};

mod migrations {
    refinery::embed_migrations!("migrations");
}

/// The advisory lock by which only one of several starting schedulers migrates; "longshor" in ASCII.
const MIGRATION_LOCK: i64 = 0x6c6f_6e67_7368_6f72;

/// The most times that a migration is repeated after a deadlock. A busy worker commits several pages per second, and
/// Postgres needs a second to detect a deadlock.
const DEADLOCKS: usize = 10;

/// Whether a migration failed because a worker locks the same tables in another order.
fn is_deadlock(error: &refinery::Error) -> bool {
    let refinery::error::Kind::Connection(_, cause) = error.kind() else { return false };
    let cause = cause.downcast_ref::<tokio_postgres::Error>();
    cause.and_then(tokio_postgres::Error::code) == Some(&SqlState::T_R_DEADLOCK_DETECTED)
}

/// Brings the schema up to date. Of several parallel callers, one does the work and the others wait for it.
pub(crate) async fn migrate(client: &mut Client) -> Result<()> {
    client.execute("SELECT pg_advisory_lock($1)", &[&MIGRATION_LOCK]).await?;
    let migrated = async {
        client.batch_execute("CREATE SCHEMA IF NOT EXISTS longshore").await?;
        // A migration and a worker that commits a page may lock tables in different orders. Postgres then cancels one
        // of them. The worker repeats its page, and this loop repeats the migration.
        for _ in 0..DEADLOCKS {
            match migrations::migrations::runner().run_async(&mut ****client).await {
                Err(error) if is_deadlock(&error) => {}
                migrated => return Ok(migrated.map(drop)?),
            }
        }
        Ok(migrations::migrations::runner().run_async(&mut ****client).await.map(drop)?)
    }
    .await;
    client.execute("SELECT pg_advisory_unlock($1)", &[&MIGRATION_LOCK]).await?;
    migrated
}
