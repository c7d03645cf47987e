//! System tests: every promise on real servers, a module a promise.

mod conformance;
mod keys;
mod main_job;
