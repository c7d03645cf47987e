//! Rows for the quarantine: every object or unit that cannot be moved becomes one here.

use longshore_db::quarantine::QuarantinedObject;
use longshore_model::QuarantineReason;
use longshore_storage::{ObjectMeta, StorageError};

use crate::items::Unusable;

/// What to do about an object that ended its workers.
const POISON: &str = "Every worker that worked on this object alone stopped or stalled. Look at the workers' logs and \
                      memory limit, correct the object or raise the limit, then replay it.";

/// An object that cannot be imported. `detail` says what is wrong and what to do.
pub(crate) fn object(object: &ObjectMeta, reason: QuarantineReason, detail: impl Into<String>) -> QuarantinedObject {
    QuarantinedObject::object(&object.key, object.etag.clone(), object.size, reason, detail)
}

/// An object whose content cannot be used, with the place of the fault.
pub(crate) fn unusable_object(meta: &ObjectMeta, unusable: Unusable) -> QuarantinedObject {
    QuarantinedObject {
        byte_offset: unusable.byte_offset.and_then(|offset| i64::try_from(offset).ok()),
        row_index: unusable.row_index,
        excerpt: unusable.excerpt,
        ..object(meta, unusable.reason, unusable.detail)
    }
}

/// An object that the storage refuses to give.
pub(crate) fn refused_object(meta: &ObjectMeta, reason: QuarantineReason, error: &StorageError) -> QuarantinedObject {
    object(meta, reason, advice(error))
}

/// An object that ends its worker. It is not read again.
pub(crate) fn poisoned_object(meta: &ObjectMeta) -> QuarantinedObject {
    object(meta, QuarantineReason::Poison, POISON)
}

/// A unit whose object the storage refuses to take.
pub(crate) fn refused_unit(
    unit_id: i64,
    key: String,
    reason: QuarantineReason,
    error: &StorageError,
) -> QuarantinedObject {
    QuarantinedObject::unit(unit_id, key, reason, advice(error))
}

/// A unit that ends its worker. It is not read again.
pub(crate) fn poisoned_unit(unit_id: i64, key: String) -> QuarantinedObject {
    QuarantinedObject::unit(unit_id, key, QuarantineReason::Poison, POISON)
}

fn advice(error: &StorageError) -> String {
    format!("{} ({error})", error.advice())
}
