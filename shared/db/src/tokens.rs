//! The `api_tokens` table: who may call the API. It has the SHA-256 of each token, never its text.
//!
//! Any function here fails while the database is unavailable; `# Errors` names the other cases.

use jiff::Timestamp;
use longshore_model::Secret;
use sha2::{Digest, Sha256};
use tokio_postgres::Row;

use crate::bounded::bounded;
use crate::{Bounded, Error, GenericClient, Outage, Result};

/// The name of the token that the operator sets in the environment.
pub const BOOTSTRAP: &str = "bootstrap";

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
}

const COLUMNS: &str = "id, name, role, projects, created_at, last_used_at";

fn read(row: &Row) -> TokenRow {
    TokenRow {
        id: row.get("id"),
        name: row.get("name"),
        role: row.get("role"),
        projects: row.get("projects"),
        created_at: row.get("created_at"),
        last_used_at: row.get("last_used_at"),
    }
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

/// Finds tokens by their [`digest`], and updates `last_used_at` about once a minute. An unknown digest has no entry in
/// the result.
///
/// If the database refuses the update, because it is read-only or full, the tokens are only read: otherwise nothing could
/// be read through the API until an operator helps.
pub async fn find_all(client: &impl GenericClient, digests: &[TokenDigest]) -> Result<Vec<(TokenDigest, TokenRow)>> {
    let found = format!("SELECT digest, {COLUMNS} FROM api_tokens WHERE digest = ANY ($1)");
    let used = "WITH used AS (
                    UPDATE api_tokens SET last_used_at = now()
                     WHERE digest = ANY ($1) AND (last_used_at IS NULL OR last_used_at < now() - interval '1 minute')
                ) ";
    let digests: Vec<&[u8]> = digests.iter().map(|digest| digest.0.as_slice()).collect();
    let rows = match rows_of(client, &format!("{used}{found}"), &digests).await {
        Err(error) if matches!(error.outage(), Some(Outage::ReadOnly | Outage::DiskFull)) => {
            rows_of(client, &found, &digests).await?
        }
        rows => rows?,
    };
    let found = |row: &Row| {
        let digest: [u8; 32] = row.get::<_, &[u8]>("digest").try_into().ok()?;
        Some((TokenDigest(digest), read(row)))
    };
    Ok(rows.iter().filter_map(found).collect())
}

async fn rows_of(client: &impl GenericClient, text: &str, digests: &[&[u8]]) -> Result<Vec<Row>> {
    let statement = client.prepare_cached(text).await?;
    Ok(client.query(&statement, &[&digests]).await?)
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
) -> Result<TokenRow> {
    let row = client
        .query_one(
            &format!(
                "INSERT INTO api_tokens (name, digest, role, projects) VALUES ($1, $2, $3, $4) RETURNING {COLUMNS}"
            ),
            &[&name, &digest(token).0.as_slice(), &role, &projects],
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

/// Makes the environment's token the admin token named [`BOOTSTRAP`]. It replaces the previous one.
///
/// # Errors
/// A unique violation if another token has the same text.
pub async fn upsert_bootstrap(client: &impl GenericClient, token: &Secret) -> Result<()> {
    client
        .execute(
            "INSERT INTO api_tokens (name, digest, role) VALUES ($1, $2, 'admin')
             ON CONFLICT (name) DO UPDATE SET digest = excluded.digest, role = 'admin', projects = NULL
              WHERE api_tokens.digest <> excluded.digest OR api_tokens.role <> 'admin'",
            &[&BOOTSTRAP, &digest(token).0.as_slice()],
        )
        .await?;
    Ok(())
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

/// Deletes a token and returns its row, or `None` if it does not exist. The caller must remove it from its token cache.
pub async fn delete(client: &impl GenericClient, id: i64) -> Result<Option<TokenRow>> {
    let row = client.query_opt(&format!("DELETE FROM api_tokens WHERE id = $1 RETURNING {COLUMNS}"), &[&id]).await?;
    Ok(row.as_ref().map(read))
}
