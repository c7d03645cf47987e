//! An object that ends its worker: the attempt says which one it works on, so that the next claim knows.

use longshore_db::jobs;
use longshore_db::quarantine::QuarantinedObject;
use longshore_model::QuarantineReason;
use longshore_storage::ObjectMeta;
use tracing::warn;

use super::{Import, Pending};
use crate::job_error::JobError;
use crate::jobs::POISON;

impl Import<'_> {
    /// Takes the object that is known to end its worker, for the quarantine.
    pub(super) fn take_poison(&mut self) -> Option<QuarantinedObject> {
        let poison = self.claimed.poison.as_deref()?;
        let place = self.pending.iter().position(|pending| pending.object.key == poison)?;
        warn!(event = "object_poisoned", "object ended its worker repeatedly; quarantined unread");
        self.pending.remove(place).map(|pending| poisoned(pending.object))
    }

    /// Writes down the object that an attempt works on alone, where it looks for the one that ends its worker.
    pub(super) async fn single_out(&self, part: &[Pending]) -> Result<(), JobError> {
        let [Pending { object, .. }] = part else { return Ok(()) };
        if self.claimed.page_limit() != Some(1) {
            return Ok(());
        }
        let db = &self.context.db;
        let written = async { jobs::works_on(&db.client().await?, self.claimed.lease, &object.key).await };
        Ok(db.in_time(written).await?)
    }
}

/// An object that is quarantined without a look at it.
fn poisoned(object: ObjectMeta) -> QuarantinedObject {
    QuarantinedObject::object(object.key, object.etag, object.size, QuarantineReason::Poison, POISON)
}
