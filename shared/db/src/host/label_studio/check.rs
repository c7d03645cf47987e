//! What an operator should know before Longshore serves a Label Studio. Changes nothing.

use longshore_telemetry::Finding;

use super::{edition, rights, storage, tables, version};
use crate::rights::quoted;
use crate::{GenericClient, Result};

/// The storages that a finding names at most. More would not fit on a line.
const NAMED: usize = 5;

/// Checks the rights of the connected role, the version, and every storage. What the role may not read is not checked.
pub(crate) async fn check(client: &impl GenericClient, role: &str) -> Result<Vec<Finding>> {
    let mut findings = Vec::new();
    let missing = rights::missing(client).await?;
    if !missing.is_empty() {
        let text = format!(
            "the role lacks {}; run what `longshore-scheduler grants {} --label-studio` prints, as the owner of Label \
             Studio's tables; see deploy/label-studio/rights.md",
            missing.join("; "),
            quoted(role)
        );
        findings.push(Finding::failed("host", text));
        let readable = "SELECT has_schema_privilege('public', 'USAGE')
                           AND coalesce(has_table_privilege(to_regclass('public.django_migrations'), 'SELECT'), true)";
        if !client.query_one(readable, &[]).await?.get::<_, bool>(0) {
            return Ok(findings);
        }
    }
    let faults = version::faults(client).await?;
    if !faults.is_empty() {
        findings.extend(faults.into_iter().map(|fault| Finding::failed("host", fault)));
        return Ok(findings);
    }
    findings.push(Finding::ok("host", "Label Studio's version and tables are known"));
    if missing.is_empty() {
        findings.push(Finding::ok("host", "the role has all rights on Label Studio's tables that it needs"));
        findings.extend(unfinished_migrations(client).await?);
        findings.extend(edition::queued_sync(client).await?.map(|text| Finding::warning("host", text)));
        findings.extend(storages(client).await?);
    }
    Ok(findings)
}

/// Warns of indexes that Label Studio is still building: its pages and syncs are slow until then.
async fn unfinished_migrations(client: &impl GenericClient) -> Result<Option<Finding>> {
    let text = "SELECT name FROM public.core_asyncmigrationstatus WHERE status <> 'FINISHED' ORDER BY id LIMIT 3";
    let rows = client.query(text, &[]).await?;
    let names: Vec<&str> = rows.iter().filter_map(|row| row.get::<_, Option<&str>>(0)).collect();
    Ok((!names.is_empty()).then(|| {
        let text = format!(
            "Label Studio has not finished {}; until it has, indexes are missing and its pages may be slow",
            names.join(", ")
        );
        Finding::warning("host", text)
    }))
}

/// Whether the settings of every storage can be read.
async fn storages(client: &impl GenericClient) -> Result<Vec<Finding>> {
    let (mut read, mut unreadable, mut keyless) = (0_usize, Vec::new(), Vec::new());
    for (kind, direction, tables) in tables::every_kind() {
        let text = format!(
            "SELECT s.{id}::bigint FROM public.{storages} s JOIN public.project p ON p.id = s.project_id
              WHERE to_jsonb(p) ->> 'deleted_at' IS NULL ORDER BY 1",
            id = tables.id,
            storages = tables.storages
        );
        for row in client.query(&text, &[]).await? {
            let id: i64 = row.get(0);
            match storage::read(client, kind, direction, id, storage::Lock::None).await {
                Ok(storage) => {
                    read += 1;
                    let uses = |storage: &storage::HostStorage| {
                        storage.settings.connection.uses_own_identity(&storage.secrets)
                    };
                    if storage.as_ref().is_some_and(uses) {
                        keyless.push(format!("{kind} {direction} storage {id}"));
                    }
                }
                Err(error @ crate::Error::Unreadable { .. }) => {
                    unreadable.push(format!("{kind} {direction} storage {id} ({error})"));
                }
                Err(error) => return Err(error),
            }
        }
    }
    let mut findings = vec![Finding::ok("storages", format!("the settings of {read} storages are valid"))];
    if !unreadable.is_empty() {
        let text =
            format!("Longshore would refuse to sync {}; correct their settings in Label Studio", named(unreadable));
        findings.push(Finding::warning("storages", text));
    }
    if !keyless.is_empty() {
        let text = format!(
            "{} have no keys of their own; Longshore syncs them only with its own cloud identity, and only if \
             LONGSHORE_OWN_IDENTITY permits it, see deploy/operations/security.md",
            named(keyless)
        );
        findings.push(Finding::warning("storages", text));
    }
    Ok(findings)
}

/// The first of some storages, and how many more there are.
fn named(mut storages: Vec<String>) -> String {
    let more = storages.len().saturating_sub(NAMED);
    storages.truncate(NAMED);
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    format!("{}{more}", storages.join(", "))
}
