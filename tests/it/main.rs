//! System tests: every promise on real servers, a module a promise.

mod main_job;
