//! Records what an attempt that runs alone works on, before it works. If its worker then ends, the loss blames exactly
//! that. Worker ends for other reasons blame nothing.
//!
//! Any function here fails while the database is unavailable; `# Errors` names the other cases.

use super::lease::Lease;
use crate::{Error, GenericClient, Result};

/// Records that the attempt runs alone from now on, with at most `keys` keys per page.
///
/// # Errors
/// [`Error::LeaseLost`] if another attempt has the job or it was cancelled.
pub async fn mark_alone(client: &impl GenericClient, lease: Lease, keys: u16) -> Result<()> {
    let keys = i32::from(keys);
    let marked = client
        .execute(
            "UPDATE jobs SET page_keys = $4 WHERE id = $1 AND attempt = $2 AND token = $3 AND state = 'running'",
            &[&lease.job, &lease.attempt, &lease.token, &keys],
        )
        .await?;
    if marked == 0 { Err(Error::LeaseLost) } else { Ok(()) }
}

/// Records that the attempt begins to work on this object or unit and on no other.
///
/// If the worker ends twice while this key is recorded, the next claim returns the key as poison.
///
/// # Errors
/// [`Error::LeaseLost`] if another attempt has the job or it was cancelled.
pub async fn mark_lone_key(client: &impl GenericClient, lease: Lease, key: &str) -> Result<()> {
    let marked = client
        .execute(
            "UPDATE jobs SET lone_key = $4, lost_alone = CASE WHEN lone_key = $4 THEN lost_alone + 1 ELSE 1 END
              WHERE id = $1 AND attempt = $2 AND token = $3 AND state = 'running'",
            &[&lease.job, &lease.attempt, &lease.token, &key],
        )
        .await?;
    if marked == 0 { Err(Error::LeaseLost) } else { Ok(()) }
}
