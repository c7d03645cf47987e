//! The one place where the scheduler reads its environment.

use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::str::FromStr;
use std::time::Duration;

use anyhow::{Context, Result};
use longshore_model::Secret;
use longshore_storage::Operator;

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
    /// `LONGSHORE_CONNECTIONS`: sockets of clients at once.
    pub connections: usize,
    /// `LONGSHORE_PEER_CONNECTIONS`: sockets of one address at once.
    pub peer_connections: Option<usize>,
    /// `LONGSHORE_REQUESTS`, `LONGSHORE_TOKEN_REQUESTS`, `LONGSHORE_STREAMS`, `LONGSHORE_TOKEN_STREAMS`.
    pub load: LoadLimits,
    /// `LONGSHORE_ALLOWED_ENDPOINTS`.
    pub allowed_endpoints: String,
    /// What the environment says about storages.
    pub operator: Operator,
    /// `LONGSHORE_API_MEMORY_MB`: what large answers and bodies may take together, in bytes.
    pub api_memory_bytes: usize,
    /// `LONGSHORE_SEND_SECONDS`: how long a client may read nothing of an answer.
    pub send: Duration,
    /// `LONGSHORE_LOG` and `LONGSHORE_LOG_FORMAT`.
    pub log_filter: String,
    pub log_format: String,
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
    /// Reads the environment.
    ///
    /// # Errors
    /// Names every variable that is missing, or the one that cannot be understood.
    pub fn from_env() -> Result<Self> {
        check_present(variable, &["DATABASE_URL", "LONGSHORE_SECRET_KEYS"])?;
        let secret = |name| Secret::new(variable(name).unwrap_or_default());
        Ok(Self {
            database_url: secret("DATABASE_URL"),
            secret_keys: secret("LONGSHORE_SECRET_KEYS"),
            database_patience: database_patience(variable)?,
        })
    }
}

/// Sockets of clients at once: a third more than what the requests and streams of [`LOAD`] hold, so that clients keep
/// theirs between requests. A head may take 32 KiB of each, so more would need more memory; fewer would leave places of
/// [`LOAD`] that no socket can take.
const CONNECTIONS: usize = 1_024;

/// What one scheduler answers at once. More requests would only wait for the database; fewer would refuse hosts that
/// stream objects to many browsers. One token has a quarter, so that it takes four to fill the process.
const LOAD: LoadLimits = LoadLimits { requests: 512, token_requests: 128, streams: 256, token_streams: 64 };

/// Memory for large answers and bodies, in MiB. A scheduler without clients takes some 60 MiB; heads of all sockets
/// take 32 MiB, and small bodies and answers of all requests and streams 80 MiB: together it stays below 512 MiB.
/// Lower, and fewer large answers are sent at once; higher, and the bound of 512 MiB is broken.
const DEFAULT_API_MEMORY_MB: usize = 320;

/// Whoever guesses the first token owns everything; a generated one is longer.
const SHORTEST_TOKEN: usize = 16;

impl Config {
    /// Reads the environment.
    ///
    /// # Errors
    /// Names every variable that is missing, or the one that cannot be understood.
    pub fn from_env() -> Result<Self> {
        Self::read(variable)
    }

    fn read(variable: impl Fn(&str) -> Option<String>) -> Result<Self> {
        check_present(&variable, &["DATABASE_URL", "AMQP_URL", "LONGSHORE_SECRET_KEYS", "LONGSHORE_TOKEN"])?;

        let text = |name| variable(name).unwrap_or_default();
        let token = text("LONGSHORE_TOKEN");
        anyhow::ensure!(
            token.len() >= SHORTEST_TOKEN && token.bytes().all(|byte| byte.is_ascii_graphic()),
            "LONGSHORE_TOKEN must be {SHORTEST_TOKEN} or more printable characters without spaces \
             (make one with: openssl rand -hex 20)"
        );
        Ok(Self {
            database_url: Secret::new(text("DATABASE_URL")),
            amqp_url: Secret::new(text("AMQP_URL")),
            secret_keys: Secret::new(text("LONGSHORE_SECRET_KEYS")),
            token: Secret::new(token),
            listen: parsed(&variable, "LONGSHORE_LISTEN", SocketAddr::from(([0, 0, 0, 0], 8080)))?,
            metrics_listen: variable("LONGSHORE_METRICS_LISTEN")
                .map(|text| text.parse().context("LONGSHORE_METRICS_LISTEN cannot be understood"))
                .transpose()?,
            connections: count(&variable, "LONGSHORE_CONNECTIONS", CONNECTIONS)?,
            peer_connections: variable("LONGSHORE_PEER_CONNECTIONS")
                .map(|_| count(&variable, "LONGSHORE_PEER_CONNECTIONS", CONNECTIONS))
                .transpose()?,
            load: LoadLimits {
                requests: count(&variable, "LONGSHORE_REQUESTS", LOAD.requests)?,
                token_requests: count(&variable, "LONGSHORE_TOKEN_REQUESTS", LOAD.token_requests)?,
                streams: count(&variable, "LONGSHORE_STREAMS", LOAD.streams)?,
                token_streams: count(&variable, "LONGSHORE_TOKEN_STREAMS", LOAD.token_streams)?,
            },
            allowed_endpoints: text("LONGSHORE_ALLOWED_ENDPOINTS"),
            operator: Operator::read(&variable),
            api_memory_bytes: parsed(&variable, "LONGSHORE_API_MEMORY_MB", DEFAULT_API_MEMORY_MB)?.max(1) << 20,
            send: seconds(&variable, "LONGSHORE_SEND_SECONDS", longshore_telemetry::SEND.as_secs_f64())?,
            log_filter: variable("LONGSHORE_LOG").unwrap_or_else(|| "info".to_owned()),
            log_format: variable("LONGSHORE_LOG_FORMAT").unwrap_or_else(|| "json".to_owned()),
            database_patience: database_patience(&variable)?,
            rescue: seconds(&variable, "LONGSHORE_RESCUE_SECONDS", 15.0)?,
            keep_days: parsed(&variable, "LONGSHORE_KEEP_DAYS", 90)?,
            public_url: text("LONGSHORE_PUBLIC_URL").trim_end_matches('/').to_owned(),
            link_lifetime: seconds(&variable, "LONGSHORE_LINK_SECONDS", 3600.0)?,
            allowed_origins: parsed(&variable, "LONGSHORE_ALLOWED_ORIGINS", Origins::These(Vec::new()))?,
        })
    }
}

#[expect(clippy::disallowed_methods, reason = "this is the file that reads the environment")]
fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

fn check_present(variable: impl Fn(&str) -> Option<String>, names: &[&str]) -> Result<()> {
    let missing: Vec<&str> = names.iter().copied().filter(|name| variable(name).is_none()).collect();
    anyhow::ensure!(missing.is_empty(), "these environment variables must be set: {}", missing.join(", "));
    Ok(())
}

fn database_patience(variable: impl Fn(&str) -> Option<String>) -> Result<Duration> {
    seconds(variable, "LONGSHORE_DATABASE_PATIENCE_SECONDS", longshore_db::PATIENCE.as_secs_f64())
}

fn parsed<T: FromStr>(variable: impl Fn(&str) -> Option<String>, name: &str, default: T) -> Result<T>
where
    T::Err: std::error::Error + Send + Sync + 'static,
{
    variable(name).map_or(Ok(default), |text| text.parse().with_context(|| format!("{name} cannot be understood")))
}

/// A count of at least one.
fn count(variable: impl Fn(&str) -> Option<String>, name: &str, default: usize) -> Result<usize> {
    Ok(parsed(variable, name, NonZeroUsize::new(default).unwrap_or(NonZeroUsize::MIN))?.get())
}

fn seconds(variable: impl Fn(&str) -> Option<String>, name: &str, default: f64) -> Result<Duration> {
    Duration::try_from_secs_f64(parsed(variable, name, default)?)
        .with_context(|| format!("{name} must be a number of seconds"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TOKEN: &str = "0123456789abcdef";

    fn read(variables: &[(&str, &str)]) -> Result<Config> {
        Config::read(|name| variables.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned()))
    }

    #[test]
    fn everything_that_is_missing_is_named_at_once() {
        let error = read(&[("AMQP_URL", "amqp://x")]).unwrap_err().to_string();
        assert!(error.ends_with("DATABASE_URL, LONGSHORE_SECRET_KEYS, LONGSHORE_TOKEN"), "{error}");
    }

    #[test]
    fn what_all_clients_may_hold_by_default_fits_into_512_mib() {
        const MIB: usize = 1024 * 1024;
        // Of an idle process, as measured.
        const BASE: usize = 60 * MIB;
        // A body or an answer of a request, and what a stream has not sent.
        const UNCOUNTED: usize = 64 * 1024;
        let heads = CONNECTIONS * longshore_telemetry::LARGEST_HEAD;
        let small = (2 * LOAD.requests + LOAD.streams) * UNCOUNTED;
        let all = BASE + heads + small + (DEFAULT_API_MEMORY_MB << 20);
        assert!(all <= 512 * MIB, "{} MiB", all / MIB);
        assert_eq!(LOAD.within(CONNECTIONS), LOAD, "each place has a socket");
    }

    #[test]
    fn secrets_do_not_print_and_what_is_not_understood_is_named() {
        let needed = [
            ("DATABASE_URL", "postgres://u:pw@h/d"),
            ("AMQP_URL", "a"),
            ("LONGSHORE_SECRET_KEYS", "k"),
            ("LONGSHORE_TOKEN", TOKEN),
        ];
        let config = read(&needed).unwrap();
        assert!(!format!("{config:?}").contains(TOKEN) && !format!("{config:?}").contains("u:pw"));
        let wrong = [&needed[..], &[("LONGSHORE_LISTEN", "here")]].concat();
        assert!(read(&wrong).unwrap_err().to_string().contains("LONGSHORE_LISTEN"));
        let none = [&needed[..], &[("LONGSHORE_TOKEN_REQUESTS", "0")]].concat();
        assert!(read(&none).unwrap_err().to_string().contains("LONGSHORE_TOKEN_REQUESTS"));
        let short = [&needed[..3], &[("LONGSHORE_TOKEN", "short")]].concat();
        assert!(read(&short).unwrap_err().to_string().contains("openssl rand"));
    }
}
