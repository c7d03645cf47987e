//! The failures of other crates as failures of the API.

use longshore_broker::BrokerError;

use super::ApiError;
use crate::api::load_limits::Limit;

impl From<BrokerError> for ApiError {
    fn from(error: BrokerError) -> Self {
        Self::Broker(error)
    }
}

impl From<longshore_db::Error> for ApiError {
    fn from(error: longshore_db::Error) -> Self {
        match error {
            longshore_db::Error::NotFound(what) => Self::not_found(what),
            longshore_db::Error::Conflict(detail) => Self::refused("conflict", detail),
            longshore_db::Error::DeletionLive(detail) => Self::refused("sync_live", detail),
            longshore_db::Error::ShareInUse => Self::Busy(Limit::TokenDatabase),
            error => Self::Database(error),
        }
    }
}
