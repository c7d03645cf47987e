//! A database of a Redis server.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use super::field::{Field, Secrecy};
use super::kind::{KindConnection, KindData, KindSecrets, UriForm};
use super::shared_fields::{EXPORT, IDENTITY, IMPORT};
use crate::{Direction, FailureReason, Secret};

/// Redis numbers its databases from 0, and operators rarely allow more than 16.
const LAST_DB: i64 = 65_535;

const CONNECTION: &[Field] = &[
    Field::text("path", "What keys start with, letter by letter (`*`, `?` and `[` are letters too); empty takes all")
        .example("\"tasks:\"")
        .flag("path"),
    Field::word("host", "Name or address alone, without `redis://`; `localhost` by default")
        .example("\"redis.example.com\"")
        .flag("host")
        .blamed_for(&[FailureReason::Unreachable, FailureReason::BlockedAddress]),
    Field::word("port", "Port, as a text; 6379 by default").example("\"6379\"").flag("port"),
    Field::integer("db", 0, LAST_DB, "Number of the database; by default 1 for import and 2 for export")
        .example("1")
        .flag_value("db", "NUMBER"),
    Field::word("username", "Name of an ACL user; the default user without it").flag_value("username", "NAME"),
    Field::secret("password", Secrecy::Password, "Password of the user")
        .flag_or_env("password", "REDIS_PASSWORD")
        .blamed_for(&[FailureReason::WrongPassword]),
    Field::off("tls", "TLS from the first byte").flag("tls").blamed_for(&[FailureReason::Tls]),
];

/// How to reach a database of a Redis server.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RedisConnection {
    /// What the keys start with.
    #[serde(default)]
    pub path: Option<String>,
    /// Defaults to `localhost`.
    #[serde(default)]
    pub host: Option<String>,
    /// A text, as the host has it; defaults to 6379.
    #[serde(default)]
    pub port: Option<String>,
    /// Number of the database.
    #[serde(default)]
    pub db: u16,
    /// Of an ACL user; `None` is the default user.
    #[serde(default)]
    pub username: Option<String>,
    /// TLS from the first byte.
    #[serde(default)]
    pub tls: bool,
}

/// The password of the user; absent if the server asks for none.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
pub struct RedisSecrets {
    /// The password, spaces included.
    #[serde(default)]
    pub password: Option<Secret>,
}

impl RedisConnection {
    /// Host and port, with their defaults, as a URL has them.
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
        // Label Studio's numbers: tasks and annotations do not meet.
        let db = match direction {
            Direction::Import => 1,
            Direction::Export => 2,
        };
        Self { db, ..Self::default() }
    }

    /// Keys have no folders: just what was typed.
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
