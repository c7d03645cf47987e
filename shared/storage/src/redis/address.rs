//! Where a database is, and as whom it is entered.

use std::hash::{Hash, Hasher};

use longshore_model::{RedisConnection, Secret};

use crate::InvalidSetting;

const DEFAULT_HOST: &str = "localhost";
const DEFAULT_PORT: u16 = 6379;

/// Where a database is, and as whom it is entered. Equal addresses share a connection.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct RedisAddress {
    pub(super) host: String,
    pub(super) port: u16,
    pub(super) db: u16,
    pub(super) username: Option<String>,
    pub(super) password: Option<Secret>,
    pub(super) tls: bool,
    /// Host and port as one text.
    pub(super) endpoint: String,
}

/// Secrets have no hash: two passwords for one user are rare.
impl Hash for RedisAddress {
    fn hash<H: Hasher>(&self, state: &mut H) {
        (&self.endpoint, self.db, &self.username).hash(state);
    }
}

impl RedisAddress {
    pub(super) fn new(connection: &RedisConnection, password: Option<Secret>) -> Result<Self, InvalidSetting> {
        let host = given(connection.host.as_deref()).unwrap_or(DEFAULT_HOST);
        let is_host = |c: char| c.is_alphanumeric() || matches!(c, '.' | '-' | '_' | ':' | '[' | ']');
        if !host.chars().all(is_host) {
            let message = "a host name or an address alone, without redis://, port, user or path";
            return Err(InvalidSetting::new("host", message));
        }
        let port = match given(connection.port.as_deref()) {
            None => DEFAULT_PORT,
            Some(port) => port
                .parse()
                .ok()
                .filter(|port| *port > 0)
                .ok_or_else(|| InvalidSetting::new("port", "a number from 1 to 65535"))?,
        };
        let bare = host.trim_start_matches('[').trim_end_matches(']');
        Ok(Self {
            host: bare.to_owned(),
            port,
            db: connection.db,
            username: given(connection.username.as_deref()).map(str::to_owned),
            password,
            tls: connection.tls,
            endpoint: connection.endpoint(),
        })
    }
}

fn given(text: Option<&str>) -> Option<&str> {
    text.map(str::trim).filter(|text| !text.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(host: &str, port: &str) -> Result<RedisAddress, InvalidSetting> {
        let connection =
            RedisConnection { host: Some(host.into()), port: Some(port.into()), ..RedisConnection::default() };
        RedisAddress::new(&connection, None)
    }

    #[test]
    fn host_and_port_have_defaults_and_v6_addresses_their_brackets() {
        let endpoint = |host, port| address(host, port).unwrap().endpoint;
        assert_eq!(endpoint(" ", ""), "localhost:6379");
        assert_eq!(endpoint("redis.lan", " 6380 "), "redis.lan:6380");
        assert_eq!(endpoint("::1", "1"), "[::1]:1");
        assert_eq!(endpoint("[::1]", "1"), "[::1]:1");
    }

    #[test]
    fn what_is_no_host_or_no_port_is_named() {
        for host in ["redis://h", "h/0", "user@h", "a b", "h\r\nx"] {
            assert_eq!(address(host, "1").err().unwrap().field, "host", "{host:?}");
        }
        for port in ["0", "65536", "-1", "redis"] {
            assert_eq!(address("h", port).err().unwrap().field, "port", "{port:?}");
        }
    }
}
