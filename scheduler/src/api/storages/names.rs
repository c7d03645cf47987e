//! The names of fields in a request: which a storage has, which are ignored, and which are refused.

use longshore_model::kinds::Field;
use longshore_model::{Direction, StorageKind};
use serde_json::{Map, Value};

use crate::api::known_names::{ignores_field, shown, unknown};

/// A field of `validate` and `files` only.
pub(super) const STORED_ID: Field = Field::integer(
    "id",
    1,
    i64::MAX,
    "For `validate` and `files`: the ID of a storage whose stored secrets are used where none are sent",
);

/// A field of `files` only.
pub(super) const LIMIT: Field =
    Field::integer("limit", 1, 10_000, "For `files`: how many keys to show; 100 by default");

/// Fields that answers have and users do not write, so that an answer can be sent back. Label Studio's are known elsewhere.
const ANSWERED: [&str; 6] = ["handle", "applies_from", "direction", "left_out", "report", "warnings"];

/// The route of storages, for the names that Label Studio knows.
const ROUTE: &str = "/api/storages";

/// The fields of a kind that its storages of this direction have.
fn own(kind: StorageKind, direction: Direction) -> impl Iterator<Item = &'static Field> {
    kind.data().fields().filter(move |field| field.is_part_of(direction))
}

/// The names that neither this kind nor Label Studio knows, each with its message.
pub(super) fn unknown_fields(
    kind: StorageKind,
    direction: Direction,
    sent: &Map<String, Value>,
) -> Vec<(String, String)> {
    let is_known = |name: &str| {
        // A field of the other direction has no meaning here, and clients send both the same.
        kind.data().fields().any(|field| field.name == name)
            || is_of_other_kind(kind, name)
            || [STORED_ID.name, LIMIT.name].contains(&name)
            || ANSWERED.contains(&name)
            || ignores_field(ROUTE, name)
    };
    let names = || own(kind, direction).chain([&STORED_ID, &LIMIT]).map(|field| field.name);
    let refused = sent.keys().filter(|name| !is_known(name));
    refused.map(|name| (shown(name), unknown("field", name, names()))).collect()
}

/// Whether a field is one of other kinds only.
fn is_of_other_kind(kind: StorageKind, name: &str) -> bool {
    let has = |kind: StorageKind| kind.data().fields().any(|field| field.name == name);
    !has(kind) && StorageKind::ALL.iter().any(|other| has(*other))
}

/// The fields with a value that only other kinds have, and which are ignored.
pub(super) fn foreign_fields(kind: StorageKind, sent: &Map<String, Value>) -> Vec<String> {
    let is_set = |value: &Value| !matches!(value, Value::Null | Value::Bool(false)) && value.as_str() != Some("");
    let foreign = sent.iter().filter(|(name, value)| is_set(value) && is_of_other_kind(kind, name));
    foreign.map(|(name, _)| name.clone()).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn refused(kind: StorageKind, direction: Direction, sent: &Value) -> Vec<(String, String)> {
        unknown_fields(kind, direction, sent.as_object().unwrap())
    }

    #[test]
    fn a_misspelled_field_is_refused_with_the_one_that_the_kind_has() {
        for (kind, name, meant) in [
            (StorageKind::S3, "buckett", "bucket"),
            (StorageKind::S3, "secret_access_key", "aws_secret_access_key"),
            (StorageKind::S3, "regexfilter", "regex_filter"),
            (StorageKind::Azure, "containr", "container"),
            (StorageKind::Redis, "databse", "db"),
        ] {
            let messages = refused(kind, Direction::Import, &json!({name: 1}));
            let [(field, message)] = &messages[..] else { panic!("{name}: {messages:?}") };
            assert_eq!(field, name);
            assert!(meant == "db" || message.contains(&format!("`{meant}`")), "{message}");
        }
    }

    #[test]
    fn what_an_answer_has_and_what_label_studio_knows_is_taken() {
        let known = json!({
            "id": 1, "type": "s3", "created_at": "x", "last_sync": null, "last_sync_count": 1, "last_sync_job": "1",
            "status": "queued", "traceback": "x", "meta": {}, "applies_from": "next_sync", "report": {}, "warnings": [],
            "presign": true, "can_delete_objects": true, "limit": 5,
        });
        for direction in Direction::ALL {
            assert!(refused(StorageKind::S3, *direction, &known).is_empty(), "{direction}");
        }
    }

    #[test]
    fn fields_of_other_kinds_are_ignored_and_named() {
        let sent = json!({"prefix": "a", "container": "", "bucket": null, "tls": true, "path": "p"});
        assert!(refused(StorageKind::Redis, Direction::Import, &sent).is_empty());
        assert_eq!(foreign_fields(StorageKind::Redis, sent.as_object().unwrap()), ["prefix"]);
    }
}
