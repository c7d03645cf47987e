//! Finding a unit that ends its worker: the attempt records which unit it processes, and the next claim reads that.

use longshore_db::jobs::{self, Lease};
use tracing::warn;

use super::{SelectedPage, Size, Source};
use crate::job_error::JobError;
use crate::quarantine::poisoned_unit;

impl Source {
    /// Records which unit the attempt processes next. If that unit is known to end its worker, quarantines it unread.
    pub(super) async fn single_out(&self, lease: Lease, after: i64) -> Result<Option<SelectedPage>, JobError> {
        let selection = self.selection(after, Size::Usual, 1);
        let next = async { self.host.next_unit_id(&self.db.client().await?, &selection, self.per_task()).await };
        let Some(unit_id) = self.db.in_time(next).await? else { return Ok(None) };
        if self.poison != Some(unit_id) {
            let key = unit_id.to_string();
            self.db.in_time(async { jobs::mark_lone_key(&self.db.client().await?, lease, &key).await }).await?;
            return Ok(None);
        }
        warn!(event = "object_poisoned", unit.id = unit_id, "unit ended its worker repeatedly; quarantined unread");
        Ok(Some(SelectedPage {
            prepared: Vec::new(),
            quarantined: Some(poisoned_unit(unit_id, self.key(unit_id))),
            until: unit_id,
            more: true,
            walked: 1,
            size: Size::Usual,
            reserved: self.memory.reserve(0).await,
        }))
    }
}
