//! System tests: every promise on real servers, a module a promise.

mod access;
mod api;
mod broker_faults;
mod cli;
mod conformance;
mod connections;
mod database_faults;
mod enqueue;
mod export;
mod import;
mod keys;
mod main_job;
mod metrics;
mod quarantine;
mod readme;
mod rotation;
mod s3;
mod s3s;
mod scheduler_faults;
mod secrets;
mod splitting;
mod stopping;
mod storage_faults;
mod validation;
mod worker_killed;
