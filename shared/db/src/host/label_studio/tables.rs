//! The names of Label Studio's tables, by kind and direction.
//!
//! A storage of S3 is one row. Storages of the other kinds are two: the connection in a parent table that imports and
//! exports share, the rest in a table of the direction, whose primary key is that of the parent.

use longshore_model::{Direction, StorageKind};

/// The tables of storages of one kind and direction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct StorageTables {
    /// The table with project, status and `meta`.
    pub(super) storages: String,
    /// Its primary key.
    pub(super) id: &'static str,
    /// The table with the connection, unless it is the same.
    pub(super) parents: Option<&'static str>,
    /// The table that links tasks to keys, or annotations to storages.
    pub(super) links: String,
}

impl StorageTables {
    /// `None` for kinds that the open edition lacks.
    pub(super) fn of(kind: StorageKind, direction: Direction) -> Option<Self> {
        let (stem, id, parents) = match kind {
            StorageKind::S3 => ("s3", "id", None),
            StorageKind::Gcs => ("gcs", "gcsstoragemixin_ptr_id", Some("io_storages_gcsstoragemixin")),
            StorageKind::Azure => {
                ("azureblob", "azureblobstoragemixin_ptr_id", Some("io_storages_azureblobstoragemixin"))
            }
            StorageKind::Redis => ("redis", "redisstoragemixin_ptr_id", Some("io_storages_redisstoragemixin")),
            StorageKind::Localfiles => ("localfiles", "localfilesmixin_ptr_id", Some("io_storages_localfilesmixin")),
            StorageKind::S3s => return None,
        };
        let storages = format!("io_storages_{stem}{direction}storage");
        Some(Self { links: format!("{storages}link"), storages, id, parents })
    }
}

/// The tables of every kind that the open edition has, in both directions.
pub(super) fn every_kind() -> impl Iterator<Item = (StorageKind, Direction, StorageTables)> {
    let of = |(kind, direction)| StorageTables::of(kind, direction).map(|tables| (kind, direction, tables));
    let both = |kind| [(kind, Direction::Import), (kind, Direction::Export)];
    StorageKind::ALL.iter().copied().flat_map(both).filter_map(of)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_of_the_open_edition_has_its_tables() {
        let tables = |kind, direction| StorageTables::of(kind, direction).unwrap();
        let s3 = tables(StorageKind::S3, Direction::Import);
        assert_eq!((&*s3.storages, s3.id, s3.parents), ("io_storages_s3importstorage", "id", None));
        let azure = tables(StorageKind::Azure, Direction::Export);
        assert_eq!(azure.links, "io_storages_azureblobexportstoragelink");
        assert_eq!(azure.id, "azureblobstoragemixin_ptr_id");
        assert_eq!(StorageTables::of(StorageKind::S3s, Direction::Import), None);
    }
}
