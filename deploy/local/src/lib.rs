//! The local stack: private PostgreSQL, RabbitMQ, Redis and S3, and Longshore on top of them.
//!
//! Tests, the demo and `make up` start their servers here and nowhere else. A stack has ports and folders of its
//! own and never touches a server that ran before. It ends with the process that started it, even if that one is
//! killed, unless it is told to stay.
//!
//! Errors are `anyhow`'s: the callers are tests and one command, and none of them branches on what went wrong.

pub mod app;
pub mod beside;
pub mod config;
pub mod fleet;
pub mod guard;
pub mod place;
pub mod ports;
pub mod postgres;
pub mod process;
pub mod rabbitmq;
pub mod redis;
pub mod s3;
pub mod stack;
pub mod standby;
pub mod up;

pub use app::App;
pub use config::Existing;
pub use fleet::{Fleet, Settings};
pub use place::Place;
pub use process::Process;
pub use stack::{Options, Stack};
