//! Key rotation: encrypts every sealed secret again, with the current key.
//!
//! Each storage takes one statement, which writes only if the row still holds the secrets that were read. So other work
//! need not stop: if a user changes a storage at the same time, the user's change stays. If the command is killed, the
//! storages that it has finished stay sealed with the current key; the next run does the others.

use std::fmt;

use anyhow::{Result, anyhow};
use longshore_db::{Check, Client, Db, SealedSecrets, Sealer, audit, storages};
use serde_json::json;

use crate::config::RotationConfig;

/// Storages per query.
const PAGE: i64 = 100;

/// How many storages were sealed again, and which could not be.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Rotation {
    /// The ID of the current key.
    pub key_id: String,
    /// Storages whose secrets this run has sealed again.
    pub resealed: usize,
    /// Storages whose secrets were sealed with the current key already.
    pub current: usize,
    /// Storages whose secrets none of the configured keys opens, each with the ID of the key that sealed them. They are
    /// unchanged.
    pub unopened: Vec<(i64, String)>,
}

/// Seals the secrets of all storages with the first of the configured keys.
///
/// # Errors
/// The database is unavailable, or the keys are invalid. Storages that were sealed before the error stay sealed.
pub async fn run(config: &RotationConfig) -> Result<Rotation> {
    let sealer = Sealer::parse(&config.secret_keys)?;
    let db = Db::open(&config.database, "longshore-rotate-keys", 1, config.database_patience, Check::Always)?;
    let client = db.client().await.map_err(|error| anyhow!(db.address().explain(&error)))?;
    let mut rotation = Rotation { key_id: sealer.key_id().to_owned(), ..Rotation::default() };
    let mut last = 0;
    loop {
        let page = db.in_time(storages::secrets_after(&client, last, PAGE)).await?;
        let Some((id, _)) = page.last() else { break };
        last = *id;
        for (id, sealed) in page {
            db.in_time(rotation.reseal(&client, &sealer, id, sealed)).await?;
        }
    }
    if rotation.resealed > 0 {
        let detail = json!({"key": rotation.key_id, "storages": rotation.resealed});
        let entry = audit::Entry { action: "keys.rotate", detail, ..audit::Entry::default() };
        db.in_time(audit::write(&client, &entry)).await?;
    }
    Ok(rotation)
}

impl Rotation {
    /// Seals one storage's secrets again, unless the current key has sealed them.
    async fn reseal(
        &mut self,
        client: &Client,
        sealer: &Sealer,
        id: i64,
        mut sealed: SealedSecrets,
    ) -> longshore_db::Result<()> {
        let name = storages::seal_name(id);
        loop {
            let Ok(plain) = sealer.open(&name, &sealed) else {
                self.unopened.push((id, sealed.key_id));
                return Ok(());
            };
            if sealed.key_id == self.key_id {
                self.current += 1;
                return Ok(());
            }
            if storages::reseal(client, id, &sealed, &sealer.seal(&name, &plain)?).await? {
                self.resealed += 1;
                return Ok(());
            }
            // Another process wrote the row first. It may have used an older key, so check again.
            match storages::secrets(client, id).await? {
                Some(changed) => sealed = changed,
                None => return Ok(()),
            }
        }
    }
}

impl fmt::Display for Rotation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let storages = |count| if count == 1 { "1 storage".to_owned() } else { format!("{count} storages") };
        writeln!(f, "sealed again with key {:?}: the secrets of {}", self.key_id, storages(self.resealed))?;
        writeln!(f, "already sealed with this key: {}", storages(self.current))?;
        for (id, key) in &self.unopened {
            writeln!(
                f,
                "not changed: storage {id}, whose secrets are sealed with key {key:?}, which is not configured"
            )?;
        }
        if self.unopened.is_empty() {
            writeln!(f, "other keys can be removed once every scheduler and worker has this key first")
        } else {
            writeln!(f, "run this command with these keys too, or enter the secrets of these storages again")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_report_counts_storages_and_names_the_unchanged() {
        let mut rotation = Rotation { key_id: "new".to_owned(), resealed: 1, current: 2, unopened: Vec::new() };
        assert_eq!(
            rotation.to_string(),
            "sealed again with key \"new\": the secrets of 1 storage\nalready sealed with this key: 2 storages\n\
             other keys can be removed once every scheduler and worker has this key first\n"
        );
        rotation.unopened.push((7, "lost".to_owned()));
        let report = rotation.to_string();
        assert!(
            report.contains("storage 7, whose secrets are sealed with key \"lost\", which is not configured"),
            "{report}"
        );
        assert!(!report.contains("can be removed"), "{report}");
    }
}
