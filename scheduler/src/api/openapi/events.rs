//! The events of a sync. Their payload is in the text of a stream, which ordinary schemas cannot describe.

use serde_json::{Value, json};

use super::walk::{components, for_each_operation, id, reference};

/// The schema of `data` of event `waiting`.
const WAITING: &str = "SyncWaiting";

/// The schema of `data` of the other events: a sync without its options.
const PROGRESS: &str = "SyncProgress";
const EVENT: &str = "SyncEvent";

/// The operation that answers with the stream.
const STREAM: &str = "syncs_events";

/// Adds the schemas of the events, and refers to them in the answer of the stream.
pub(super) fn add(document: &mut Value) {
    let schemas = components(document, "schemas");
    let Some(mut progress) = schemas.get("SyncBody").cloned() else { return };
    progress["description"] = json!("A sync without its `options`, which do not change.");
    for part in ["properties", "required"] {
        match &mut progress[part] {
            Value::Object(fields) => drop(fields.remove("options")),
            Value::Array(names) => names.retain(|name| name != "options"),
            _ => {}
        }
    }
    schemas.insert(PROGRESS.to_owned(), progress);
    let waiting = json!({
        "type": "object",
        "description": "A sync that cannot be read, because the database does not answer.",
        "required": ["id", "waiting_for", "waiting_since", "waiting_error"],
        "properties": {
            "id": {"type": "integer", "format": "int64"},
            "waiting_for": reference("schemas", "WaitingFor"),
            "waiting_since": {"type": "string", "format": "date-time"},
            "waiting_error": {"type": "string"},
        },
    });
    schemas.insert(WAITING.to_owned(), waiting);
    let data = json!({
        "type": "string",
        "description": "A `SyncProgress` as JSON; of event `waiting`, a `SyncWaiting`.",
        "contentMediaType": "application/json",
        "contentSchema": {"anyOf": [reference("schemas", PROGRESS), reference("schemas", WAITING)]},
    });
    let event = json!({
        "type": "object",
        "description": "One event of a stream.",
        "required": ["event", "data"],
        "properties": {"event": {"type": "string", "enum": ["progress", "waiting", "end"]}, "data": data},
    });
    schemas.insert(EVENT.to_owned(), event);
    for_each_operation(document, |_, _, operation| {
        if id(operation) == STREAM {
            describe(&mut operation["responses"]["200"]);
        }
    });
}

/// Describes the answer of the stream.
fn describe(answer: &mut Value) {
    answer["description"] = json!(
        "Server-sent events: `progress` once a second, then one `end`. While the database does not answer, `waiting` \
         comes instead of `progress`."
    );
    // Some readers validate each event by this schema, others the text of the whole stream.
    let each_or_all = json!([reference("schemas", EVENT), {"type": "string"}]);
    answer["content"]["text/event-stream"] = json!({
        "schema": {"oneOf": each_or_all},
        "example": "event: progress\ndata: {\"id\": 7, \"status\": \"in_progress\"}\n\n",
    });
}
