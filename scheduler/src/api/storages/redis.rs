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

    fn bound_secret(&self, connection: &Connection) -> Option<(&'static str, String)> {
        let Connection::Redis(redis) = connection else { return None };
        let scheme = if redis.tls { "rediss" } else { "redis" };
        Some(("password", format!("{scheme}://{}", redis.endpoint())))
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::error::{ApiError, FieldErrors};
    use crate::api::storages::draft::Base;
    use serde_json::{Value, json};

    fn read(base: Base, sent: Value) -> Result<Draft, FieldErrors> {
        let Value::Object(sent) = sent else { panic!("an object") };
        Draft::read(&Redis, Direction::Import, base, &sent).map_err(|error| match error {
            ApiError::Invalid(errors) => errors,
            other => panic!("field errors, not {other:?}"),
        })
    }

    #[test]
    fn a_stored_password_is_sent_to_no_other_server_than_it_was_entered_for() {
        let sent = json!({"project": 1, "host": "h", "tls": true, "password": "hunter2"});
        let stored = Box::new(read(Base::Nothing, sent).unwrap());
        for moved in [json!({"host": "evil"}), json!({"port": "6380"}), json!({"tls": false}), json!({"host": null})] {
            let patched = |sent| read(Base::Stored(stored.clone()), sent);
            let errors = patched(moved.clone()).expect_err("must be refused");
            assert_eq!(errors["password"], ["Enter it again: the address changed."], "{moved}");
            for password in [json!("again"), Value::Null] {
                let mut entered = moved.clone();
                entered["password"] = password;
                assert!(patched(entered).is_ok(), "{moved}");
            }
        }
        let put = |sent| read(Base::Secrets(stored.clone()), sent);
        assert!(put(json!({"project": 1, "host": "h"})).unwrap_err().contains_key("password"));
        let same = put(json!({"project": 1, "host": " h ", "port": 6379, "db": 3, "tls": true})).unwrap();
        assert_eq!(same.secrets, stored.secrets);
    }

    #[test]
    fn a_storage_without_a_password_moves_freely() {
        let stored = Box::new(read(Base::Nothing, json!({"project": 1, "host": "h"})).unwrap());
        assert!(read(Base::Stored(stored), json!({"host": "other", "tls": true})).is_ok());
    }
}
