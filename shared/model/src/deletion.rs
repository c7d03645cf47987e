//! What a deletion of tasks takes.

use serde::{Deserialize, Serialize};

/// A deletion of the tasks of a storage or a project, as the column `deletion` of table `syncs` stores it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Deletion {
    /// Whether the ledger keeps the objects, so that later syncs do not import them again.
    pub keep: bool,
    /// What is deleted after its tasks; null if nothing.
    pub removes: Option<Removed>,
    /// Tasks to delete, counted at the start.
    pub tasks: i64,
}

/// What a deletion removes after the tasks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "lowercase")]
pub enum Removed {
    /// The storage of the tasks.
    Storage,
    /// The project with all of its storages.
    Project,
}
