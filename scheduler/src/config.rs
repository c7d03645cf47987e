//! The scheduler's configuration. Defaults and descriptions are in `longshore_telemetry::settings::table`.

use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::time::Duration;

use longshore_db::host::HostKind;
use longshore_model::Secret;
use longshore_storage::Operator;
use longshore_telemetry::LogSettings;
use longshore_telemetry::settings::{Environment, InvalidSettings, Program, Setting, table};

use crate::api::{LoadLimits, Origins, ResolveOptions, TrustedProxies};
use first_token::first_token;

mod first_token;

/// Everything that an operator sets.
#[derive(Debug)]
pub struct Config {
    /// `DATABASE_URL`.
    pub database: longshore_db::Address,
    /// `AMQP_URL`, `LONGSHORE_AMQP_CA_FILE`, `LONGSHORE_ALLOW_PLAINTEXT`.
    pub broker: longshore_broker::Address,
    /// `LONGSHORE_SECRET_KEYS`.
    pub secret_keys: Secret,
    /// `LONGSHORE_TOKEN`: the first admin token.
    pub token: Secret,
    /// `LONGSHORE_LISTEN`: the API, health and metrics.
    pub listen: SocketAddr,
    /// `LONGSHORE_METRICS_LISTEN`: a second address that serves only health and metrics; `None` opens none, and metrics
    /// are served on `listen`.
    pub metrics_listen: Option<SocketAddr>,
    /// `LONGSHORE_CONNECTIONS`: open client sockets. The default is a third more than requests and streams together, so
    /// that clients can keep idle sockets open. The head of a request may take 32 KiB per socket, so more sockets need
    /// more memory; with fewer, the limits on requests and streams could not be reached.
    pub connections: usize,
    /// `LONGSHORE_PEER_CONNECTIONS`: open sockets of one client address; `None` means three quarters of all.
    pub peer_connections: Option<usize>,
    /// `LONGSHORE_REQUESTS`, `LONGSHORE_TOKEN_REQUESTS`, `LONGSHORE_STREAMS`, `LONGSHORE_TOKEN_STREAMS`. With more,
    /// requests would only wait for the database; with fewer, hosts that stream objects to many browsers would be
    /// refused. By default one token may use a quarter, so that one token cannot fill the process.
    pub load: LoadLimits,
    /// `LONGSHORE_ALLOWED_ENDPOINTS`.
    pub allowed_endpoints: String,
    /// `LONGSHORE_HOST`.
    pub host: HostKind,
    /// `LONGSHORE_LABEL_STUDIO_URL`: where this scheduler reaches Label Studio. `None` with the native host.
    pub label_studio_url: Option<reqwest::Url>,
    /// The operator's settings for storages, such as the folder of local files.
    pub operator: Operator,
    /// `LONGSHORE_API_MEMORY_MB`: memory for all large answers and bodies together, in bytes. A scheduler without
    /// clients takes about 60 MiB, the request heads of all sockets 32 MiB, and the small bodies and answers of all
    /// requests and streams 80 MiB. With the default, the total stays below 512 MiB.
    pub api_memory_bytes: usize,
    /// `LONGSHORE_SEND_SECONDS`: an answer is aborted if its client reads nothing of it for this long.
    pub send: Duration,
    pub logs: LogSettings,
    /// `LONGSHORE_DATABASE_PATIENCE_SECONDS`: how long the database may take to answer before its
    /// connection counts as broken.
    pub database_patience: Duration,
    /// `LONGSHORE_RESCUE_SECONDS`: time between two ticks of the rescuer, which looks for expired leases.
    pub rescue: Duration,
    /// `LONGSHORE_KEEP_DAYS`: days after which the pruner deletes a sync that has ended.
    pub keep_days: i32,
    /// `LONGSHORE_AUDIT_DAYS`: days after which the pruner deletes an audit entry.
    pub audit_days: i32,
    /// `LONGSHORE_TRUSTED_PROXIES`, `LONGSHORE_FORWARDED_HEADER`: who may name another address than its own.
    pub proxies: TrustedProxies,
    /// `LONGSHORE_PUBLIC_URL`: where browsers reach this API, such as `https://label.example.com/sync`.
    pub public_url: String,
    /// `LONGSHORE_LINK_SECONDS`: how long a resolve link is valid at least; at most it is twice as long.
    pub link_lifetime: Duration,
    /// `LONGSHORE_ALLOWED_ORIGINS`: other sites whose scripts may read answers (CORS).
    pub allowed_origins: Origins,
}

impl Config {
    /// The settings that control how URIs are resolved.
    pub fn resolve(&self) -> ResolveOptions {
        ResolveOptions {
            public_url: self.public_url.clone(),
            link_lifetime: self.link_lifetime,
            allowed_origins: self.allowed_origins.clone(),
            local_files: self.operator.local_files_root.clone().filter(|_| self.operator.local_files_serving),
        }
    }
}

/// The settings of the `rotate-keys` command, which needs no broker and no token.
#[derive(Debug)]
pub struct RotationConfig {
    /// `DATABASE_URL`.
    pub database: longshore_db::Address,
    /// `LONGSHORE_SECRET_KEYS`.
    pub secret_keys: Secret,
    /// `LONGSHORE_DATABASE_PATIENCE_SECONDS`.
    pub database_patience: Duration,
}

impl RotationConfig {
    /// Reads the environment of this process.
    ///
    /// # Errors
    /// Names every setting that is missing or invalid.
    pub fn from_env() -> Result<Self, InvalidSettings> {
        let mut read = Environment::of_process(Program::Scheduler);
        let config = Self {
            database: longshore_db::Address::read(&mut read),
            secret_keys: secret(read.text(&table::SECRET_KEYS)),
            database_patience: read.seconds(&table::DATABASE_PATIENCE_SECONDS),
        };
        read.finish().map(|()| config)
    }
}

/// The settings of the `migrate` command.
#[derive(Debug)]
pub struct MigrationConfig {
    /// `DATABASE_URL`, with the role that owns the schema.
    pub database: longshore_db::Address,
    /// `LONGSHORE_DATABASE_PATIENCE_SECONDS`.
    pub database_patience: Duration,
}

impl MigrationConfig {
    /// Reads the environment of this process.
    ///
    /// # Errors
    /// Names every setting that is missing or invalid.
    pub fn from_env() -> Result<Self, InvalidSettings> {
        let mut read = Environment::of_process(Program::Scheduler);
        let config = Self {
            database: longshore_db::Address::read(&mut read),
            database_patience: read.seconds(&table::DATABASE_PATIENCE_SECONDS),
        };
        read.finish().map(|()| config)
    }
}

impl Config {
    /// Reads the environment of this process.
    ///
    /// # Errors
    /// Names every setting that is missing or invalid.
    pub fn from_env() -> Result<Self, InvalidSettings> {
        Self::read(Environment::of_process(Program::Scheduler))
    }

    fn read(mut read: Environment<'_>) -> Result<Self, InvalidSettings> {
        let config = Self {
            database: longshore_db::Address::read(&mut read),
            broker: longshore_broker::Address::read(&mut read),
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
            host: read.parsed(&table::HOST).unwrap_or_default(),
            label_studio_url: label_studio_url(&mut read),
            operator: Operator::read(&mut read),
            api_memory_bytes: usize::try_from(read.mebibytes(&table::API_MEMORY_MB)).unwrap_or(usize::MAX).max(1 << 20),
            send: read.seconds(&table::SEND_SECONDS),
            logs: LogSettings::read(&mut read),
            database_patience: read.seconds(&table::DATABASE_PATIENCE_SECONDS),
            rescue: read.seconds(&table::RESCUE_SECONDS),
            keep_days: days(&mut read, &table::KEEP_DAYS),
            audit_days: days(&mut read, &table::AUDIT_DAYS),
            proxies: TrustedProxies::new(
                read.parsed(&table::TRUSTED_PROXIES).unwrap_or_default(),
                read.parsed(&table::FORWARDED_HEADER).unwrap_or_default(),
            ),
            public_url: read.text(&table::PUBLIC_URL).unwrap_or_default().trim_end_matches('/').to_owned(),
            link_lifetime: read.seconds(&table::LINK_SECONDS),
            allowed_origins: read.parsed(&table::ALLOWED_ORIGINS).unwrap_or(Origins::These(Vec::new())),
        };
        read.finish().map(|()| config)
    }
}

/// Where Label Studio is, if it is the host: without it, none of its users could be told from strangers.
fn label_studio_url(read: &mut Environment<'_>) -> Option<reqwest::Url> {
    if read.parsed::<HostKind>(&table::HOST)? != HostKind::LabelStudio {
        return None;
    }
    let text = read.text(&table::LABEL_STUDIO_URL).unwrap_or_default();
    let url = text.parse::<reqwest::Url>().ok();
    let url = url.filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host());
    if url.is_none() {
        let fault =
            "must be the base URL of Label Studio, such as http://127.0.0.1:8080, with LONGSHORE_HOST=label-studio";
        read.fault(&table::LABEL_STUDIO_URL, fault);
    }
    url
}

/// A number of days of at least one. With zero or less, the pruner would delete what has just been written; before more
/// than a hundred years, Postgres may know no time.
fn days(read: &mut Environment<'_>, setting: &Setting) -> i32 {
    i32::try_from(read.count(setting)).unwrap_or(i32::MAX).min(36_500)
}

fn secret(text: Option<String>) -> Secret {
    Secret::new(text.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    const TOKEN: &str = "3f9c1a7be2d8406195c7";

    const NEEDED: [(&str, &str); 4] = [
        ("DATABASE_URL", "postgres://u:pw@localhost/d"),
        ("AMQP_URL", "amqp://localhost"),
        ("LONGSHORE_SECRET_KEYS", "k"),
        ("LONGSHORE_TOKEN", TOKEN),
    ];

    fn read(variables: &[(&str, &str)]) -> Result<Config, InvalidSettings> {
        Config::read(Environment::new(Program::Scheduler, |name| {
            variables.iter().rev().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned())
        }))
    }

    #[test]
    fn one_error_names_every_missing_setting() {
        let error = read(&[("AMQP_URL", "amqp://localhost")]).unwrap_err().to_string();
        for name in ["DATABASE_URL", "LONGSHORE_SECRET_KEYS", "LONGSHORE_TOKEN"] {
            assert!(error.contains(&format!("{name} must be set")), "{error}");
        }
        assert!(!error.contains("AMQP_URL"), "{error}");
    }

    #[test]
    fn beside_label_studio_its_url_is_required_and_checked() {
        let of = |host: &'static str, url: &'static str| {
            let variables = [("LONGSHORE_HOST", host), ("LONGSHORE_LABEL_STUDIO_URL", url)];
            read(&[&NEEDED[..], &variables[..]].concat())
        };
        for url in ["", "localhost:8080", "127.0.0.1:8080", "ftp://label.example", "http://", "/api", "unix:/run/x"] {
            let error = of("label-studio", url).expect_err(url).to_string();
            assert!(error.contains("LONGSHORE_LABEL_STUDIO_URL must be"), "{url}: {error}");
        }
        for url in ["http://127.0.0.1:8080", "https://label.example/ls/"] {
            assert_eq!(of("label-studio", url).unwrap().label_studio_url.unwrap(), url.parse().unwrap());
        }
        assert_eq!(of("native", "").unwrap().label_studio_url, None);
        assert_eq!(of("native", "http://127.0.0.1:8080").unwrap().label_studio_url, None, "no user of it is known");
    }

    #[test]
    fn the_memory_of_all_clients_fits_into_512_mib_by_default() {
        const MIB: usize = 1024 * 1024;
        // Memory of an idle process, measured.
        const BASE: usize = 60 * MIB;
        // A body or an answer of a request, or the unsent part of a stream.
        const UNCOUNTED: usize = 64 * 1024;
        let config = read(&NEEDED).unwrap();
        let heads = config.connections * longshore_telemetry::LARGEST_HEAD;
        let small = (2 * config.load.requests + config.load.streams) * UNCOUNTED;
        let all = BASE + heads + small + config.api_memory_bytes;
        assert!(all <= 512 * MIB, "{} MiB", all / MIB);
        assert_eq!(config.load.within(config.connections), config.load, "each request has a socket");
    }

    #[test]
    fn debug_hides_secrets_and_errors_name_the_invalid_setting() {
        let config = read(&NEEDED).unwrap();
        assert!(!format!("{config:?}").contains(TOKEN) && !format!("{config:?}").contains("u:pw"));
        let wrong = [&NEEDED[..], &[("LONGSHORE_LISTEN", "here")]].concat();
        assert!(read(&wrong).unwrap_err().to_string().contains("LONGSHORE_LISTEN"));
        let none = [&NEEDED[..], &[("LONGSHORE_TOKEN_REQUESTS", "0")]].concat();
        assert!(read(&none).unwrap_err().to_string().contains("LONGSHORE_TOKEN_REQUESTS"));
        let days = [&NEEDED[..], &[("LONGSHORE_AUDIT_DAYS", "-1")]].concat();
        assert!(read(&days).unwrap_err().to_string().contains("LONGSHORE_AUDIT_DAYS"));
        let short = [&NEEDED[..3], &[("LONGSHORE_TOKEN", "short")]].concat();
        assert!(read(&short).unwrap_err().to_string().contains("openssl rand"));
        let weak = [&NEEDED[..3], &[("LONGSHORE_TOKEN", "changemechangeme")]].concat();
        let error = read(&weak).unwrap_err().to_string();
        assert!(error.contains("LONGSHORE_TOKEN is too easy to guess") && !error.contains("changeme"), "{error}");
    }
}
