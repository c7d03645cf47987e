//! Finding an object that ends its worker: the attempt records which object it processes, and the next claim reads
//! that.

use longshore_db::jobs;
use longshore_db::quarantine::QuarantinedObject;
use tracing::warn;

use super::{Import, Pending};
use crate::job_error::JobError;
use crate::quarantine::poisoned_object;

impl Import<'_> {
    /// Moves the object that is known to end its worker from the page to the quarantine.
    pub(super) fn take_poison(&mut self) -> Option<QuarantinedObject> {
        let poison = self.job.poison.as_deref()?;
        let at = self.pending.iter().position(|pending| pending.object.key == poison)?;
        warn!(event = "object_poisoned", "object ended its worker repeatedly; quarantined unread");
        self.pending.remove(at).map(|pending| poisoned_object(&pending.object))
    }

    /// During a search for the object that ends its worker, records the single object that the attempt processes.
    pub(super) async fn single_out(&self, part: &[Pending]) -> Result<(), JobError> {
        let [Pending { object, .. }] = part else { return Ok(()) };
        if self.job.page_limit() != Some(1) {
            return Ok(());
        }
        let db = &self.context.db;
        let written = async { jobs::mark_lone_key(&db.client().await?, self.job.lease, &object.key).await };
        Ok(db.in_time(written).await?)
    }
}
