//! The command `migrate`: brings the schema up to date with the rights of its owner, so that the programs need none to
//! change it.

use anyhow::{Result, anyhow};
use longshore_db::{Check, Db};

use crate::config::MigrationConfig;

/// Brings the schema up to date.
///
/// # Errors
/// The database is unavailable, or the role may not change the schema. The text explains what to do.
pub async fn run(config: &MigrationConfig) -> Result<()> {
    let db = Db::open(&config.database, "longshore-migrate", 1, config.database_patience, Check::Always)?;
    db.migrate().await.map_err(|error| anyhow!(db.address().explain(&error)))
}
