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
            return Err(InvalidSetting::new("host", more_than_a_host(host)));
        }
        // An IPv6 address has more colons.
        if let Some((name, port)) = host.split_once(':').filter(|(_, port)| !port.contains(':') && !host.contains('['))
        {
            let message = format!("must be the host alone: write `{name}` and put `{port}` into `port`");
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

/// What to change about a host that is a URL or has a path. Repeats no user and no password.
fn more_than_a_host(text: &str) -> String {
    let mut message = "must be only a host name or an IP address, without redis://, port, user or path".to_owned();
    let rest = text.split_once("://").map_or(text, |(_, rest)| rest);
    let rest = rest.rsplit_once('@').map_or(rest, |(_, rest)| rest);
    let (server, path) = rest.split_once('/').unwrap_or((rest, ""));
    let (host, port) = server.rsplit_once(':').unwrap_or((server, ""));
    let is_plain = |text: &str| !text.is_empty() && text.chars().all(|c| c.is_alphanumeric() || ".-_".contains(c));
    if !is_plain(host) {
        return message;
    }
    message.push_str(&format!(": write `{host}`"));
    for (value, setting) in [(port, "port"), (path, "db")] {
        if is_plain(value) && value.bytes().all(|byte| byte.is_ascii_digit()) {
            message.push_str(&format!(", put `{value}` into `{setting}`"));
        }
    }
    message
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
    fn a_url_is_refused_with_the_settings_that_its_parts_belong_to() {
        let message = |host| address(host, "").err().unwrap().message.into_owned();
        let said = message("redis://user:hunter2@redis.lan:6380/3");
        assert!(said.ends_with("write `redis.lan`, put `6380` into `port`, put `3` into `db`"), "{said}");
        assert!(!said.contains("hunter2") && !said.contains("s3"), "{said}");
        assert!(message("redis.lan:6380").ends_with("write `redis.lan` and put `6380` into `port`"));
        assert!(message("a b").ends_with("user or path"));
    }

    #[test]
    fn an_invalid_host_or_port_names_its_field() {
        for host in ["redis://h", "h/0", "user@h", "a b", "h\r\nx", "h:6380"] {
            assert_eq!(address(host, "1").err().unwrap().field, "host", "{host:?}");
        }
        for port in ["0", "65536", "-1", "redis"] {
            assert_eq!(address("h", port).err().unwrap().field, "port", "{port:?}");
        }
    }
}
