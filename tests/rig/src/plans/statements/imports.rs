//! Statements of imports from storages that refuse objects or list in no order.

use anyhow::Result;
use longshore_db::{Client, quarantine, scanned_keys};
use uuid::Uuid;

use super::{GIANT, Plans};

pub(super) async fn explain_imports(plans: &mut Plans<'_>) -> Result<()> {
    plans
        .step("a page of refused objects", 3_000, async |client| {
            Ok(quarantine::refused(&*client, GIANT, 1, "", 1_000).await.map(drop)?)
        })
        .await?;
    let digests: Vec<Uuid> = (0..1_000).map(Uuid::from_u128).collect();
    let scan = async |client: &mut Client| {
        let tx = client.transaction().await?;
        scanned_keys::insert(&tx, 1, &digests).await?;
        scanned_keys::among(&tx, 1, &digests).await?;
        quarantine::close(&tx, &[1, 2]).await?;
        Ok(scanned_keys::prune(&tx, 1_000).await.map(drop)?)
    };
    plans.step("a thousand keys of an unordered page", 12_000, scan).await
}
