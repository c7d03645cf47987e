//! The `longshore-scheduler` binary.

use longshore_scheduler::config::Config;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    longshore_scheduler::run(Config::from_env()?).await
}
