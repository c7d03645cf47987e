//! A raw binary `COPY` of an import's rows into the same tables of an empty Label Studio.

use anyhow::Result;
use longshore_local::installed;
use longshore_local::label_studio::NEWEST;
use tokio::time::Instant;

use super::pair::{Pair, Twin, empty_host};
use crate::bed;
use crate::rows::copy::{dump, load};

/// Copies the task and link rows of a project in one transaction, with all indexes and foreign keys, and returns the
/// seconds until its commit.
pub(super) async fn copy_seconds(pair: &Pair<'_>, twin: Twin) -> Result<f64> {
    let (project, storage) = (twin.project, twin.storage);
    // What the rows refer to; the user and the organization are there.
    let referred = [
        rows(pair, "project", &format!("id = {project}")).await?,
        rows(pair, "io_storages_s3importstorage", &format!("id = {storage}")).await?,
    ];
    let copied = [
        rows(pair, "task", &format!("project_id = {project}")).await?,
        rows(pair, "io_storages_s3importstoragelink", &format!("storage_id = {storage}")).await?,
    ];
    let python = tokio::task::spawn_blocking(|| installed::python(NEWEST)).await??;
    let url = empty_host(pair.stack, &python, "rawcopy").await?;
    let database = bed::connect(&url).await?;
    for (table, query) in &referred {
        load(&database, table, &dump(&pair.database, query).await?).await?;
    }
    let mut chunks = Vec::new();
    for (table, query) in &copied {
        chunks.push((table, dump(&pair.database, query).await?));
    }
    database.batch_execute("CHECKPOINT").await?;
    let started = Instant::now();
    database.batch_execute("BEGIN").await?;
    for (table, chunks) in &chunks {
        load(&database, table, chunks).await?;
    }
    database.batch_execute("COMMIT").await?;
    let seconds = started.elapsed().as_secs_f64();
    drop(database);
    let server = bed::connect(pair.stack.postgres.url()).await?;
    server.batch_execute("DROP DATABASE rawcopy WITH (FORCE)").await?;
    Ok(seconds)
}

/// A table with its columns, and a query for some of its rows in the order of their IDs. Generated columns are left out.
async fn rows(pair: &Pair<'_>, table: &str, condition: &str) -> Result<(String, String)> {
    let query = "SELECT string_agg(quote_ident(column_name), ', ' ORDER BY ordinal_position)
                   FROM information_schema.columns
                  WHERE table_schema = 'public' AND table_name = $1 AND is_generated = 'NEVER'";
    let columns: String = pair.database.query_one(query, &[&table]).await?.get(0);
    let query = format!("SELECT {columns} FROM public.{table} WHERE {condition} ORDER BY id");
    Ok((format!("public.{table} ({columns})"), query))
}
