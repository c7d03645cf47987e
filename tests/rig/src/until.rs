//! Waits for a state.

use std::time::Duration;

/// How long a test waits for a state before it fails. Long, because the machine may be busy.
pub const PATIENCE: Duration = Duration::from_secs(90);

/// Calls `ask` until it returns `Some`. Fails the test with `what` after [`PATIENCE`].
pub async fn until<T, F: Future<Output = Option<T>>>(what: &str, ask: impl FnMut() -> F) -> T {
    until_within(PATIENCE, what, ask).await
}

/// [`until`] with another patience. It only keeps a test from waiting without end; it is not a promise about time.
pub async fn until_within<T, F: Future<Output = Option<T>>>(
    patience: Duration,
    what: &str,
    mut ask: impl FnMut() -> F,
) -> T {
    let asking = async {
        loop {
            if let Some(answer) = ask().await {
                return answer;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(patience, asking)
        .await
        .unwrap_or_else(|_| panic!("not reached within {} s: {what}", patience.as_secs()))
}
