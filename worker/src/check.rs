//! The command `check`: whether a worker could work with its settings, database and broker. Changes nothing.

use longshore_db::check::Migrates;
use longshore_telemetry::settings::InvalidSettings;
use longshore_telemetry::{Finding, Findings};

use crate::config::Config;

/// Checks the settings, and if they are valid, the database, the keys and the broker.
pub async fn run(config: Result<Config, InvalidSettings>) -> Findings {
    let config = match config {
        Ok(config) => config,
        Err(error) => return Findings::of_settings(&error),
    };
    let mut findings = Findings::default();
    findings.add(Finding::ok("settings", "all settings are valid"));
    let Config { database, secret_keys, database_patience, broker, .. } = &config;
    findings.extend(longshore_db::check::check(database, secret_keys, *database_patience, Migrates::Never).await);
    findings.extend(longshore_db::check::check_host(database, config.host, *database_patience).await);
    findings.extend(longshore_broker::check(broker).await);
    findings
}
