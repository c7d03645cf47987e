//! Runs the migrations of the schema.

use tokio_postgres::error::SqlState;

use crate::{Client, GenericClient as _, Result};

mod migrations {
    refinery::embed_migrations!("migrations");
}

/// The advisory lock by which only one of several starting schedulers migrates; "longshor" in ASCII.
const MIGRATION_LOCK: i64 = 0x6c6f_6e67_7368_6f72;

/// The most times that a migration is repeated after a deadlock. A busy worker commits several pages per second, and
/// Postgres needs a second to detect a deadlock.
const DEADLOCKS: usize = 10;

/// The schema compared with the migrations of this program.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum SchemaState {
    /// There is no schema.
    Missing,
    /// These migrations are not applied, such as `V7__least_rights`, or were applied with another text.
    Behind(Vec<String>),
    /// Every migration is applied. There may be newer ones, of a later release.
    Current,
}

/// Compares the schema with the migrations of this program. Needs no right but to read.
pub(crate) async fn state(client: &Client) -> Result<SchemaState> {
    let exists = "SELECT to_regnamespace('longshore') IS NOT NULL";
    if !client.query_one(exists, &[]).await?.get::<_, bool>(0) {
        return Ok(SchemaState::Missing);
    }
    let table = "SELECT to_regclass('longshore.refinery_schema_history') IS NOT NULL";
    let applied = if client.query_one(table, &[]).await?.get(0) {
        client.query("SELECT version::bigint, checksum FROM longshore.refinery_schema_history", &[]).await?
    } else {
        Vec::new()
    };
    let applied: Vec<(i64, String)> = applied.iter().map(|row| (row.get(0), row.get(1))).collect();
    let runner = migrations::migrations::runner();
    let is_pending = |migration: &&refinery::Migration| {
        !applied.contains(&(i64::from(migration.version()), migration.checksum().to_string()))
    };
    let pending: Vec<String> = runner.get_migrations().iter().filter(is_pending).map(ToString::to_string).collect();
    Ok(if pending.is_empty() { SchemaState::Current } else { SchemaState::Behind(pending) })
}

/// The SQLSTATE of a failed migration.
pub(crate) fn migration_state(error: &refinery::Error) -> Option<&SqlState> {
    let refinery::error::Kind::Connection(_, cause) = error.kind() else { return None };
    cause.downcast_ref::<tokio_postgres::Error>().and_then(tokio_postgres::Error::code)
}

/// Whether a migration failed because a worker locks the same tables in another order.
fn is_deadlock(error: &refinery::Error) -> bool {
    migration_state(error) == Some(&SqlState::T_R_DEADLOCK_DETECTED)
}

/// Brings the schema up to date. Of several parallel callers, one does the work and the others wait for it.
///
/// A role that may only read and write rows can call it, too, once another role has migrated.
pub(crate) async fn migrate(client: &mut Client) -> Result<()> {
    if state(client).await? == SchemaState::Current {
        return Ok(());
    }
    client.execute("SELECT pg_advisory_lock($1)", &[&MIGRATION_LOCK]).await?;
    let migrated = async {
        // The limit of a pool's connection is too short for an index on a large table.
        client.batch_execute("SET statement_timeout = 0").await?;
        // Asked again under the lock. Even `IF NOT EXISTS` needs the right to create a schema.
        if state(client).await? == SchemaState::Missing {
            client.batch_execute("CREATE SCHEMA longshore").await?;
        }
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
    client.batch_execute("RESET statement_timeout").await?;
    client.execute("SELECT pg_advisory_unlock($1)", &[&MIGRATION_LOCK]).await?;
    migrated
}
