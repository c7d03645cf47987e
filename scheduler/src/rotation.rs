//! Key rotation: every sealed secret encrypted again, with the key that seals now.
//!
//! One statement a storage, which writes only over what was read, so it disturbs no other work: a user who
//! changes a storage meanwhile wins. Killed at any point it has done a part; run again, it does the rest.

use std::fmt;

use anyhow::{Context as _, Result};
use longshore_db::{Check, Client, Db, SealedSecrets, Sealer, audit, storages};
use serde_json::json;

use crate::config::RotationConfig;

/// Storages read at once.
const PAGE: i64 = 100;

/// What became of the secrets of all storages.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Rotation {
    /// The id of the key that seals.
    pub key_id: String,
    /// Storages whose secrets are sealed again.
    pub resealed: usize,
    /// Storages whose secrets the key had sealed before.
    pub current: usize,
    /// Storages whose secrets no current key opens, unchanged, with the id of the key they name.
    pub unopened: Vec<(i64, String)>,
}

/// Rotates as the environment says.
///
/// # Errors
/// The database is unavailable, or the keys cannot be read. Storages that were sealed before stay so.
pub async fn run(config: &RotationConfig) -> Result<Rotation> {
    let sealer = Sealer::parse(&config.secret_keys)?;
    let db = Db::new(&config.database_url, "longshore-rotate-keys", 1, config.database_patience, Check::Always)?;
    let client = db.client().await.context("the database cannot be reached")?;
    let mut rotation = Rotation { key_id: sealer.key_id().to_owned(), ..Rotation::default() };
    let mut last = 0;
    loop {
        let page = db.in_time(storages::secrets_after(&client, last, PAGE)).await?;
        let Some((id, _)) = page.last() else { break };
        last = *id;
        for (id, sealed) in page {
            db.in_time(rotation.take(&client, &sealer, id, sealed)).await?;
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
    /// Seals one storage's secrets again if they need it.
    async fn take(
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
            // Somebody else wrote first: what stands there now may be sealed with an older key all the same.
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
        writeln!(f, "encrypted with key {:?} now: the secrets of {}", self.key_id, storages(self.resealed))?;
        writeln!(f, "had it before: {}", storages(self.current))?;
        for (id, key) in &self.unopened {
            writeln!(f, "left as it is: storage {id}, which no key here opens; it names key {key:?}")?;
        }
        if self.unopened.is_empty() {
            writeln!(f, "where every process has this key first, all others can be dropped")
        } else {
            writeln!(f, "give this command the keys that are named, or enter the secrets of these storages again")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_counts_and_names_what_was_left() {
        let mut rotation = Rotation { key_id: "new".to_owned(), resealed: 1, current: 2, unopened: Vec::new() };
        assert_eq!(
            rotation.to_string(),
            "encrypted with key \"new\" now: the secrets of 1 storage\nhad it before: 2 storages\n\
             where every process has this key first, all others can be dropped\n"
        );
        rotation.unopened.push((7, "lost".to_owned()));
        let report = rotation.to_string();
        assert!(report.contains("storage 7, which no key here opens; it names key \"lost\""), "{report}");
        assert!(!report.contains("dropped"), "{report}");
    }
}
