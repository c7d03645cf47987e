//! The state transitions of syncs and jobs: one file per transition, one function per transaction or part of one.
//!
//! A job is `available`, `running` or `retryable`, and finally `completed`, `discarded` or `cancelled`; the README has
//! the charts. Statements that write one table are in the table's file. The functions here call them in the order in
//! which locks are taken: `storages`, `jobs`, `syncs`, `outbox`. Statements that write several tables in one round trip
//! are here, each with the reason for it.
//!
//! A running attempt first proves, in the same transaction, that it still owns the job ([`crate::jobs::hold`],
//! [`crate::jobs::hold_at`]).

mod cancel;
mod change_project;
mod claim;
mod delete_job;
mod delete_tasks;
mod enqueue;
mod finish;
mod late_job;
mod page;
mod relist;
mod remove;
mod rescue;

pub use cancel::cancel;
pub use change_project::leave_project;
pub use claim::{Claim, Claimant, ClaimedJob, claim};
pub use delete_job::add_delete_job;
pub use delete_tasks::{
    DeletionRequest, delete_empty_project, delete_range, delete_rows_left, delete_tasks, end_deletion,
    enqueue_deletion, forget_range, has_rows_left,
};
pub use enqueue::{EnqueuedSync, RequestedBy, SyncRequest, enqueue, enqueue_request};
pub(crate) use finish::fail;
pub use finish::{complete, discard, release, retry_later, wait_later};
pub use page::record_page;
pub use relist::relist;
pub use remove::remove_storage;
pub use rescue::{release_unknown, republish_lost, rescue_expired};
