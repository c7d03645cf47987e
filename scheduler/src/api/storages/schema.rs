//! Makes the schema of a kind in one direction from the fields that the kind declares.

use longshore_model::kinds::{Field, MAX_TEXT_BYTES, Value};
use longshore_model::{Direction, StorageKind};
use serde_json::{Map, Value as Json};
use utoipa::PartialSchema;
use utoipa::openapi::schema::{KnownFormat, ObjectBuilder, SchemaFormat, SchemaType, Type};
use utoipa::openapi::{RefOr, Schema};

use super::body::ServerFields;
use super::names::{LIMIT, STORED_ID};

/// What a schema describes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Use {
    /// An answer: without secrets, with the fields that Longshore writes.
    Answer,
    /// A request with a whole storage.
    Request,
    /// A request that changes some fields. None is required.
    Change,
}

/// The name of a kind's schema, such as `S3ImportStorageRequest`. With an empty kind, the name of the union of all
/// kinds.
pub(super) fn schema_name(kind: &str, direction: Direction, usage: Use) -> String {
    let suffix = match usage {
        Use::Answer => "",
        Use::Request => "Request",
        Use::Change => "Change",
    };
    format!("{}{}Storage{suffix}", capitalized(kind), capitalized(direction.as_str()))
}

/// A word with its first letter in upper case, as names of schemas begin.
pub(in crate::api) fn capitalized(word: &str) -> String {
    let mut letters = word.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}

/// The schema of a kind.
pub(super) fn kind_schema(kind: StorageKind, direction: Direction, usage: Use) -> Schema {
    let mut object = match usage {
        Use::Answer => answer(kind),
        Use::Request | Use::Change => ObjectBuilder::new(),
    };
    let mut example = Map::new();
    for field in kind.data().fields().filter(|field| field.is_part_of(direction)) {
        if usage == Use::Answer && field.secrecy().is_some() {
            continue;
        }
        object = object.property(field.name, property(field, usage));
        let is_required = match usage {
            Use::Answer => true,
            Use::Request => field.is_required,
            Use::Change => false,
        };
        if is_required {
            object = object.required(field.name);
        }
        if let Some(value) = example_of(field) {
            example.insert(field.name.to_owned(), value);
        }
    }
    if usage == Use::Request {
        object = object.property(STORED_ID.name, property(&STORED_ID, usage));
        if direction == Direction::Import {
            object = object.property(LIMIT.name, property(&LIMIT, usage));
        }
    }
    if usage != Use::Answer {
        object = object.examples([Json::Object(example)]);
    }
    object.description(Some(kind.data().about)).into()
}

/// The fields that Longshore writes, for a storage of this kind.
fn answer(kind: StorageKind) -> ObjectBuilder {
    let RefOr::T(Schema::Object(mut object)) = ServerFields::schema() else { return ObjectBuilder::new() };
    // Answers always have all of them, some as null. Only these are limited to some answers.
    object.required = object
        .properties
        .keys()
        .filter(|name| !matches!(&***name, "applies_from" | "handle" | "report" | "warnings"))
        .cloned()
        .collect();
    let this_kind = ObjectBuilder::new().schema_type(Type::String).enum_values(Some([kind.as_str()]));
    ObjectBuilder::from(object).property("type", this_kind)
}

fn example_of(field: &Field) -> Option<Json> {
    serde_json::from_str(field.example?).ok()
}

fn property(field: &Field, usage: Use) -> ObjectBuilder {
    let mut object = ObjectBuilder::new().description(Some(field.meaning()));
    if let Some(value) = example_of(field) {
        object = object.examples([value]);
    }
    let nullable = |main: Type| {
        if field.is_required { SchemaType::Type(main) } else { SchemaType::from_iter([main, Type::Null]) }
    };
    // Limits apply to requests only: answers may show values that an earlier release accepted.
    let is_request = usage != Use::Answer;
    match field.value {
        Value::Text | Value::Word | Value::Path => {
            let object = object.schema_type(nullable(Type::String));
            let object = object.max_length(is_request.then_some(MAX_TEXT_BYTES));
            object.min_length((is_request && field.is_required).then_some(1))
        }
        Value::ShortText(max_chars) => {
            object.schema_type(nullable(Type::String)).max_length(is_request.then_some(max_chars))
        }
        Value::Secret(_) => {
            object.schema_type(nullable(Type::String)).max_length(Some(MAX_TEXT_BYTES)).write_only(true)
        }
        // The default is only in the description, because generators treat fields with a default as required.
        Value::Bool { .. } => object.schema_type(Type::Boolean),
        Value::BoolOrNull => object.schema_type(nullable(Type::Boolean)),
        Value::Integer { min, max } => {
            let object = object.schema_type(Type::Integer).format(Some(SchemaFormat::KnownFormat(KnownFormat::Int64)));
            let object = object.minimum(is_request.then_some(min));
            // `int64` already states this maximum.
            object.maximum((is_request && max < i64::MAX).then_some(max))
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value as Json, json};

    use super::*;

    fn schema(kind: StorageKind, direction: Direction, usage: Use) -> Json {
        serde_json::to_value(kind_schema(kind, direction, usage)).unwrap()
    }

    #[test]
    fn a_request_has_the_fields_of_its_kind_and_direction_with_their_limits() {
        let import = schema(StorageKind::S3, Direction::Import, Use::Request);
        assert_eq!(import["required"], json!(["bucket", "project"]));
        assert_eq!(import["properties"]["presign_ttl"]["maximum"], json!(32_767));
        assert!(import["properties"]["presign"]["description"].to_string().contains("On by default."));
        assert_eq!(import["properties"]["aws_secret_access_key"]["writeOnly"], json!(true));
        assert_eq!(import["examples"][0]["bucket"], json!("my-bucket"));
        let export = schema(StorageKind::S3, Direction::Export, Use::Request);
        assert!(export["properties"]["presign"].is_null() && export["properties"]["limit"].is_null());
        assert_eq!(export["properties"]["can_delete_objects"]["type"], json!(["boolean", "null"]));
    }

    #[test]
    fn a_change_requires_nothing_and_an_answer_shows_no_secret() {
        for kind in StorageKind::ALL {
            for direction in Direction::ALL {
                let change = schema(*kind, *direction, Use::Change);
                assert!(change["required"].is_null(), "{change}");
                let answer = schema(*kind, *direction, Use::Answer);
                assert_eq!(answer["properties"]["type"]["enum"], json!([kind.as_str()]));
                for field in kind.data().secret_fields() {
                    assert!(answer["properties"][field.name].is_null(), "{kind} {}", field.name);
                }
            }
        }
    }
}
