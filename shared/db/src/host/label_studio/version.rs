//! Whether the Label Studio in this database is one whose tables Longshore can write.
//!
//! Its migrations tell the version, and the catalog tells whether each row that Longshore writes would be complete. The
//! greatest name of a migration tells nothing: names of old, squashed ones sort last.

use std::collections::BTreeSet;

use super::{edition, written};
use crate::{GenericClient, Result};

/// Migrations that a supported version has, and what is refused without them.
const NEEDED: &[(&str, &str, &str)] = &[(
    "io_storages",
    "0021_azureblobimportstorage_recursive_scan_and_more",
    "Label Studio before 1.21 has no status `completed_with_errors`. Upgrade it to 1.23.",
)];

/// Why this database cannot be a host, in sentences for the operator. Empty if it can.
pub async fn faults(client: &impl GenericClient) -> Result<Vec<String>> {
    let here = client.query_one("SELECT to_regclass('public.django_migrations') IS NOT NULL", &[]).await?;
    if !here.get::<_, bool>(0) {
        let text = "There is no Label Studio in this database: schema `public` has no table `django_migrations`. \
                    DATABASE_URL must name the database of Label Studio, which must not use SQLite.";
        return Ok(vec![text.to_owned()]);
    }
    let rows = client.query("SELECT app, name FROM public.django_migrations", &[]).await?;
    let migrations: BTreeSet<(&str, &str)> = rows.iter().map(|row| (row.get(0), row.get(1))).collect();
    let missing = NEEDED.iter().filter(|(app, name, _)| !migrations.contains(&(*app, *name)));
    if let Some((_, _, why)) = missing.into_iter().next() {
        return Ok(vec![(*why).to_owned()]);
    }
    let apps = migrations.iter().map(|(app, _)| *app).collect();
    if let Some(fault) = edition::fault(&apps) {
        return Ok(vec![fault]);
    }
    written::faults(client).await
}
