//! The storage routes of Label Studio, for every kind and both directions.
//!
//! `longshore_model::kinds` declares the fields of each kind. Here, `values` and `change` read requests by them, `body`
//! writes answers, and `schema` and `document` describe both.

mod admission;
mod body;
mod change;
mod collection;
mod connect;
mod doctor;
mod document;
mod host_sync;
mod list;
mod names;
mod own_exports;
mod report;
mod routes;
mod schema;
mod secrets;
mod start;
mod user_fields;
mod values;

use longshore_model::Direction;

use super::access::Routes;

pub use connect::OpenStorage;
pub(super) use connect::open_storage;
pub(super) use host_sync::SYNC_WAIT;
pub(super) use schema::capitalized;

pub(super) fn routes() -> Routes {
    Routes::default()
        .nest("/api/storages", routes::routes(Direction::Import))
        .nest("/api/storages/export", routes::routes(Direction::Export))
}

#[cfg(test)]
mod tests {
    use longshore_model::StorageKind;
    use serde_json::{Value, json};

    use super::*;

    fn document() -> Value {
        serde_json::to_value(routes().into_parts().1).unwrap()
    }

    #[test]
    fn both_directions_are_described_by_their_own_schemas() {
        let document = document();
        for (start, word, other) in
            [("/api/storages/export", "Export", "Import"), ("/api/storages/{kind}", "Import", "Export")]
        {
            let paths = document["paths"].as_object().unwrap().iter().filter(|(path, _)| path.starts_with(start));
            let text: String = paths.map(|(path, item)| format!("{path} {item}\n")).collect();
            for name in ["Storage", "StorageRequest", "StorageChange"] {
                assert!(text.contains(&format!("\"#/components/schemas/{word}{name}\"")), "{word}{name} in {text}");
            }
            assert!(!text.contains(&format!("schemas/{other}")), "{text}");
            assert!(text.contains(&format!("\"operationId\":\"{}_storages_sync\"", word.to_lowercase())), "{text}");
        }
        assert!(document["paths"]["/api/storages/export/{kind}/files"].is_null());
    }

    #[test]
    fn the_schema_of_a_kind_is_one_object_for_each_use() {
        let schemas = &document()["components"]["schemas"];
        for kind in StorageKind::ALL {
            for name in ["Storage", "StorageRequest", "StorageChange"] {
                let mut own = kind.as_str().to_owned();
                own[..1].make_ascii_uppercase();
                for direction in ["Import", "Export"] {
                    let schema = &schemas[format!("{own}{direction}{name}")];
                    assert_eq!(schema["type"], json!("object"), "{own}{direction}{name}: {schema}");
                    assert!(!schema.to_string().contains("allOf"), "{schema}");
                }
            }
        }
    }
}
