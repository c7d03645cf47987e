//! The servers of a test run: most tests share one set; a test that kills or restarts servers has its own.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use longshore_local::{ExistingServers, Options, Stack};
use tokio::sync::OnceCell;

use crate::installed::workspace;

static SHARED: OnceCell<Arc<Stack>> = OnceCell::const_new();

/// The next number for names of databases, virtual hosts and folders.
static NEXT: AtomicU64 = AtomicU64::new(0);

/// The servers that all tests share: those that the test runner started, or servers of this process.
pub(crate) async fn shared() -> Arc<Stack> {
    let stack = SHARED
        .get_or_init(|| async {
            let options = Options {
                existing: ExistingServers::of_test_run().or(ExistingServers::from_env()),
                ..Options::for_tests()
            };
            Arc::new(start("shared", options).await)
        })
        .await;
    Arc::clone(stack)
}

/// Servers for one test.
pub(crate) async fn own() -> Arc<Stack> {
    Arc::new(start(&unique("own"), Options::for_tests()).await)
}

async fn start(name: &str, options: Options) -> Stack {
    Stack::start(folder(name), options).await.expect("the private servers start")
}

/// A name that no other test on this machine uses. The process ID alone does not suffice: in a long run of one process
/// for each test, IDs come again.
pub(crate) fn unique(what: &str) -> String {
    let (process, number) = (std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
    format!("{what}_{process}_{number}_{:06x}", rand::random::<u32>() >> 8)
}

/// A folder below the workspace's target folder.
pub(crate) fn folder(name: &str) -> PathBuf {
    workspace().join("target/local/tests").join(format!("{}-{name}", std::process::id()))
}
