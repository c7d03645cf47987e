//! The end of the demo by its user.

use anyhow::{Result, bail};
use tokio::signal::unix::{SignalKind, signal};

/// Waits for Ctrl-C or SIGTERM.
pub(super) async fn wait() -> Result<()> {
    let mut terminated = signal(SignalKind::terminate())?;
    tokio::select! {
        interrupted = tokio::signal::ctrl_c() => interrupted?,
        _ = terminated.recv() => {}
    }
    Ok(())
}

/// Waits for Ctrl-C or SIGTERM, which is an error.
pub(super) async fn error<T>() -> Result<T> {
    wait().await?;
    bail!("interrupted; all programs of the demo are stopped")
}
