//! Storages in the document of the API. [`mod@super::routes`] describes imports; this module makes the schemas of both
//! directions.
//!
//! A request or answer of any kind is a union of the schemas of all kinds. The schema of a kind is an object with all
//! of its fields, not a composition, because client generators cannot handle an `allOf` over a `oneOf`.

use std::borrow::Cow;

use longshore_model::{Direction, StorageKind};
use utoipa::openapi::path::Operation;
use utoipa::openapi::schema::{AnyOfBuilder, ArrayItems, Discriminator, OneOfBuilder};
use utoipa::openapi::{ComponentsBuilder, OpenApi, Ref, RefOr, Schema};
use utoipa::{PartialSchema, ToSchema};

use super::schema::{Use, kind_schema, schema_name};

/// An import storage of any kind, in answers.
pub(super) struct ImportStorage;

/// The body that creates, replaces, validates or previews an import storage of any kind.
pub(super) struct ImportStorageRequest;

/// The body that changes an import storage of any kind.
pub(super) struct ImportStorageChange;

macro_rules! union_schemas {
    ($($name:ident: $usage:expr;)+) => {$(
        impl PartialSchema for $name {
            fn schema() -> RefOr<Schema> {
                union(Direction::Import, $usage)
            }
        }

        impl ToSchema for $name {
            fn name() -> Cow<'static, str> {
                Cow::Owned(union_name(Direction::Import, $usage))
            }
        }
    )+};
}

union_schemas! {
    ImportStorage: Use::Answer;
    ImportStorageRequest: Use::Request;
    ImportStorageChange: Use::Change;
}

/// The name of the schema of any kind.
fn union_name(direction: Direction, usage: Use) -> String {
    schema_name("", direction, usage)
}

/// A schema of any kind.
fn union(direction: Direction, usage: Use) -> RefOr<Schema> {
    let name = |kind: &StorageKind| schema_name(kind.as_str(), direction, usage);
    let kinds = StorageKind::ALL.iter();
    match usage {
        Use::Answer => {
            let mapping = kinds.clone().map(|kind| (kind.as_str(), Ref::from_schema_name(name(kind)).ref_location));
            let discriminator = Discriminator::with_mapping("type", mapping);
            let items = kinds.map(|kind| Ref::from_schema_name(name(kind)));
            items.fold(OneOfBuilder::new().discriminator(Some(discriminator)), OneOfBuilder::item).into()
        }
        // Not `oneOf`: kinds share fields, so a body may match several schemas. The path states the kind.
        Use::Request | Use::Change => {
            kinds.map(|kind| Ref::from_schema_name(name(kind))).fold(AnyOfBuilder::new(), AnyOfBuilder::item).into()
        }
    }
}

/// Adds the schemas of all kinds to the document of a direction, and changes its operations to that direction.
pub(super) fn describe(direction: Direction, document: &mut OpenApi) {
    let mut schemas = ComponentsBuilder::from(document.components.take().unwrap_or_default());
    for usage in [Use::Answer, Use::Request, Use::Change] {
        schemas = schemas.schema(union_name(direction, usage), union(direction, usage));
        for kind in StorageKind::ALL {
            let name = schema_name(kind.as_str(), direction, usage);
            schemas = schemas.schema(name, kind_schema(*kind, direction, usage));
        }
    }
    let mut components = schemas.build();
    if direction == Direction::Export {
        for usage in [Use::Answer, Use::Request, Use::Change] {
            components.schemas.remove(&union_name(Direction::Import, usage));
        }
        for item in document.paths.paths.values_mut() {
            let operations = [&mut item.get, &mut item.put, &mut item.post, &mut item.delete, &mut item.patch];
            operations.into_iter().flatten().for_each(make_export);
        }
    }
    document.components = Some(components);
}

/// Changes an operation on imports into the same operation on exports.
fn make_export(operation: &mut Operation) {
    let export = |text: &mut String| *text = text.replace("import", "export");
    operation.operation_id.iter_mut().for_each(export);
    operation.tags.iter_mut().flatten().for_each(export);
    operation.summary.iter_mut().for_each(export);
    let bodies = operation.request_body.iter_mut().filter_map(|body| match body {
        RefOr::T(body) => Some(body.content.values_mut()),
        RefOr::Ref(_) => None,
    });
    let answers = operation.responses.responses.values_mut().filter_map(|answer| match answer {
        RefOr::T(answer) => Some(answer.content.values_mut()),
        RefOr::Ref(_) => None,
    });
    for content in bodies.flatten().chain(answers.flatten()) {
        if let RefOr::T(content) = content {
            content.schema.iter_mut().for_each(refer_to_export);
        }
    }
}

fn refer_to_export(schema: &mut RefOr<Schema>) {
    match schema {
        RefOr::Ref(reference) => {
            reference.ref_location = reference.ref_location.replace("/ImportStorage", "/ExportStorage");
        }
        RefOr::T(Schema::Array(array)) => {
            if let ArrayItems::RefOrSchema(items) = &mut array.items {
                refer_to_export(items);
            }
        }
        RefOr::T(_) => {}
    }
}
