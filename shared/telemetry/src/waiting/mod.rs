//! What a process waits for, and since when.
//!
//! [`Faults`] holds what is wrong with one server, as the parts of a process that use it report it. [`CurrentWaits`] holds
//! what one piece of work waits for at this moment. [`WaitBoard`] shows the waits of the whole process: to `/readyz`, as
//! a metric, and as one warning per minute.

mod board;
mod current;
mod fault;

pub use board::{Wait, WaitBoard};
pub use current::{CurrentWaits, WaitGuard, inherit};
pub use fault::{Fault, Faults};
