//! What annotations and predictions of objects refer to: users, parents, models, and unique IDs.
//!
//! Label Studio checks these only when a transaction commits, where a failure names no object. So they are looked up
//! before, page by page. What changes between the look-up and the commit is found by the constraints themselves.

use std::collections::{BTreeMap, BTreeSet};

use tokio_postgres::Row;
use tokio_postgres::types::ToSql;

use crate::host::{KnownReferences, LabelReferences};
use crate::{GenericClient, Result};

/// IDs of one query. More would only make its parameters larger.
const CHUNK_IDS: usize = 10_000;

/// Those of the references that Label Studio has. Users with e-mail addresses are members of the project's organization,
/// as in Label Studio's own import of files.
pub(super) async fn known(
    client: &impl GenericClient,
    project_id: i64,
    wanted: &LabelReferences,
) -> Result<KnownReferences> {
    // `OFFSET 0` forces a look-up per value, whatever the statistics are.
    let taken = "SELECT wanted.id FROM unnest($1::uuid[]) wanted (id)
                  CROSS JOIN LATERAL (SELECT FROM public.task_completion t WHERE t.unique_id = wanted.id OFFSET 0) f";
    let ids = LabelReferences {
        users: ids(client, "htx_user", &wanted.users).await?,
        emails: BTreeSet::new(),
        predictions: ids(client, "prediction", &wanted.predictions).await?,
        annotations: ids(client, "task_completion", &wanted.annotations).await?,
        models: ids(client, "ml_mlbackend", &wanted.models).await?,
        model_runs: ids(client, "ml_models_modelrun", &wanted.model_runs).await?,
        unique_ids: look_up(client, taken, None, &wanted.unique_ids, |row| row.get(0)).await?.into_iter().collect(),
    };
    let members = members(client, project_id, &wanted.emails).await?;
    Ok(KnownReferences { ids, members })
}

/// Those of the IDs that a table of Label Studio has.
async fn ids(client: &impl GenericClient, table: &str, ids: &BTreeSet<i64>) -> Result<BTreeSet<i64>> {
    let text = format!(
        "SELECT wanted.id FROM unnest($1::bigint[]) wanted (id)
          CROSS JOIN LATERAL (SELECT FROM public.{table} t WHERE t.id = wanted.id OFFSET 0) f"
    );
    Ok(look_up(client, &text, None, ids, |row| row.get(0)).await?.into_iter().collect())
}

/// The users with these addresses who are or were members of the project's organization. Label Studio stores addresses in
/// lower case, but for old ones.
async fn members(
    client: &impl GenericClient,
    project_id: i64,
    emails: &BTreeSet<String>,
) -> Result<BTreeMap<String, i64>> {
    let text = "SELECT wanted.email, f.id::bigint FROM unnest($1::text[]) wanted (email)
                 CROSS JOIN LATERAL (SELECT u.id FROM public.htx_user u
                                      WHERE u.email IN (wanted.email, lower(wanted.email))
                                        AND EXISTS (SELECT FROM public.organizations_organizationmember m
                                                      JOIN public.project p ON p.organization_id = m.organization_id
                                                     WHERE m.user_id = u.id AND p.id = $2::bigint)
                                      ORDER BY u.email = wanted.email DESC LIMIT 1) f";
    let found = look_up(client, text, Some(project_id), emails, |row| (row.get(0), row.get(1))).await?;
    Ok(found.into_iter().collect())
}

/// The rows of a query with these values as its first parameter, in chunks.
async fn look_up<V: ToSql + Sync, T>(
    client: &impl GenericClient,
    text: &str,
    project_id: Option<i64>,
    values: &BTreeSet<V>,
    read: impl Fn(&Row) -> T,
) -> Result<Vec<T>> {
    let values: Vec<&V> = values.iter().collect();
    let mut found = Vec::new();
    for chunk in values.chunks(CHUNK_IDS) {
        let parameters: [&(dyn ToSql + Sync); 2] = [&chunk, &project_id];
        let count = if project_id.is_some() { 2 } else { 1 };
        let rows = client.query(text, &parameters[..count]).await?;
        found.extend(rows.iter().map(&read));
    }
    Ok(found)
}
