//! The rig of the system tests: real servers and processes, and a proxy that breaks connections.

pub mod amqp;
pub mod azurite;
pub mod certificates;
pub mod compatible;
pub mod encrypted;
pub mod failover;
pub mod freeze;
pub mod gcs;
pub mod heavy;
pub mod installed;
pub mod label_studio;
pub mod moto;
pub mod oracle;
pub mod plans;
pub mod proxy;
pub mod raw_http;
pub mod recovery;
pub mod redis;
pub mod rig;
pub mod rights;
mod servers;
mod until;
pub mod usage;
pub mod webhook;
