//! The life of a sync and of its jobs: one file a transition, one function a transaction or a part of one.
//!
//! A job is `available`, `running`, `retryable`, and in the end `completed`, `discarded` or `cancelled`; the README
//! has the charts. The tables' own files hold the statements that write one table, and the functions here call them
//! in the order in which locks are taken: `storages`, `jobs`, `syncs`, `outbox`. Statements that write several
//! tables in one round trip are written here, each with the reason beside it.
//!
//! A running attempt proves first that the job is still its own ([`crate::jobs::hold`],
//! [`crate::jobs::hold_at`]), in the same transaction.

mod cancel;
mod claim;
mod delete_job;
mod enqueue;
mod finish;
mod page;
mod remove;
mod rescue;

pub use cancel::cancel;
pub use claim::{Claim, Claimant, ClaimedJob, claim};
pub use delete_job::add_delete_job;
pub use enqueue::{Enqueued, RequestedBy, SyncRequest, enqueue, enqueue_request, retry};
pub use finish::{complete, discard, release, retry_later};
pub use page::record_page;
pub use remove::remove_storage;
pub use rescue::{release_unknown, republish_lost, rescue_expired};
