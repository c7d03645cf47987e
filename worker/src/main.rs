//! The `longshore-worker` binary.

use longshore_worker::config::Config;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    longshore_worker::run(Config::from_env()?).await
}
