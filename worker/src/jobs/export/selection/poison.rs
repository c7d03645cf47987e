//! A unit that ends its worker: the attempt says which one it works on, so that the next claim knows.

use longshore_db::jobs::{self, Lease};
use longshore_db::quarantine::QuarantinedObject;
use longshore_model::QuarantineReason;
use tracing::warn;

use super::{Selected, Size, Source};
use crate::job_error::JobError;
use crate::jobs::POISON;

impl Source {
    /// Writes down which unit the attempt works on next. The one that is known to end its worker is given for the
    /// quarantine, unread.
    pub(super) async fn single_out(&self, lease: Lease, after: i64) -> Result<Option<Selected>, JobError> {
        let selection = self.selection(after, Size::Usual, 1);
        let next = async { self.host.next_unit_id(&self.db.client().await?, &selection, self.per_task()).await };
        let Some(unit_id) = self.db.in_time(next).await? else { return Ok(None) };
        if self.poison != Some(unit_id) {
            let key = unit_id.to_string();
            self.db.in_time(async { jobs::works_on(&self.db.client().await?, lease, &key).await }).await?;
            return Ok(None);
        }
        warn!(event = "object_poisoned", unit.id = unit_id, "unit ended its worker repeatedly; quarantined unread");
        let aside = QuarantinedObject::unit(unit_id, self.key(unit_id), QuarantineReason::Poison, POISON);
        Ok(Some(Selected {
            prepared: Vec::new(),
            aside: Some(aside),
            until: unit_id,
            more: true,
            walked: 1,
            _reserved: self.memory.reserve(0).await,
        }))
    }
}
