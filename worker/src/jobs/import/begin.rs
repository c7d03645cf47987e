//! What precedes the first page of an import.

use std::time::Duration;

use longshore_db::host::JobStorage;
use longshore_db::{Error, Result};

use crate::context::Context;

/// The longest preparation of the ledger: one pass over all links of a storage, about a second for 200,000 unknown ones.
const LONGEST: Duration = Duration::from_secs(15 * 60);

/// Lets the host prepare the ledger.
///
/// # Errors
/// Those of the host, and [`Error::Silent`] after [`LONGEST`].
pub(super) async fn begin(context: &Context, storage: &JobStorage) -> Result<()> {
    let mut client = context.db.client().await?;
    let begun = context.host.begin_import(&mut client, storage);
    tokio::time::timeout(LONGEST, begun).await.unwrap_or(Err(Error::Silent))
}
