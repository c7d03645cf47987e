//! The local stack: private PostgreSQL, RabbitMQ, Redis and S3, and Longshore on top.
//!
//! Tests, the demo and `make up` start all their servers with this crate. A stack has private ports and folders and
//! does not touch other servers. It ends with the process that started it, also if that process is killed, unless it is
//! told to stay.
//!
//! Errors are `anyhow`'s: the callers are tests and one command, and none of them branches on the kind of error.

pub mod app;
pub mod beside;
pub mod bucket;
pub mod config;
mod file_limit;
pub mod fleet;
pub mod guard;
pub mod installed;
pub mod label_studio;
pub mod nginx;
pub mod ports;
pub mod postgres;
pub mod process;
pub mod rabbitmq;
pub mod redis;
pub mod run_dir;
pub mod s3;
pub mod stack;
pub mod standby;
pub mod up;

pub use app::App;
pub use config::ExistingServers;
pub use fleet::{Fleet, Settings};
pub use process::Process;
pub use run_dir::RunDir;
pub use stack::{Options, Stack};
