//! The `api_tokens` table: who may call the API. Tokens are kept as SHA-256, never as text.
//!
//! Any function here fails while the database is unavailable; `# Errors` names the other cases.

use crate::GenericClient;
use jiff::Timestamp;
use sha2::{Digest, Sha256};
use tokio_postgres::Row;

use crate::bounded::bounded;
use crate::{Bounded, Error, Result};
use longshore_model::Secret;

/// The name of the token that the environment gives at the first start.
pub const BOOTSTRAP: &str = "bootstrap";

/// A token as it is known: without the token.
#[derive(Debug, Clone)]
pub struct TokenRow {
    /// Identity of the token.
    pub id: i64,
    /// Unique name, given by the admin who made it. It stands in the audit.
    pub name: String,
    /// A word of column `role`: read, sync or admin. Never changes, but for the bootstrap token.
    pub role: String,
    /// Projects it may touch; `None` is all.
    pub projects: Option<Vec<i64>>,
    /// When it was made, by the database clock.
    pub created_at: Timestamp,
    /// When it was used last, by the database clock, exact to a minute. `None` if it never was. Written by
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

/// What stands for a token here: SHA-256 of it.
///
/// A token is long and random, so a plain hash cannot be searched back, and a look-up by digest
/// tells nothing about a token by its time.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct TokenDigest([u8; 32]);

impl std::fmt::Debug for TokenDigest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("TokenDigest")
    }
}

/// The digest of a token.
pub fn digest(token: &Secret) -> TokenDigest {
    TokenDigest(Sha256::digest(token.expose().as_bytes()).into())
}

/// Finds tokens by their [`digest`], and notes about once a minute that they are in use. A digest that no
/// token has gives no row.
pub async fn find_all(client: &impl GenericClient, digests: &[TokenDigest]) -> Result<Vec<(TokenDigest, TokenRow)>> {
    let statement = client
        .prepare_cached(&format!(
            "WITH used AS (
                 UPDATE api_tokens SET last_used_at = now()
                  WHERE digest = ANY ($1) AND (last_used_at IS NULL OR last_used_at < now() - interval '1 minute')
             )
             SELECT digest, {COLUMNS} FROM api_tokens WHERE digest = ANY ($1)"
        ))
        .await?;
    let digests: Vec<&[u8]> = digests.iter().map(|digest| digest.0.as_slice()).collect();
    let rows = client.query(&statement, &[&digests]).await?;
    let found = |row: &Row| {
        let digest: [u8; 32] = row.get::<_, &[u8]>("digest").try_into().ok()?;
        Some((TokenDigest(digest), read(row)))
    };
    Ok(rows.iter().filter_map(found).collect())
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
                Error::Conflict(format!("there already is a token named \"{name}\""))
            } else {
                error
            }
        })?;
    Ok(read(&row))
}

/// Makes the environment's token the admin token named [`BOOTSTRAP`], replacing the one before.
///
/// # Errors
/// Another token has the same text.
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
    // A project ID prints as at most 20 bytes; what a row has besides is below 1 kB.
    let text = bounded(
        "SELECT * FROM api_tokens WHERE id > $1",
        "1024 + 20 * coalesce(cardinality(projects), 0)",
        "id",
        COLUMNS,
        "$2",
    );
    Bounded::read(&client.query(&text, &[&after, &most]).await?, |row| Ok(read(row)))
}

/// Removes a token, and returns what it was, or `None`. A cache of tokens has to forget this one.
pub async fn delete(client: &impl GenericClient, id: i64) -> Result<Option<TokenRow>> {
    let row = client.query_opt(&format!("DELETE FROM api_tokens WHERE id = $1 RETURNING {COLUMNS}"), &[&id]).await?;
    Ok(row.as_ref().map(read))
}
