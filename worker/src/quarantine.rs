//! Rows of the quarantine, for objects that cannot be imported and units that cannot be exported.

use longshore_db::quarantine::QuarantinedObject;
use longshore_model::QuarantineReason;
use longshore_storage::{ObjectMeta, StorageError};

use longshore_items::Unusable;

/// Advice for an object that ended its workers.
const POISON: &str = "Every worker that worked on this object alone stopped or stalled. Look at the workers' logs and \
                      memory limit, correct the object or raise the limit, then replay it.";

/// Makes the row of an object that cannot be imported. `detail` describes the fault and what to do.
pub(crate) fn object(object: &ObjectMeta, reason: QuarantineReason, detail: impl Into<String>) -> QuarantinedObject {
    QuarantinedObject::object(&object.key, object.etag.clone(), object.known_size(), reason, detail)
}

/// Makes the row of an object with unusable content, including the position of the fault.
pub(crate) fn unusable_object(meta: &ObjectMeta, unusable: Unusable) -> QuarantinedObject {
    QuarantinedObject {
        byte_offset: unusable.byte_offset.and_then(|offset| i64::try_from(offset).ok()),
        row_index: unusable.row_index,
        excerpt: unusable.excerpt,
        ..object(meta, unusable.reason, unusable.detail)
    }
}

/// Makes the row of an object that the storage refuses to return.
pub(crate) fn refused_object(meta: &ObjectMeta, reason: QuarantineReason, error: &StorageError) -> QuarantinedObject {
    object(meta, reason, advice(error))
}

/// Makes the row of an object that ends its worker. The object is not read again.
pub(crate) fn poisoned_object(meta: &ObjectMeta) -> QuarantinedObject {
    object(meta, QuarantineReason::Poison, POISON)
}

/// Makes the row of a unit whose object the storage refuses to store.
pub(crate) fn refused_unit(
    unit_id: i64,
    key: String,
    reason: QuarantineReason,
    error: &StorageError,
) -> QuarantinedObject {
    QuarantinedObject::unit(unit_id, key, reason, advice(error))
}

/// Makes the row of a unit that ends its worker. The unit is not read again.
pub(crate) fn poisoned_unit(unit_id: i64, key: String) -> QuarantinedObject {
    QuarantinedObject::unit(unit_id, key, QuarantineReason::Poison, POISON)
}

fn advice(error: &StorageError) -> String {
    format!("{} ({error})", error.advice())
}
