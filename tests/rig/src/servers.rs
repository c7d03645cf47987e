//! The private servers of a test run: one set shared by most tests, one of its own for a test that
//! kills or restarts them.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use longshore_local::{Existing, Options, Stack};
use tokio::sync::OnceCell;

use crate::installed::workspace;

static SHARED: OnceCell<Arc<Stack>> = OnceCell::const_new();

/// Numbers databases, virtual hosts and folders of this run.
static NEXT: AtomicU64 = AtomicU64::new(0);

/// The servers that all tests of this run share: those of the run, or else this process starts them, and they end with it.
pub(crate) async fn shared() -> Arc<Stack> {
    let stack = SHARED
        .get_or_init(|| async {
            let options =
                Options { existing: Existing::of_test_run().or(Existing::from_env()), ..Options::for_tests() };
            Arc::new(start("shared", options).await)
        })
        .await;
    Arc::clone(stack)
}

/// Servers for one test alone.
pub(crate) async fn own() -> Arc<Stack> {
    Arc::new(start(&unique("own"), Options::for_tests()).await)
}

async fn start(name: &str, options: Options) -> Stack {
    Stack::start(folder(name), options).await.expect("the private servers start")
}

/// A name that no other test of this machine uses at the same time.
pub(crate) fn unique(what: &str) -> String {
    format!("{what}_{}_{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed))
}

/// A folder below the workspace's target folder.
pub(crate) fn folder(name: &str) -> PathBuf {
    workspace().join("target/local/tests").join(format!("{}-{name}", std::process::id()))
}
