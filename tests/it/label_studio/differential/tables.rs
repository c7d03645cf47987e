//! Label Studio's tables of import storages, by kind.

/// The tables of one kind.
pub(crate) struct Tables {
    pub(crate) storages: String,
    /// The primary key of `storages`.
    pub(crate) id: &'static str,
    pub(crate) links: String,
}

impl Tables {
    /// `kind` is the word in routes.
    pub(crate) fn of(kind: &str) -> Self {
        let (stem, id) = match kind {
            "s3" => ("s3", "id"),
            "gcs" => ("gcs", "gcsstoragemixin_ptr_id"),
            "azure" => ("azureblob", "azureblobstoragemixin_ptr_id"),
            "redis" => ("redis", "redisstoragemixin_ptr_id"),
            "localfiles" => ("localfiles", "localfilesmixin_ptr_id"),
            other => panic!("a kind of storage: {other}"),
        };
        Self {
            storages: format!("io_storages_{stem}importstorage"),
            id,
            links: format!("io_storages_{stem}importstoragelink"),
        }
    }
}
