//! What every handler works with.

use std::sync::Arc;

use longshore_db::{Db, Sealer};
use longshore_storage::Stores;
use prometheus::Registry;
use tokio_util::sync::CancellationToken;

use super::bookmarks::Bookmarks;
use super::known_tokens::KnownTokens;
use super::metrics::ApiMetrics;
use super::resolve::{Opened, ResolveOptions};
use super::storages::{OpenStorage, open_storage};

/// What every handler works with. Clones share it.
#[derive(Clone)]
pub struct ApiState {
    pub(super) db: Db,
    pub(super) sealer: Sealer,
    pub(super) stores: Stores,
    pub(super) open: Arc<OpenStorage>,
    pub(super) resolve: Arc<ResolveOptions>,
    pub(super) opened: Arc<Opened>,
    pub(super) metrics: ApiMetrics,
    pub(super) tokens: KnownTokens,
    pub(super) bookmarks: Bookmarks,
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
        stores: Stores,
        resolve: ResolveOptions,
        registry: &Registry,
        stopping: CancellationToken,
    ) -> prometheus::Result<Self> {
        let (tokens, bookmarks) = (KnownTokens::default(), Bookmarks::default());
        let (resolve, opened) = (Arc::new(resolve), Arc::default());
        Ok(Self {
            db,
            sealer,
            open: open_storage(stores.clone()),
            stores,
            resolve,
            opened,
            metrics: ApiMetrics::register(registry)?,
            tokens,
            bookmarks,
            stopping,
        })
    }
}
