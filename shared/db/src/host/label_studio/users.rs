//! The users of Label Studio.

use crate::{GenericClient, Result};

/// Whether the user with this ID has this email address, which is unique in Label Studio. With the ID alone, a user of another
/// Label Studio would pass for one of this database.
///
/// # Errors
/// The database is unavailable.
pub async fn is_user(client: &impl GenericClient, id: i64, email: &str) -> Result<bool> {
    let text = "SELECT EXISTS (SELECT FROM public.htx_user WHERE id = $1::bigint AND email = $2)";
    Ok(client.query_one(text, &[&id, &email]).await?.get(0))
}
