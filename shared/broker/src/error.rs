//! Errors of the broker, classified by what the caller does about them.

use std::error::Error;

/// A broker call that failed. No variant contains the broker's URL, which holds a password.
#[derive(Debug, thiserror::Error)]
pub enum BrokerError {
    /// There is no connection at the moment; [`Broker::run`](crate::Broker::run) is opening one.
    #[error("not connected to the broker")]
    Disconnected,
    /// The broker did not answer in time.
    #[error("the broker did not answer in time: {op}")]
    TimedOut { op: &'static str },
    /// The broker refused the call, or the connection broke during it.
    #[error("broker call failed: {op}")]
    Failed {
        op: &'static str,
        #[source]
        source: Box<dyn Error + Send + Sync>,
    },
}

/// Names the call that failed; for `map_err`.
pub(crate) fn failed(op: &'static str) -> impl FnOnce(lapin::Error) -> BrokerError {
    move |error| BrokerError::Failed { op, source: Box::new(error) }
}
