//! The address of a database, with the user and password.

use std::hash::{Hash, Hasher};

use longshore_model::{RedisConnection, Secret};

use crate::InvalidSetting;

const DEFAULT_HOST: &str = "localhost";
const DEFAULT_PORT: u16 = 6379;

/// The address of a database, with the user and password. Equal addresses share a connection.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct RedisAddress {
    pub(super) host: String,
    pub(super) port: u16,
    pub(super) db: u16,
    pub(super) username: Option<String>,
    pub(super) password: Option<Secret>,
    pub(super) tls: bool,
    /// `host:port`.
    pub(super) endpoint: String,
}

/// The password is not hashed: `Secret` has no hash, and two passwords for one user are rare.
impl Hash for RedisAddress {
    fn hash<H: Hasher>(&self, state: &mut H) {
        (&self.endpoint, self.db, &self.username).hash(state);
    }
}

impl RedisAddress {
    pub(super) fn new(connection: &RedisConnection, password: Option<Secret>) -> Result<Self, InvalidSetting> {
        let host = non_empty(connection.host.as_deref()).unwrap_or(DEFAULT_HOST);
        let is_host = |c: char| c.is_alphanumeric() || matches!(c, '.' | '-' | '_' | ':' | '[' | ']');
        if !host.chars().all(is_host) {
            let message = "must be only a host name or an IP address, without redis://, port, user or path";
            return Err(InvalidSetting::new("host", message));
        }
        let port = match non_empty(connection.port.as_deref()) {
            None => DEFAULT_PORT,
            Some(port) => port
                .parse()
                .ok()
                .filter(|port| *port > 0)
                .ok_or_else(|| InvalidSetting::new("port", "must be a number from 1 to 65535"))?,
        };
        let bare = host.trim_start_matches('[').trim_end_matches(']');
        Ok(Self {
            host: bare.to_owned(),
            port,
            db: connection.db,
            username: non_empty(connection.username.as_deref()).map(str::to_owned),
            password,
            tls: connection.tls,
            endpoint: connection.endpoint(),
        })
    }
}

fn non_empty(text: Option<&str>) -> Option<&str> {
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
    fn host_and_port_have_defaults_and_v6_addresses_get_brackets() {
        let endpoint = |host, port| address(host, port).unwrap().endpoint;
        assert_eq!(endpoint(" ", ""), "localhost:6379");
        assert_eq!(endpoint("redis.lan", " 6380 "), "redis.lan:6380");
        assert_eq!(endpoint("::1", "1"), "[::1]:1");
        assert_eq!(endpoint("[::1]", "1"), "[::1]:1");
    }

    #[test]
    fn an_invalid_host_or_port_names_its_field() {
        for host in ["redis://h", "h/0", "user@h", "a b", "h\r\nx"] {
            assert_eq!(address(host, "1").err().unwrap().field, "host", "{host:?}");
        }
        for port in ["0", "65536", "-1", "redis"] {
            assert_eq!(address("h", port).err().unwrap().field, "port", "{port:?}");
        }
    }
}
