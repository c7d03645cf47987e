//! What the system tests stand on: a rig of real servers and processes, and a proxy that breaks
//! connections.

pub mod amqp;
pub mod azurite;
pub mod failover;
pub mod frozen;
pub mod gcs;
pub mod heavy;
pub mod installed;
pub mod moto;
pub mod oracle;
pub mod plain;
pub mod plans;
pub mod proxy;
pub mod recovery;
pub mod redis;
pub mod rig;
mod servers;
pub mod usage;
