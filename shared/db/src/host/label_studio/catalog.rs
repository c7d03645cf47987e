//! What this version of Label Studio stores, as its catalog tells.

use crate::{GenericClient, Result};

/// What this version of Label Studio stores.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Catalog {
    /// Whether tasks have a column `allow_skip`: since 1.22.
    pub(super) has_allow_skip: bool,
    /// Whether a null in that column stays: since 1.23. Before, it is stored as true.
    pub(super) keeps_null_skip: bool,
}

impl Catalog {
    pub(super) async fn read(client: &impl GenericClient) -> Result<Self> {
        let text = "SELECT EXISTS (SELECT FROM pg_attribute WHERE attrelid = to_regclass('public.task')
                                       AND attname = 'allow_skip' AND NOT attisdropped),
                           EXISTS (SELECT FROM public.django_migrations
                                    WHERE app = 'projects' AND name = '0034_project_annotator_evaluation_enabled')";
        let row = client.query_one(text, &[]).await?;
        Ok(Self { has_allow_skip: row.get(0), keeps_null_skip: row.get(1) })
    }
}
