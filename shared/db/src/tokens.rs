//! The `api_tokens` table: who may call the API. It has the SHA-256 of each token, never its text.
//!
//! Triggers of the database keep the digest of each deleted or replaced token in `revoked_tokens`, and refuse to store
//! such a token again.
//!
//! Any function here fails while the database is unavailable; `# Errors` names the other cases.

use std::time::Duration;

use jiff::Timestamp;
use longshore_model::Secret;
use sha2::{Digest, Sha256};
use tokio_postgres::Row;

use crate::bounded::bounded;
use crate::{Bounded, Error, GenericClient, Outage, Result, Transaction};

mod first;

pub use first::{BOOTSTRAP, FirstToken, store_first};

/// A token without its text.
#[derive(Debug, Clone)]
pub struct TokenRow {
    /// ID of the token.
    pub id: i64,
    /// Unique name, chosen by the admin who created it. The audit shows it.
    pub name: String,
    /// A word of column `role`: `read`, `sync` or `admin`. Never changes, except for the bootstrap token.
    pub role: String,
    /// IDs of the projects it may access. `None` means all.
    pub projects: Option<Vec<i64>>,
    /// When it was created, by the database clock.
    pub created_at: Timestamp,
    /// When it was last used, by the database clock, exact to a minute. `None` if it was never used. Written by
    /// [`find_all`].
    pub last_used_at: Option<Timestamp>,
    /// When it stops working, by the database clock. `None` is never.
    pub expires_at: Option<Timestamp>,
    /// How long it still worked when the row was read; zero if it has expired. `None` is without an end.
    pub expires_in: Option<Duration>,
}

impl TokenRow {
    /// Whether the token has stopped working.
    pub fn is_expired(&self) -> bool {
        self.expires_in.is_some_and(|left| left.is_zero())
    }
}

/// `seconds_left` is by the database clock, so that all schedulers agree on it.
const COLUMNS: &str = "id, name, role, projects, created_at, last_used_at, expires_at,
     extract(epoch FROM expires_at - clock_timestamp())::float8 AS seconds_left";

fn read(row: &Row) -> TokenRow {
    TokenRow {
        id: row.get("id"),
        name: row.get("name"),
        role: row.get("role"),
        projects: row.get("projects"),
        created_at: row.get("created_at"),
        last_used_at: row.get("last_used_at"),
        expires_at: row.get("expires_at"),
        expires_in: row.get::<_, Option<f64>>("seconds_left").map(duration),
    }
}

/// Zero for a negative number, and the longest time for one that is too large.
fn duration(seconds: f64) -> Duration {
    Duration::try_from_secs_f64(seconds.max(0.0)).unwrap_or(Duration::MAX)
}

/// The SHA-256 of a token.
///
/// A token is long and random, so an attacker cannot find it from an unsalted hash. Looking up by digest avoids a
/// timing side channel.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct TokenDigest([u8; 32]);

impl std::fmt::Debug for TokenDigest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("TokenDigest")
    }
}

/// Computes the digest of a token.
pub fn digest(token: &Secret) -> TokenDigest {
    TokenDigest(Sha256::digest(token.expose().as_bytes()).into())
}

/// Finds tokens by their [`digest`] or their ID. An unknown one has no entry in the result.
///
/// Updates `last_used_at` of those with a given digest, about once a minute: only their callers have the token itself.
///
/// If the database refuses the update, because it is read-only or full, the tokens are only read: otherwise nothing could
/// be read through the API until an operator helps.
pub async fn find_all(
    client: &impl GenericClient,
    digests: &[TokenDigest],
    ids: &[i64],
) -> Result<Vec<(TokenDigest, TokenRow)>> {
    let found = format!("SELECT digest, {COLUMNS} FROM api_tokens WHERE digest = ANY ($1) OR id = ANY ($2)");
    let used = "WITH used AS (
                    UPDATE api_tokens SET last_used_at = now()
                     WHERE digest = ANY ($1) AND (last_used_at IS NULL OR last_used_at < now() - interval '1 minute')
                ) ";
    let digests: Vec<&[u8]> = digests.iter().map(|digest| digest.0.as_slice()).collect();
    let rows = match rows_of(client, &format!("{used}{found}"), &digests, ids).await {
        Err(error) if matches!(error.outage(), Some(Outage::ReadOnly | Outage::DiskFull)) => {
            rows_of(client, &found, &digests, ids).await?
        }
        rows => rows?,
    };
    let found = |row: &Row| {
        let digest: [u8; 32] = row.get::<_, &[u8]>("digest").try_into().ok()?;
        Some((TokenDigest(digest), read(row)))
    };
    Ok(rows.iter().filter_map(found).collect())
}

async fn rows_of(client: &impl GenericClient, text: &str, digests: &[&[u8]], ids: &[i64]) -> Result<Vec<Row>> {
    let statement = client.prepare_cached(text).await?;
    Ok(client.query(&statement, &[&digests, &ids]).await?)
}

/// The time that is this long after the start of the transaction, by the database clock.
pub async fn expiry_after(tx: &Transaction<'_>, lifetime: Duration) -> Result<Timestamp> {
    let row = tx.query_one("SELECT now() + make_interval(secs => $1)", &[&lifetime.as_secs_f64()]).await?;
    Ok(row.get(0))
}

/// Reads a token, and keeps it from being deleted until the transaction ends. `None` if it does not exist.
///
/// For work that takes long after the token was checked. Call it just before the commit, because the deletion of the
/// token waits.
pub async fn hold(tx: &Transaction<'_>, id: i64) -> Result<Option<TokenRow>> {
    let text = format!("SELECT {COLUMNS} FROM api_tokens WHERE id = $1 FOR KEY SHARE");
    let row = tx.query_opt(&text, &[&id]).await?;
    Ok(row.as_ref().map(read))
}

/// Adds a token.
///
/// # Errors
/// [`Error::Conflict`] if the name is taken.
pub async fn insert(
    client: &impl GenericClient,
    name: &str,
    token: &Secret,
    role: &str,
    projects: Option<&[i64]>,
    expires_at: Option<Timestamp>,
) -> Result<TokenRow> {
    let row = client
        .query_one(
            &format!(
                "INSERT INTO api_tokens (name, digest, role, projects, expires_at) VALUES ($1, $2, $3, $4, $5)
                 RETURNING {COLUMNS}"
            ),
            &[&name, &digest(token).0.as_slice(), &role, &projects, &expires_at],
        )
        .await
        .map_err(Error::from)
        .map_err(|error| {
            if error.is_unique_violation() {
                Error::Conflict(format!("a token named \"{name}\" already exists"))
            } else {
                error
            }
        })?;
    Ok(read(&row))
}

/// Tokens with a larger ID than `after`, by ID, as far as they fit into `most` bytes.
pub async fn list(client: &impl GenericClient, after: i64, most: i64) -> Result<Bounded<TokenRow>> {
    // A project ID prints as at most 20 bytes; the rest of a row is below 1 kB.
    let text = bounded(
        "SELECT * FROM api_tokens WHERE id > $1",
        "1024 + 20 * coalesce(cardinality(projects), 0)",
        "id",
        COLUMNS,
        "$2",
    );
    Bounded::read(&client.query(&text, &[&after, &most]).await?, |row| Ok(read(row)))
}

/// Deletes a token and returns its row, or `None` if it does not exist. It never works again. The caller must remove it
/// from its token cache.
pub async fn delete(client: &impl GenericClient, id: i64) -> Result<Option<TokenRow>> {
    let row = client.query_opt(&format!("DELETE FROM api_tokens WHERE id = $1 RETURNING {COLUMNS}"), &[&id]).await?;
    Ok(row.as_ref().map(read))
}
