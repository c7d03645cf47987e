//! What every handler works with.

use std::sync::Arc;

use longshore_db::{Db, Sealer};
use prometheus::Registry;
use tokio_util::sync::CancellationToken;

use super::metrics::ApiMetrics;
use super::storages::OpenStorage;

/// What every handler works with. Clones share it.
#[derive(Clone)]
pub struct ApiState {
    pub(super) db: Db,
    pub(super) sealer: Sealer,
    pub(super) open: Arc<OpenStorage>,
    pub(super) metrics: ApiMetrics,
    /// Ends event streams, which would otherwise hold up the end of the process.
    pub(super) stopping: CancellationToken,
}

impl ApiState {
    /// Registers the API's metrics and keeps what handlers need.
    ///
    /// # Errors
    /// The registry has metrics of the API already.
    pub fn new(
        db: Db,
        sealer: Sealer,
        open: Arc<OpenStorage>,
        registry: &Registry,
        stopping: CancellationToken,
    ) -> prometheus::Result<Self> {
        Ok(Self { db, sealer, open, metrics: ApiMetrics::register(registry)?, stopping })
    }
}
