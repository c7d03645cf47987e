//! The state that all handlers share.

use std::ops::Deref;
use std::sync::Arc;

use longshore_broker::Broker;
use longshore_db::host::HostKind;
use longshore_db::{Db, Sealer};
use longshore_storage::Stores;
use prometheus::Registry;
use tokio_util::sync::CancellationToken;

use super::access::{KnownTokens, LabelStudioAccess};
use super::client_address::TrustedProxies;
use super::dead_letters::DeadLetters;
use super::denials::Denials;
use super::load::Load;
use super::load_limits::LoadLimits;
use super::memory::Memory;
use super::metrics::ApiMetrics;
use super::offload::Offload;
use super::page_cursors::PageCursorCache;
use super::resolve::{ResolveOptions, StorageCache};
use super::storages::{OpenStorage, open_storage};
use super::sync_events::Feeds;
use crate::situation::Situation;

/// The state that all handlers share. Clones are cheap: each layer around a handler makes one per request.
#[derive(Clone)]
pub struct ApiState(Arc<Parts>);

impl Deref for ApiState {
    type Target = Parts;

    fn deref(&self) -> &Parts {
        &self.0
    }
}

/// The parts of [`ApiState`].
pub struct Parts {
    /// The API's own pool.
    pub(super) db: Db,
    /// The pool of the loops. Token look-ups use it, because they must not wait for slow requests.
    pub(super) system: Db,
    pub(super) sealer: Sealer,
    pub(super) stores: Stores,
    pub(super) open: Arc<OpenStorage>,
    pub(super) resolve: Arc<ResolveOptions>,
    pub(super) open_storages: StorageCache,
    /// Memory for answers: three quarters of `LONGSHORE_API_MEMORY_MB`.
    pub(super) memory: Memory,
    /// Memory for request bodies: the other quarter. It is separate, so that two requests cannot wait for each other's
    /// memory while each holds a part.
    pub(super) bodies: Memory,
    pub(super) offload: Offload,
    pub(super) metrics: ApiMetrics,
    pub(super) tokens: KnownTokens,
    pub(crate) denials: Denials,
    pub(super) proxies: TrustedProxies,
    pub(super) dead_letters: DeadLetters,
    pub(super) page_cursors: PageCursorCache,
    pub(super) load: Load,
    pub(super) feeds: Feeds,
    /// What this process knows about the servers that syncs wait for.
    pub(super) situation: Situation,
    /// The app that owns tasks and annotations.
    pub(super) host: HostKind,
    /// Label Studio, which knows its users. `None` if it is not the host, or its address is not known.
    pub(super) host_access: Option<LabelStudioAccess>,
    /// Ends event streams, which would otherwise delay the end of the process.
    pub(super) stopping: CancellationToken,
}

impl ApiState {
    /// Registers the API's metrics and makes the state. `system` is the pool of the loops; `memory_bytes` limits the
    /// memory of answers and bodies.
    ///
    /// # Errors
    /// The registry already has these metrics.
    #[expect(clippy::too_many_arguments, reason = "wiring: each is named by its type, and there is one caller")]
    pub fn new(
        db: Db,
        system: Db,
        sealer: Sealer,
        stores: Stores,
        broker: Broker,
        resolve: ResolveOptions,
        proxies: TrustedProxies,
        limits: LoadLimits,
        memory_bytes: usize,
        registry: &Registry,
        situation: Situation,
        host: HostKind,
        host_access: Option<LabelStudioAccess>,
        stopping: CancellationToken,
    ) -> prometheus::Result<Self> {
        let tokens = KnownTokens::register(registry)?;
        let metrics = ApiMetrics::register(registry)?;
        let denials = Denials::register(registry)?;
        let resolve = Arc::new(resolve);
        Ok(Self(Arc::new(Parts {
            db,
            system,
            sealer,
            open: open_storage(stores.clone()),
            stores,
            resolve,
            open_storages: StorageCache::default(),
            load: Load::new(limits, metrics.streams.clone()),
            memory: Memory::new(memory_bytes / 4 * 3),
            bodies: Memory::new(memory_bytes / 4),
            offload: Offload::default(),
            metrics,
            tokens,
            denials,
            proxies,
            dead_letters: DeadLetters::new(broker),
            page_cursors: PageCursorCache::default(),
            feeds: Feeds::default(),
            situation,
            host,
            host_access,
            stopping,
        })))
    }
}
