//! The address of the broker: host, virtual host, user, and how the connection is encrypted.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use lapin::tcp::RustlsConnector;
use lapin::uri::{AMQPScheme, AMQPUri};
use longshore_model::Secret;
use longshore_telemetry::settings::{Environment, table};
use longshore_telemetry::{TlsOptions, error_chain, is_loopback, tls_config_of};

/// Seconds between heartbeats, unless the URL sets another value (`?heartbeat=`) or the broker asks for a shorter
/// one. Two missed heartbeats end the connection, so a half-open connection is noticed within 20 seconds. Below 5
/// seconds, `RabbitMQ` warns of false alarms on busy machines.
const HEARTBEAT_SECONDS: u16 = 10;

/// Where the broker is and how to connect to it. Its `Debug` has no password.
#[derive(Clone)]
pub struct Address {
    pub(crate) uri: AMQPUri,
    /// `None` for a connection without TLS.
    pub(crate) tls: Option<Arc<RustlsConnector>>,
    is_plaintext: bool,
}

/// Why a URL is no address. Completes a sentence that begins with `AMQP_URL`, and never has the URL.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct InvalidAddress(String);

/// What else the operator says about the connection.
#[derive(Debug, Clone, Default)]
pub struct AddressOptions {
    /// A PEM file with the authorities that `amqps://` trusts. `None` trusts those of the system.
    pub authorities: Option<PathBuf>,
    /// Whether `amqp://` may leave this machine.
    pub allow_plaintext: bool,
}

impl Address {
    /// Reads `AMQP_URL` and the settings about its encryption. An invalid one is a fault of the settings.
    pub fn read(read: &mut Environment<'_>) -> Self {
        let options = AddressOptions {
            authorities: read.text(&table::AMQP_CA_FILE).map(PathBuf::from),
            allow_plaintext: read.is_on(&table::ALLOW_PLAINTEXT),
        };
        let text = read.text(&table::AMQP_URL);
        match text.map(Secret::new).map(|url| Self::parse(&url, &options)) {
            Some(Ok(address)) => return address,
            Some(Err(error)) => read.fault(&table::AMQP_URL, error),
            None => {}
        }
        Self { uri: AMQPUri::default(), tls: None, is_plaintext: false }
    }

    /// Parses `amqp[s]://user:password@host:port/vhost`.
    ///
    /// # Errors
    /// The URL is malformed, the authorities cannot be used, or the connection would cross a network unencrypted and
    /// that is not allowed.
    pub fn parse(url: &Secret, options: &AddressOptions) -> Result<Self, InvalidAddress> {
        // The parser's error quotes the URL, with its password.
        let mut uri: AMQPUri = url
            .expose()
            .parse()
            .map_err(|_| InvalidAddress("must be amqps://user:password@host:5671/vhost".to_owned()))?;
        if let Some(host) = ipv6_host(url.expose()) {
            uri.authority.host = host.to_owned();
        }
        uri.query.heartbeat.get_or_insert(HEARTBEAT_SECONDS);
        let tls = match uri.scheme {
            AMQPScheme::AMQP => None,
            AMQPScheme::AMQPS => {
                let options = TlsOptions { authorities: options.authorities.clone(), ..TlsOptions::default() };
                let config = tls_config_of(&options)
                    .map_err(|error| InvalidAddress(format!("cannot be used: {}", error_chain(&error))))?;
                Some(Arc::new(RustlsConnector::from(Arc::new(config))))
            }
        };
        let is_plaintext = tls.is_none() && !is_loopback(&uri.authority.host);
        if is_plaintext && !options.allow_plaintext {
            return Err(InvalidAddress(format!(
                "is amqp://, and {} is not this machine, so the password would cross the network unencrypted: use \
                 amqps:// (and LONGSHORE_AMQP_CA_FILE for a private authority), or set LONGSHORE_ALLOW_PLAINTEXT=true if \
                 everyone on that network may read it",
                uri.authority.host
            )));
        }
        Ok(Self { uri, tls, is_plaintext })
    }

    /// Whether messages and the password cross a network unencrypted.
    pub fn is_plaintext(&self) -> bool {
        self.is_plaintext
    }

    /// Warns if messages and the password cross a network unencrypted. Call it once the logs are set up.
    pub fn warn_of_plaintext(&self) {
        if self.is_plaintext {
            tracing::warn!(
                event = "broker_plaintext",
                broker.host = self.host(),
                "connections to RabbitMQ are not encrypted: everyone on the network can read the password"
            );
        }
    }

    /// Host and port, such as `mq.example:5671`.
    pub fn host(&self) -> String {
        format!("{}:{}", self.uri.authority.host, self.uri.authority.port)
    }

    /// The virtual host.
    pub fn vhost(&self) -> &str {
        &self.uri.vhost
    }

    /// The user that connects.
    pub fn user(&self) -> &str {
        &self.uri.authority.userinfo.username
    }

    /// The host without the brackets of an IPv6 address.
    pub(crate) fn host_name(&self) -> &str {
        let host = self.uri.authority.host.as_str();
        host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host)
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Address").field("host", &self.host()).field("vhost", &self.vhost()).finish()
    }
}

/// The IPv6 address in a URL, with its brackets. The parser takes `localhost` for each of them.
fn ipv6_host(url: &str) -> Option<&str> {
    let (_, rest) = url.split_once("://")?;
    let authority = rest.split(['/', '?', '#']).next()?;
    let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    let end = host.strip_prefix('[')?.find(']')?;
    host.get(..end + 2)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(url: &str, allow_plaintext: bool) -> Result<Address, InvalidAddress> {
        Address::parse(&Secret::new(url), &AddressOptions { allow_plaintext, ..AddressOptions::default() })
    }

    #[test]
    fn an_invalid_url_is_refused_without_being_shown() {
        for url in ["", "hunter2", "http://user:hunter2@host", "amqp:hunter2", "amqp://u:hunter2@host:99999"] {
            let error = parse(url, true).unwrap_err().to_string();
            assert!(error.contains("amqps://") && !error.contains("hunter2"), "{error}");
        }
    }

    #[test]
    fn the_url_may_set_another_heartbeat() {
        let heartbeat = |url: &str| parse(url, false).unwrap().uri.query.heartbeat;
        assert_eq!(heartbeat("amqp://localhost"), Some(HEARTBEAT_SECONDS));
        assert_eq!(heartbeat("amqp://localhost?heartbeat=3"), Some(3));
    }

    #[test]
    fn another_machine_without_encryption_is_refused_with_advice_unless_allowed() {
        for url in ["amqp://u:hunter2@mq.example/v", "amqp://u:hunter2@10.0.0.1", "amqp://u:hunter2@[fd00::1]"] {
            let error = parse(url, false).unwrap_err().to_string();
            assert!(error.contains("amqps://") && error.contains("LONGSHORE_ALLOW_PLAINTEXT"), "{url}: {error}");
            assert!(!error.contains("hunter2"), "{error}");
            assert!(parse(url, true).unwrap().is_plaintext(), "{url}");
        }
        assert_eq!(parse("amqp://u:a%5Bb@[fd00::1]:7/v", true).unwrap().host(), "[fd00::1]:7");
        for url in ["amqp://u:p@localhost", "amqp://127.0.0.1:5/v", "amqp://[::1]", "amqps://u:p@mq.example"] {
            assert!(!parse(url, false).unwrap().is_plaintext(), "{url}");
        }
    }

    #[test]
    fn a_missing_file_of_authorities_is_named() {
        let options = AddressOptions { authorities: Some("/no/ca.pem".into()), allow_plaintext: false };
        let error = Address::parse(&Secret::new("amqps://u:hunter2@mq.example"), &options).unwrap_err().to_string();
        assert!(error.contains("/no/ca.pem") && !error.contains("hunter2"), "{error}");
    }
}
