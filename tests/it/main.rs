//! System tests: every promise on real servers, a module a promise.

mod conformance;
mod enqueue;
mod keys;
mod main_job;
mod splitting;
mod storage_faults;
mod stopping;
mod worker_killed;
