//! Redis: its fields in requests.

use longshore_model::{Connection, Direction, FailureReason, RedisConnection, Secret, Secrets, StorageKind};
use serde::Deserialize;
use utoipa::ToSchema;

use super::draft::{Draft, set};
use super::fields::{Fields, OTHER_KIND};
use super::kind::Kind;
use crate::api::error::NON_FIELD;

/// Redis numbers its databases from 0, and operators rarely allow more than 16.
const LAST_DB: i64 = 65_535;

/// The kind `redis`.
pub(crate) struct Redis;

impl Kind for Redis {
    fn kind(&self) -> StorageKind {
        StorageKind::Redis
    }

    fn title(&self) -> &'static str {
        "Redis"
    }

    fn blank(&self, direction: Direction) -> Connection {
        // Label Studio's numbers: tasks and annotations do not meet.
        let db = match direction {
            Direction::Import => 1,
            Direction::Export => 2,
        };
        Connection::Redis(RedisConnection { db, ..RedisConnection::default() })
    }

    fn connection_fields(&self) -> &'static [&'static str] {
        &["path", "host", "port", "db", "username", "tls"]
    }

    fn secret_fields(&self) -> &'static [&'static str] {
        &["password"]
    }

    fn read(&self, fields: &mut Fields, draft: &mut Draft, _: bool) {
        let (Connection::Redis(redis), Secrets::Redis(secrets)) = (&mut draft.settings.connection, &mut draft.secrets)
        else {
            return fields.refuse(NON_FIELD, OTHER_KIND);
        };
        set(&mut redis.path, fields.text("path"));
        set(&mut redis.host, fields.word("host"));
        set(&mut redis.port, fields.word("port"));
        set(&mut redis.db, fields.integer("db", 0..=LAST_DB).and_then(|db| u16::try_from(db).ok()));
        set(&mut redis.username, fields.word("username"));
        set(&mut redis.tls, fields.boolean("tls"));
        // As it is: spaces may be part of a password.
        let password = fields.text("password").map(|text| text.filter(|text| !text.is_empty()).map(Secret::new));
        set(&mut secrets.password, password);
    }

    fn field(&self, reason: FailureReason) -> &'static str {
        match reason {
            FailureReason::WrongPassword => "password",
            FailureReason::Unreachable | FailureReason::BlockedAddress => "host",
            FailureReason::Tls => "tls",
            _ => NON_FIELD,
        }
    }
}

/// The own fields of a storage on Redis in a request. All may be left out.
#[derive(Deserialize, ToSchema)]
#[expect(dead_code, reason = "the fields are read one by one; this documents them")]
pub(crate) struct RedisFields {
    /// What the keys start with.
    path: Option<String>,
    /// `localhost` unless it is said.
    host: Option<String>,
    /// 6379 unless it is said.
    port: Option<String>,
    password: Option<String>,
    /// 1 for import and 2 for export unless it is said.
    db: Option<u16>,
    /// Of an ACL user.
    username: Option<String>,
    tls: Option<bool>,
}
