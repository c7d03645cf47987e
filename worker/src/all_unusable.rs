//! The failure of an import whose first objects are all unusable.

use longshore_model::QuarantineReason;

/// All objects of the first page are unusable, for the same reason.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{reason}: {detail} This is so for all {objects} objects of the first page, such as {}", .examples.join(", "))]
pub(crate) struct AllUnusable {
    pub(crate) reason: QuarantineReason,
    pub(crate) detail: String,
    pub(crate) objects: i64,
    pub(crate) examples: Vec<String>,
}
