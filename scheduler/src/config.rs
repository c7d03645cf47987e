//! The scheduler's configuration. Defaults and descriptions are in `longshore_telemetry::settings::table`.

use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::time::Duration;

use longshore_model::Secret;
use longshore_storage::Operator;
use longshore_telemetry::LogSettings;
use longshore_telemetry::settings::{Environment, InvalidSettings, Program, table};

use crate::api::{LoadLimits, Origins, ResolveOptions};

/// Everything that an operator sets.
#[derive(Debug)]
pub struct Config {
    /// `DATABASE_URL`.
    pub database_url: Secret,
    /// `AMQP_URL`.
    pub amqp_url: Secret,
    /// `LONGSHORE_SECRET_KEYS`.
    pub secret_keys: Secret,
    /// `LONGSHORE_TOKEN`: the first admin token.
    pub token: Secret,
    /// `LONGSHORE_LISTEN`: the API, health and metrics.
    pub listen: SocketAddr,
    /// `LONGSHORE_METRICS_LISTEN`: health and metrics once more, on an address of their own.
    pub metrics_listen: Option<SocketAddr>,
    /// `LONGSHORE_CONNECTIONS`: open client sockets. By default a third more than requests and streams together, so that
    /// clients keep theirs between requests. A head may take 32 KiB of each, so more would need more memory; fewer would
    /// leave requests that no socket can carry.
    pub connections: usize,
    /// `LONGSHORE_PEER_CONNECTIONS`: open sockets of one address; three quarters of all by default.
    pub peer_connections: Option<usize>,
    /// `LONGSHORE_REQUESTS`, `LONGSHORE_TOKEN_REQUESTS`, `LONGSHORE_STREAMS`, `LONGSHORE_TOKEN_STREAMS`. More requests
    /// would only wait for the database; fewer would refuse hosts that stream objects to many browsers. One token has a
    /// quarter by default, so that it takes four to fill the process.
    pub load: LoadLimits,
    /// `LONGSHORE_ALLOWED_ENDPOINTS`.
    pub allowed_endpoints: String,
    /// What the environment says about storages.
    pub operator: Operator,
    /// `LONGSHORE_API_MEMORY_MB`: what large answers and bodies may take together, in bytes. A scheduler without clients
    /// takes some 60 MiB; heads of all sockets take 32 MiB, and small bodies and answers of all requests and streams
    /// 80 MiB: with the default it stays below 512 MiB.
    pub api_memory_bytes: usize,
    /// `LONGSHORE_SEND_SECONDS`: how long a client may read nothing of an answer.
    pub send: Duration,
    pub logs: LogSettings,
    /// `LONGSHORE_DATABASE_PATIENCE_SECONDS`: how long the database may be silent in the middle of
    /// some work before its connection counts as dead.
    pub database_patience: Duration,
    /// `LONGSHORE_RESCUE_SECONDS`: how often to look for jobs whose worker is gone.
    pub rescue: Duration,
    /// `LONGSHORE_KEEP_DAYS`: how long to keep syncs that ended.
    pub keep_days: i32,
    /// `LONGSHORE_PUBLIC_URL`: where browsers reach this API, such as `https://label.example.com/sync`.
    pub public_url: String,
    /// `LONGSHORE_LINK_SECONDS`: how long a link to an object is good, at least.
    pub link_lifetime: Duration,
    /// `LONGSHORE_ALLOWED_ORIGINS`: pages on other sites whose scripts may read answers.
    pub allowed_origins: Origins,
}

impl Config {
    /// What is decided about resolving URIs.
    pub fn resolve(&self) -> ResolveOptions {
        ResolveOptions {
            public_url: self.public_url.clone(),
            link_lifetime: self.link_lifetime,
            allowed_origins: self.allowed_origins.clone(),
            local_files_serving: self.operator.local_files_serving,
            local_files_root: self.operator.local_files_root.clone(),
        }
    }
}

/// What the command that rotates keys is told: no broker, no token.
#[derive(Debug)]
pub struct RotationConfig {
    /// `DATABASE_URL`.
    pub database_url: Secret,
    /// `LONGSHORE_SECRET_KEYS`.
    pub secret_keys: Secret,
    /// `LONGSHORE_DATABASE_PATIENCE_SECONDS`.
    pub database_patience: Duration,
}

impl RotationConfig {
    /// Reads the environment of this process.
    ///
    /// # Errors
    /// Names every setting at fault.
    pub fn from_env() -> Result<Self, InvalidSettings> {
        let mut read = Environment::of_process(Program::Scheduler);
        let config = Self {
            database_url: secret(read.text(&table::DATABASE_URL)),
            secret_keys: secret(read.text(&table::SECRET_KEYS)),
            database_patience: read.seconds(&table::DATABASE_PATIENCE_SECONDS),
        };
        read.finish().map(|()| config)
    }
}

/// The first token gives access to everything, so it must be hard to guess. A generated one is longer.
const SHORTEST_TOKEN: usize = 16;

impl Config {
    /// Reads the environment of this process.
    ///
    /// # Errors
    /// Names every setting at fault.
    pub fn from_env() -> Result<Self, InvalidSettings> {
        Self::read(Environment::of_process(Program::Scheduler))
    }

    fn read(mut read: Environment<'_>) -> Result<Self, InvalidSettings> {
        let config = Self {
            database_url: secret(read.text(&table::DATABASE_URL)),
            amqp_url: secret(read.text(&table::AMQP_URL)),
            secret_keys: secret(read.text(&table::SECRET_KEYS)),
            token: first_token(&mut read),
            listen: read.parsed(&table::LISTEN).unwrap_or(SocketAddr::from(([0, 0, 0, 0], 0))),
            metrics_listen: read.parsed(&table::METRICS_LISTEN),
            connections: read.count(&table::CONNECTIONS),
            peer_connections: read.parsed(&table::PEER_CONNECTIONS).map(NonZeroUsize::get),
            load: LoadLimits {
                requests: read.count(&table::REQUESTS),
                token_requests: read.count(&table::TOKEN_REQUESTS),
                streams: read.count(&table::STREAMS),
                token_streams: read.count(&table::TOKEN_STREAMS),
            },
            allowed_endpoints: read.text(&table::ALLOWED_ENDPOINTS).unwrap_or_default(),
            operator: Operator::read(&mut read),
            api_memory_bytes: usize::try_from(read.mebibytes(&table::API_MEMORY_MB)).unwrap_or(usize::MAX).max(1 << 20),
            send: read.seconds(&table::SEND_SECONDS),
            logs: LogSettings::read(&mut read),
            database_patience: read.seconds(&table::DATABASE_PATIENCE_SECONDS),
            rescue: read.seconds(&table::RESCUE_SECONDS),
            keep_days: read.number(&table::KEEP_DAYS),
            public_url: read.text(&table::PUBLIC_URL).unwrap_or_default().trim_end_matches('/').to_owned(),
            link_lifetime: read.seconds(&table::LINK_SECONDS),
            allowed_origins: read.parsed(&table::ALLOWED_ORIGINS).unwrap_or(Origins::These(Vec::new())),
        };
        read.finish().map(|()| config)
    }
}

fn secret(text: Option<String>) -> Secret {
    Secret::new(text.unwrap_or_default())
}

fn first_token(read: &mut Environment<'_>) -> Secret {
    let token = read.text(&table::TOKEN);
    let is_strong = |token: &String| token.len() >= SHORTEST_TOKEN && token.bytes().all(|byte| byte.is_ascii_graphic());
    if token.as_ref().is_some_and(|token| !is_strong(token)) {
        let fault = format!(
            "must be {SHORTEST_TOKEN} or more printable characters without spaces (make one with: openssl rand -hex 20)"
        );
        read.fault(&table::TOKEN, fault);
    }
    secret(token)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TOKEN: &str = "0123456789abcdef";

    const NEEDED: [(&str, &str); 4] = [
        ("DATABASE_URL", "postgres://u:pw@h/d"),
        ("AMQP_URL", "a"),
        ("LONGSHORE_SECRET_KEYS", "k"),
        ("LONGSHORE_TOKEN", TOKEN),
    ];

    fn read(variables: &[(&str, &str)]) -> Result<Config, InvalidSettings> {
        Config::read(Environment::new(Program::Scheduler, |name| {
            variables.iter().rev().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned())
        }))
    }

    #[test]
    fn everything_that_is_missing_is_named_at_once() {
        let error = read(&[("AMQP_URL", "amqp://x")]).unwrap_err().to_string();
        for name in ["DATABASE_URL", "LONGSHORE_SECRET_KEYS", "LONGSHORE_TOKEN"] {
            assert!(error.contains(&format!("{name} must be set")), "{error}");
        }
        assert!(!error.contains("AMQP_URL"), "{error}");
    }

    #[test]
    fn what_all_clients_may_hold_by_default_fits_into_512_mib() {
        const MIB: usize = 1024 * 1024;
        // Of an idle process, as measured.
        const BASE: usize = 60 * MIB;
        // A body or an answer of a request, and what a stream has not sent.
        const UNCOUNTED: usize = 64 * 1024;
        let config = read(&NEEDED).unwrap();
        let heads = config.connections * longshore_telemetry::LARGEST_HEAD;
        let small = (2 * config.load.requests + config.load.streams) * UNCOUNTED;
        let all = BASE + heads + small + config.api_memory_bytes;
        assert!(all <= 512 * MIB, "{} MiB", all / MIB);
        assert_eq!(config.load.within(config.connections), config.load, "each request has a socket");
    }

    #[test]
    fn secrets_do_not_print_and_what_is_not_understood_is_named() {
        let config = read(&NEEDED).unwrap();
        assert!(!format!("{config:?}").contains(TOKEN) && !format!("{config:?}").contains("u:pw"));
        let wrong = [&NEEDED[..], &[("LONGSHORE_LISTEN", "here")]].concat();
        assert!(read(&wrong).unwrap_err().to_string().contains("LONGSHORE_LISTEN"));
        let none = [&NEEDED[..], &[("LONGSHORE_TOKEN_REQUESTS", "0")]].concat();
        assert!(read(&none).unwrap_err().to_string().contains("LONGSHORE_TOKEN_REQUESTS"));
        let short = [&NEEDED[..3], &[("LONGSHORE_TOKEN", "short")]].concat();
        assert!(read(&short).unwrap_err().to_string().contains("openssl rand"));
    }
}
