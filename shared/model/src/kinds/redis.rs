//! A database of a Redis server.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use super::field::{Field, Secrecy};
use super::kind::{KindConnection, KindData, KindSecrets, UriForm};
use super::shared_fields::{EXPORT, IDENTITY, IMPORT};
use crate::{Direction, FailureReason, Secret};

/// The largest number of a database. Redis counts from 0, and servers rarely have more than 16.
const LAST_DB: i64 = 65_535;

const CONNECTION: &[Field] = &[
    Field::text("path", "Prefix of the keys; `*`, `?` and `[` have no special meaning; empty means all keys")
        .example("\"tasks:\"")
        .flag("path"),
    Field::word("host", "Host name or IP address, without `redis://`; `localhost` by default")
        .example("\"redis.example.com\"")
        .flag("host")
        .blamed_for(&[FailureReason::Unreachable, FailureReason::BlockedAddress]),
    Field::word("port", "Port, as a text; 6379 by default").example("\"6379\"").flag("port"),
    Field::integer("db", 0, LAST_DB, "Number of the database; by default 1 for import and 2 for export")
        .example("1")
        .flag_value("db", "NUMBER"),
    Field::word("username", "Name of an ACL user; without it, the default user").flag_value("username", "NAME"),
    Field::secret("password", Secrecy::Password, "Password of the user")
        .flag_or_env("password", "REDIS_PASSWORD")
        .blamed_for(&[FailureReason::WrongPassword]),
    Field::off("tls", "Connect with TLS from the first byte").flag("tls").blamed_for(&[FailureReason::Tls]),
];

/// How to reach a database of a Redis server.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RedisConnection {
    /// The prefix of the keys.
    #[serde(default)]
    pub path: Option<String>,
    /// Host name or IP address; by default `localhost`.
    #[serde(default)]
    pub host: Option<String>,
    /// Port, as a text because the host uses one; by default 6379.
    #[serde(default)]
    pub port: Option<String>,
    /// Number of the database.
    #[serde(default)]
    pub db: u16,
    /// Name of an ACL user; `None` means the default user.
    #[serde(default)]
    pub username: Option<String>,
    /// Whether to connect with TLS from the first byte.
    #[serde(default)]
    pub tls: bool,
}

/// The password of the user; absent if the server requires none.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
pub struct RedisSecrets {
    /// The password, including spaces.
    #[serde(default)]
    pub password: Option<Secret>,
}

impl RedisConnection {
    /// Host and port as in a URL, with their defaults.
    pub fn endpoint(&self) -> String {
        let given = |text: &Option<String>, default: &str| match text.as_deref().map(str::trim) {
            None | Some("") => default.to_owned(),
            Some(text) => text.to_owned(),
        };
        let (host, port) = (given(&self.host, "localhost"), given(&self.port, "6379"));
        let bare = host.trim_start_matches('[').trim_end_matches(']');
        if bare.contains(':') { format!("[{bare}]:{port}") } else { format!("{bare}:{port}") }
    }
}

impl KindConnection for RedisConnection {
    const DATA: KindData = KindData {
        title: "Redis",
        about: "A Redis database",
        connection: &[CONNECTION],
        shared: &[IMPORT, EXPORT, IDENTITY],
        place: "path",
        uri: UriForm::Database { scheme: "redis://" },
        filters_names: false,
    };

    type Secrets = RedisSecrets;

    fn blank(direction: Direction) -> Self {
        // Label Studio's defaults, so that tasks and annotations are in different databases.
        let db = match direction {
            Direction::Import => 1,
            Direction::Export => 2,
        };
        Self { db, ..Self::default() }
    }

    /// Keys have no folders, so this is the typed text.
    fn prefix(&self) -> String {
        self.path.clone().unwrap_or_default()
    }

    fn bucket(&self) -> Cow<'_, str> {
        Cow::Owned(format!("{}/{}", self.endpoint(), self.db))
    }

    fn address(&self) -> String {
        format!("{}://{}", if self.tls { "rediss" } else { "redis" }, self.endpoint())
    }

    fn take_identity(&mut self, newer: &Self) {
        self.username.clone_from(&newer.username);
    }
}

impl KindSecrets for RedisSecrets {
    fn texts(&self) -> Vec<(&'static str, Option<&Secret>)> {
        vec![("password", self.password.as_ref())]
    }
}
