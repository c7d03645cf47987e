//! The headers of requests and answers. A table for each states their meaning and where they are used.

use serde_json::{Map, Value, json};

use super::walk::{components, for_each_operation, id, reference};

/// A header of a request.
struct RequestHeader {
    name: &'static str,
    /// The IDs of the operations that read it.
    operations: &'static [&'static str],
    description: &'static str,
    example: &'static str,
}

/// The operations that answer with the bytes of an object.
const OBJECTS: &[&str] = &["tasks_resolve", "tasks_presign", "projects_resolve", "projects_presign", "local_files_get"];
const SYNCS: &[&str] = &["import_storages_sync", "export_storages_sync"];
const LISTS: &[&str] = &[
    "annotations_list",
    "tokens_list",
    "import_storages",
    "export_storages",
    "import_storages_list",
    "export_storages_list",
];

#[rustfmt::skip]
const REQUEST_HEADERS: &[RequestHeader] = &[
    RequestHeader { name: "Idempotency-Key", operations: SYNCS, example: "nightly-2026-03-01", description: "Two requests with the same key for one storage start only one sync. Up to 255 bytes of printable ASCII." },
    RequestHeader { name: "Range", operations: OBJECTS, example: "bytes=0-1023", description: "One byte range of the object." },
    RequestHeader { name: "If-None-Match", operations: OBJECTS, example: "\"d41d8cd9\"", description: "The `ETag` of the object that the caller has. If it is still current, the answer is 304." },
    RequestHeader { name: "If-Modified-Since", operations: OBJECTS, example: "Sun, 01 Mar 2026 00:00:00 GMT", description: "The date of the object that the caller has. Ignored if there is an `If-None-Match`." },
    RequestHeader { name: "If-Range", operations: OBJECTS, example: "\"d41d8cd9\"", description: "The `ETag` or date that `Range` refers to. If it is not current, the whole object is sent." },
];

/// A header of an answer.
struct AnswerHeader {
    name: &'static str,
    /// The IDs of the operations that send it; empty if refusals list it themselves.
    operations: &'static [&'static str],
    statuses: &'static [&'static str],
    description: &'static str,
    is_number: bool,
}

/// Every answer has this one.
const REQUEST_ID: &str = "X-Request-Id";

#[rustfmt::skip]
const ANSWER_HEADERS: &[AnswerHeader] = &[
    AnswerHeader { name: REQUEST_ID, operations: &[], statuses: &[], is_number: false, description: "The ID of the request in the log: the one that the request sent in this header, or a new one." },
    AnswerHeader { name: "Retry-After", operations: &[], statuses: &[], is_number: true, description: "How many seconds to wait before the next try." },
    AnswerHeader { name: "WWW-Authenticate", operations: &[], statuses: &[], is_number: false, description: "How to send a token: `Token`." },
    AnswerHeader { name: "X-Longshore-Sync", operations: SYNCS, statuses: &["200"], is_number: true, description: "The ID of the sync, see `/api/syncs/{id}`." },
    AnswerHeader { name: "Link", operations: LISTS, statuses: &["200"], is_number: false, description: "The URL of the next rows, with `rel=\"next\"`, if the answer does not hold all rows." },
    AnswerHeader { name: "Location", operations: OBJECTS, statuses: &["303"], is_number: false, description: "A presigned URL of the storage." },
    AnswerHeader { name: "Cache-Control", operations: OBJECTS, statuses: &["200", "206", "303", "304"], is_number: false, description: "How long a browser may keep the answer." },
    AnswerHeader { name: "ETag", operations: OBJECTS, statuses: &["200", "206", "304"], is_number: false, description: "The version of the object, if the storage has one." },
    AnswerHeader { name: "Last-Modified", operations: OBJECTS, statuses: &["200", "206", "304"], is_number: false, description: "When the object was written, if the storage knows it." },
    AnswerHeader { name: "Accept-Ranges", operations: OBJECTS, statuses: &["200", "206"], is_number: false, description: "`bytes`: the object can be read in byte ranges." },
    AnswerHeader { name: "Content-Range", operations: OBJECTS, statuses: &["206"], is_number: false, description: "The first and last byte in the answer, and the size of the object. In a refusal: `bytes */` and the size." },
];

/// Adds headers to components, operations and answers.
pub(super) fn add(document: &mut Value) {
    let headers = components(document, "headers");
    for header in ANSWER_HEADERS {
        let kind = if header.is_number { "integer" } else { "string" };
        headers.insert(header.name.to_owned(), json!({"description": header.description, "schema": {"type": kind}}));
    }
    let parameters = components(document, "parameters");
    for header in REQUEST_HEADERS {
        let (name, description, example) = (header.name, header.description, header.example);
        let schema = json!({"type": "string"});
        let parameter =
            json!({"name": name, "in": "header", "description": description, "schema": schema, "example": example});
        parameters.insert(name.to_owned(), parameter);
    }
    for refusal in components(document, "responses").values_mut() {
        refusal["headers"][REQUEST_ID] = reference("headers", REQUEST_ID);
    }
    for_each_operation(document, |_, _, operation| {
        let operation_id = id(operation).to_owned();
        let is_sent = |operations: &[&str]| operations.contains(&operation_id.as_str());
        for header in REQUEST_HEADERS.iter().filter(|header| is_sent(header.operations)) {
            let parameters = operation.entry("parameters").or_insert_with(|| json!([]));
            parameters.as_array_mut().expect("a list").push(reference("parameters", header.name));
        }
        for (status, answer) in operation["responses"].as_object_mut().into_iter().flatten() {
            if answer.get("$ref").is_some() {
                continue;
            }
            let mut sent = Map::from_iter([(REQUEST_ID.to_owned(), reference("headers", REQUEST_ID))]);
            let here =
                |header: &&AnswerHeader| header.statuses.contains(&status.as_str()) && is_sent(header.operations);
            for header in ANSWER_HEADERS.iter().filter(here) {
                sent.insert(header.name.to_owned(), reference("headers", header.name));
            }
            answer["headers"] = Value::Object(sent);
        }
    });
}
