//! The first token: the one that the operator sets in the environment.

use longshore_model::Secret;
use serde_json::json;

use super::digest;
use crate::audit::{self, Source};
use crate::{GenericClient, Result, Transaction};

/// The name of the first token. No other token may have it.
pub const BOOTSTRAP: &str = "bootstrap";

/// What became of the first token at a start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FirstToken {
    /// It is an admin token for all projects.
    Stored,
    /// It was deleted or replaced earlier, so it does not work.
    Revoked {
        /// Whether another admin token for all projects works.
        has_other_admin: bool,
    },
    /// Its text is that of a token with another name, which keeps its role and projects.
    Shared {
        /// Whether any admin token for all projects works.
        has_admin: bool,
    },
}

/// Stores the environment's token as the admin token named [`BOOTSTRAP`], unless it was revoked.
///
/// Replaces an earlier one with another text, which never works again. Writes each change to the audit.
pub async fn store_first(tx: &Transaction<'_>, token: &Secret) -> Result<FirstToken> {
    // Several schedulers start at the same time, and an admin may be deleting the token.
    tx.batch_execute("LOCK TABLE api_tokens IN SHARE ROW EXCLUSIVE MODE").await?;
    let digest = digest(token);
    let digest = digest.0.as_slice();
    if tx.query_opt("SELECT 1 FROM revoked_tokens WHERE digest = $1", &[&digest]).await?.is_some() {
        return Ok(FirstToken::Revoked { has_other_admin: has_admin(tx).await? });
    }
    let same = tx.query_opt("SELECT id, name FROM api_tokens WHERE digest = $1", &[&digest]).await?;
    if let Some(row) = same {
        if row.get::<_, &str>("name") != BOOTSTRAP {
            return Ok(FirstToken::Shared { has_admin: has_admin(tx).await? });
        }
        let restored = tx
            .query_opt(
                "UPDATE api_tokens SET role = 'admin', projects = NULL, expires_at = NULL
                  WHERE id = $1 AND (role <> 'admin' OR projects IS NOT NULL OR expires_at IS NOT NULL) RETURNING id",
                &[&row.get::<_, i64>("id")],
            )
            .await?;
        if let Some(row) = restored {
            record(tx, "token.restore", row.get(0)).await?;
        }
        return Ok(FirstToken::Stored);
    }
    // A new row and not a new digest: links and streams of the replaced token end by its ID.
    if let Some(row) = tx.query_opt("DELETE FROM api_tokens WHERE name = $1 RETURNING id", &[&BOOTSTRAP]).await? {
        record(tx, "token.delete", row.get(0)).await?;
    }
    let insert = "INSERT INTO api_tokens (name, digest, role) VALUES ($1, $2, 'admin') RETURNING id";
    let row = tx.query_one(insert, &[&BOOTSTRAP, &digest]).await?;
    record(tx, "token.create", row.get(0)).await?;
    Ok(FirstToken::Stored)
}

async fn has_admin(client: &impl GenericClient) -> Result<bool> {
    let admin = "SELECT EXISTS (SELECT FROM api_tokens WHERE role = 'admin' AND projects IS NULL
                                   AND (expires_at IS NULL OR expires_at > clock_timestamp()))";
    Ok(client.query_one(admin, &[]).await?.get(0))
}

async fn record(tx: &Transaction<'_>, action: &'static str, id: i64) -> Result<()> {
    let detail = json!({"token": id, "name": BOOTSTRAP, "from": "LONGSHORE_TOKEN"});
    audit::write(tx, &audit::Entry { source: Source::Scheduler, action, detail, ..audit::Entry::default() }).await
}
