//! The preparation of a scheduler: the schema and the first token, before its loops run.

use std::time::Duration;

use anyhow::{Result, anyhow};
use longshore_db::host::{HostKind, label_studio};
use longshore_db::tokens::{FirstToken, store_first};
use longshore_db::{Db, Outage};
use longshore_telemetry::Tasks;
use tokio::time::sleep;
use tracing::{debug, warn};

use crate::config::Config;
use crate::situation::Situation;

/// Migrates the schema and stores the first token. Waits for the database without a limit. Returns false if the process
/// is stopped first.
///
/// # Errors
/// The first token does not work, and no other token can manage this deployment; or the host is not supported.
pub(crate) async fn prepare(db: &Db, config: &Config, situation: &Situation, tasks: &Tasks) -> Result<bool> {
    const PAUSE: Duration = Duration::from_secs(1);
    let stop = tasks.stopping();
    loop {
        let prepared = async {
            let mut client = db.client().await?;
            // Before the schema is created: `DATABASE_URL` may name another database.
            if config.host == HostKind::LabelStudio {
                let faults = label_studio::faults(&client).await?;
                if !faults.is_empty() {
                    return Ok(Err(faults));
                }
            }
            db.migrate().await?;
            let tx = client.transaction().await.map_err(longshore_db::Error::from)?;
            let first = store_first(&tx, &config.token).await?;
            tx.commit().await.map_err(longshore_db::Error::from)?;
            Ok::<_, longshore_db::Error>(Ok(first))
        };
        let prepared = prepared.await;
        situation.record("start", prepared.as_ref());
        match prepared {
            Ok(Ok(first)) => return check_first_token(first).map(|()| true),
            Ok(Err(faults)) => return Err(anyhow!("LONGSHORE_HOST=label-studio: {}", faults.join(" "))),
            // The watcher warns once a minute.
            Err(error) if error.outage().is_some_and(Outage::stops_writes) => {
                let error = db.address().explain(&error);
                debug!(event = "database_not_ready", error, "database not ready, retrying");
            }
            Err(error) => {
                let error = db.address().explain(&error);
                warn!(event = "database_not_ready", error, "database not ready, retrying");
            }
        }
        if stop.run_until_cancelled(sleep(PAUSE)).await.is_none() {
            return Ok(false);
        }
    }
}

/// Warns of a first token that does not work.
///
/// # Errors
/// No other token can manage this deployment.
fn check_first_token(first: FirstToken) -> Result<()> {
    match first {
        FirstToken::Stored => Ok(()),
        FirstToken::Revoked { has_other_admin: true } => {
            warn!(
                event = "first_token_revoked",
                "the token in LONGSHORE_TOKEN was deleted or replaced, so it does not work; other admin tokens do. Set \
                 LONGSHORE_TOKEN to another token, for example from `openssl rand -hex 20`"
            );
            Ok(())
        }
        FirstToken::Revoked { has_other_admin: false } => Err(anyhow!(
            "the token in LONGSHORE_TOKEN was deleted or replaced, so it does not work, and there is no other admin \
             token for all projects: set LONGSHORE_TOKEN to another token, for example from `openssl rand -hex 20`"
        )),
        FirstToken::Shared { has_admin: true } => {
            warn!(
                event = "first_token_shared",
                "the token in LONGSHORE_TOKEN was created under another name and keeps its role and projects"
            );
            Ok(())
        }
        FirstToken::Shared { has_admin: false } => Err(anyhow!(
            "the token in LONGSHORE_TOKEN was created under another name with fewer rights, and there is no admin token \
             for all projects: set LONGSHORE_TOKEN to another token, for example from `openssl rand -hex 20`"
        )),
    }
}
