//! Checks the health of every process continuously.

use std::fmt::Write;
use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;
use longshore_local::App;
use longshore_rig::rig::{PATIENCE, Rig};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// Pause of a prober between two requests.
const PAUSE: Duration = Duration::from_millis(100);

/// Probes all processes until `over`. Returns the number of answers and the slowest.
///
/// # Panics
/// If a process does not answer 200.
pub(super) async fn health(rig: Arc<Rig>, over: CancellationToken) -> String {
    let apps = rig.schedulers.iter().chain(&rig.workers);
    let mut text = String::new();
    for (app, (count, slowest)) in apps.clone().zip(join_all(apps.map(|app| answers_of(app, &over))).await) {
        writeln!(text, "{:<12} {count:>5} times 200, slowest {slowest:.2?}", app.process.name())
            .expect("a string takes all");
    }
    text
}

async fn answers_of(app: &App, over: &CancellationToken) -> (usize, Duration) {
    // A new socket for each request, as probes of an orchestrator use.
    let http = reqwest::Client::builder().no_proxy().pool_max_idle_per_host(0).timeout(PATIENCE);
    let http = http.build().expect("an HTTP client");
    let url = format!("{}/healthz", app.url());
    let (mut count, mut slowest) = (0, Duration::ZERO);
    while !over.is_cancelled() {
        let asked = Instant::now();
        let answer = http.get(&url).send().await;
        let answer = answer.unwrap_or_else(|error| panic!("{} has no health: {error:?}", app.process.name()));
        assert_eq!(answer.status(), 200, "health of {}", app.process.name());
        (count, slowest) = (count + 1, slowest.max(asked.elapsed()));
        tokio::time::sleep(PAUSE).await;
    }
    (count, slowest)
}
