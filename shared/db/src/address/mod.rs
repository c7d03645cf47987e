//! The address of the database: hosts, database, role, and how the connection is encrypted. Every connection of every
//! program begins here.
//!
//! A password must not cross a network unencrypted because a server, or an attacker who answers in its place, says that it
//! speaks no TLS. So there is no fall-back: a connection has TLS or has none, as the URL says, and without a word in
//! the URL only this machine is reached without.

mod invalid;
mod parameters;

use std::fmt;
use std::net::IpAddr;
use std::path::PathBuf;

use longshore_model::Secret;
use longshore_telemetry::settings::{Environment, table};
use longshore_telemetry::{TlsOptions, is_loopback, tls_config_of, tls_config_without_trust};
use tokio_postgres::config::{Host, SslMode, SslNegotiation};
use tokio_postgres::tls::MakeTlsConnect;
use tokio_postgres::{Client, Config, Connection, Socket};
use tokio_postgres_rustls::MakeRustlsConnect;

pub use invalid::InvalidAddress;
use parameters::Parameters;

/// What the TLS protocol calls Postgres, for `sslnegotiation=direct`.
const ALPN: &[u8] = b"postgresql";

/// Where the database is and how to connect to it. Its `Debug` has no password.
#[derive(Clone)]
pub struct Address {
    pub(crate) config: Config,
    pub(crate) tls: MakeRustlsConnect,
    mode: Mode,
}

/// A connection's stream with TLS.
type Encrypted = <MakeRustlsConnect as MakeTlsConnect<Socket>>::Stream;

/// How a connection is encrypted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mode {
    /// Not at all: the server is on this machine.
    Local,
    /// Not at all, although the server is on a network: the operator said so.
    Plaintext,
    /// TLS, with a certificate for the host name.
    FullCheck,
    /// TLS, with a certificate for any name.
    AuthorityCheck,
}

impl Address {
    /// Reads `DATABASE_URL`. An invalid one is a fault of the settings.
    pub fn read(read: &mut Environment<'_>) -> Self {
        let text = read.text(&table::DATABASE_URL);
        match text.map(Secret::new).map(|url| Self::parse(&url)) {
            Some(Ok(address)) => return address,
            Some(Err(error)) => read.fault(&table::DATABASE_URL, error),
            None => {}
        }
        Self::nowhere()
    }

    /// Parses a URL, or `key=value` pairs, as libpq reads them.
    ///
    /// # Errors
    /// The URL is malformed, its certificate files cannot be used, or its connections would be unencrypted without a
    /// word about that.
    pub fn parse(url: &Secret) -> Result<Self, InvalidAddress> {
        let Parameters { rest, sslmode, sslrootcert, sslcert, sslkey } = Parameters::split(url.expose())?;
        let mut config: Config = rest.parse().map_err(parameters::explain)?;
        if config.get_hosts().is_empty() && config.get_hostaddrs().is_empty() {
            return Err(InvalidAddress::new(
                "names no host: give postgres://user:password@host:5432/database".to_owned(),
            ));
        }
        let mode = Mode::of(sslmode.as_deref(), &config)?;
        let identity = match (sslcert, sslkey) {
            (Some(chain), Some(key)) => Some((PathBuf::from(chain), PathBuf::from(key))),
            (None, None) => None,
            _ => return Err(InvalidAddress::new("needs both sslcert and sslkey, or neither".to_owned())),
        };
        let authorities = sslrootcert.filter(|file| file != "system").map(PathBuf::from);
        // For any name, a public authority has certified everyone. libpq refuses this, too.
        if mode == Mode::AuthorityCheck && authorities.is_none() {
            return Err(InvalidAddress::new(
                "has sslmode=verify-ca, which accepts any name, without a private authority: add \
                 sslrootcert=/path/to/ca.pem, or use verify-full"
                    .to_owned(),
            ));
        }
        let tls = if mode.is_encrypted() {
            config.ssl_mode(SslMode::Require);
            tls_config_of(&TlsOptions { authorities, accepts_other_names: mode == Mode::AuthorityCheck, identity })
        } else {
            config.ssl_mode(SslMode::Disable);
            tls_config_without_trust().map_err(Into::into)
        };
        let mut tls = tls.map_err(|error| {
            InvalidAddress::new(format!("cannot be used: {}", longshore_telemetry::error_chain(&error)))
        })?;
        if config.get_ssl_negotiation() == SslNegotiation::Direct {
            tls.alpn_protocols = vec![ALPN.to_vec()];
        }
        Ok(Self { config, tls: MakeRustlsConnect::new(tls), mode })
    }

    /// Opens a single connection. The caller must drive the second value.
    ///
    /// # Errors
    /// The server is unavailable or refuses the connection.
    pub async fn connect(&self) -> Result<(Client, Connection<Socket, Encrypted>), tokio_postgres::Error> {
        Box::pin(self.config.connect(self.tls.clone())).await
    }

    /// Whether data and passwords cross a network unencrypted.
    pub fn is_plaintext(&self) -> bool {
        self.mode == Mode::Plaintext
    }

    /// Warns if data and passwords cross a network unencrypted. Call it once the logs are set up.
    pub fn warn_of_plaintext(&self) {
        if self.is_plaintext() {
            tracing::warn!(
                event = "database_plaintext",
                database.host = self.hosts(),
                "connections to Postgres are not encrypted: everyone on the network can read passwords and tasks"
            );
        }
    }

    /// The hosts with their ports, such as `db1:5432, db2:5432`, or the folder of a Unix socket.
    pub fn hosts(&self) -> String {
        let (hosts, addresses, ports) = (self.config.get_hosts(), self.config.get_hostaddrs(), self.config.get_ports());
        let host = |index: usize| {
            let port = ports.get(index).or_else(|| ports.first()).copied().unwrap_or(5432);
            match (hosts.get(index), addresses.get(index)) {
                (Some(Host::Unix(folder)), _) => folder.display().to_string(),
                (Some(Host::Tcp(name)), None) if name.contains(':') => format!("[{name}]:{port}"),
                (Some(Host::Tcp(name)), None) => format!("{name}:{port}"),
                (Some(Host::Tcp(name)), Some(address)) => format!("{name}:{port} ({address})"),
                (None, Some(address)) => format!("{}", std::net::SocketAddr::new(*address, port)),
                (None, None) => String::new(),
            }
        };
        (0..hosts.len().max(addresses.len())).map(host).collect::<Vec<_>>().join(", ")
    }

    /// The database's name.
    pub fn database(&self) -> &str {
        self.config.get_dbname().or_else(|| self.config.get_user()).unwrap_or_default()
    }

    /// The role that connects. Empty if the URL names none.
    pub fn role(&self) -> &str {
        self.config.get_user().unwrap_or_default()
    }

    /// How connections are encrypted, in words.
    pub(crate) fn encryption(&self) -> &'static str {
        match self.mode {
            Mode::Local => "not encrypted, on this machine",
            Mode::Plaintext => "NOT encrypted",
            Mode::FullCheck => "TLS, certificate and host name checked",
            Mode::AuthorityCheck => "TLS, certificate checked, host name not",
        }
    }

    /// The address of no server, for settings that are refused anyway.
    fn nowhere() -> Self {
        let tls = tls_config_without_trust().expect("the TLS library accepts its own defaults");
        Self { config: Config::new(), tls: MakeRustlsConnect::new(tls), mode: Mode::Local }
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Address").field("hosts", &self.hosts()).field("database", &self.database()).finish()
    }
}

impl Mode {
    fn of(sslmode: Option<&str>, config: &Config) -> Result<Self, InvalidAddress> {
        let place = Place::of(config);
        match sslmode {
            Some("disable") if place.is_local() => Ok(Self::Local),
            Some("disable") => Ok(Self::Plaintext),
            // Sockets of this machine have no TLS; libpq ignores the mode there, too.
            Some("require" | "verify-ca" | "verify-full") if place.has_socket => match place.has_network {
                false => Ok(Self::Local),
                true => Err(InvalidAddress::new(
                    "mixes Unix sockets, which have no TLS, with hosts that need it".to_owned(),
                )),
            },
            Some("require" | "verify-full") => Ok(Self::FullCheck),
            Some("verify-ca") => Ok(Self::AuthorityCheck),
            None | Some("prefer" | "allow") if place.is_local() => Ok(Self::Local),
            None | Some("prefer" | "allow") => Err(InvalidAddress::new(format!(
                "{}, and {} is not this machine, so the password could cross the network unencrypted: add \
                 sslmode=verify-full (and sslrootcert=/path/to/ca.pem for a private authority), or sslmode=disable if \
                 everyone on that network may read it",
                match sslmode {
                    None => "has no sslmode".to_owned(),
                    Some(mode) => format!("has sslmode={mode}"),
                },
                place.remote.as_deref().unwrap_or("the host"),
            ))),
            Some(_) => Err(InvalidAddress::new(
                "has an unknown sslmode: use disable, require, verify-ca or verify-full".to_owned(),
            )),
        }
    }

    const fn is_encrypted(self) -> bool {
        matches!(self, Self::FullCheck | Self::AuthorityCheck)
    }
}

/// What the hosts of an address are.
struct Place {
    has_socket: bool,
    has_network: bool,
    /// The first host that is not this machine.
    remote: Option<String>,
}

impl Place {
    fn of(config: &Config) -> Self {
        let (hosts, addresses) = (config.get_hosts(), config.get_hostaddrs());
        // An address overrides its host, whose name then only serves to check the certificate.
        let connected: Vec<String> = if addresses.is_empty() {
            let named =
                hosts.iter().filter_map(|host| if let Host::Tcp(name) = host { Some(name.clone()) } else { None });
            named.collect()
        } else {
            addresses.iter().map(IpAddr::to_string).collect()
        };
        Self {
            has_socket: addresses.is_empty() && hosts.iter().any(|host| matches!(host, Host::Unix(_))),
            has_network: !connected.is_empty(),
            remote: connected.into_iter().find(|host| !is_loopback(host)),
        }
    }

    const fn is_local(&self) -> bool {
        self.remote.is_none()
    }
}

#[cfg(test)]
mod tests;
