//! The `longshore-worker` binary.

use longshore_worker::config::Config;

/// Threads for blocking work: name look-ups, files, and one computation per processor. Each thread takes some memory;
/// with fewer threads, slow name servers of one storage would delay other storages.
const BLOCKING_THREADS: usize = 32;

fn main() -> anyhow::Result<()> {
    longshore_telemetry::tune_allocator();
    let runtime =
        tokio::runtime::Builder::new_multi_thread().enable_all().max_blocking_threads(BLOCKING_THREADS).build()?;
    runtime.block_on(async { longshore_worker::run(Config::from_env()?).await })
}
