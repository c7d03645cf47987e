//! System tests: every promise on real servers, a module a promise.

mod access;
mod api;
mod cli;
mod conformance;
mod enqueue;
mod keys;
mod main_job;
mod metrics;
mod secrets;
mod splitting;
mod stopping;
mod storage_faults;
mod worker_killed;
