//! The refusals that many operations share. A table states which operations give them, and why.

use serde_json::{Map, Value, json};

use super::walk::{components, for_each_operation, reference};
use When::{Always, Deletes, HasBody, HasToken, NamesOneThing, ReadsTask, StreamsObject};

/// Which operations give a refusal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum When {
    Always,
    /// Those that need a token.
    HasToken,
    /// Those with a parameter in their path.
    NamesOneThing,
    HasBody,
    /// Those that take a confirmation.
    Deletes,
    /// Those that look for URIs in the data of a task.
    ReadsTask,
    /// Those that answer with an object of a storage.
    StreamsObject,
}

struct Refusal {
    status: &'static str,
    /// The name of the component.
    name: &'static str,
    when: When,
    description: &'static str,
    headers: &'static [&'static str],
}

const fn refusal(status: &'static str, name: &'static str, when: When, description: &'static str) -> Refusal {
    Refusal { status, name, when, description, headers: &[] }
}

/// All refusals. The statuses that operations list themselves are here too, so that each is described once.
#[rustfmt::skip]
const REFUSALS: &[Refusal] = &[
    refusal("400", "BadRequest", Always, "The request cannot be read, or a field or a parameter is not valid. `validation_errors` names the fields."),
    Refusal { headers: &["WWW-Authenticate"], ..refusal("401", "Unauthorized", Always, "Missing, unknown or expired token.") },
    refusal("403", "Forbidden", HasToken, "The role or the projects of the token do not allow this, or the address is blocked."),
    refusal("404", "NotFound", NamesOneThing, "It does not exist, or this token cannot access it."),
    refusal("408", "RequestTimeout", HasBody, "The body was sent too slowly. Send all of it within 30 seconds."),
    refusal("409", "Conflict", Deletes, "The request deletes tasks. `takes` counts what it takes: send `confirm` again with the value in the answer."),
    refusal("413", "ContentTooLarge", HasBody, "The body is too large."),
    refusal("415", "UnsupportedMediaType", HasBody, "This operation does not accept the media type of the body."),
    Refusal { headers: &["Content-Range"], ..refusal("416", "RangeNotSatisfiable", StreamsObject, "The requested range is past the end of the object.") },
    refusal("422", "UnprocessableContent", ReadsTask, "The data of the task is too large to be shown. Import it as smaller tasks."),
    refusal("424", "FailedDependency", StreamsObject, "The storage refuses access to the object. Check the permissions of its credentials."),
    Refusal { headers: &["Retry-After"], ..refusal("429", "TooManyRequests", Always, "Too many concurrent requests or too many bytes in progress. Try again after the seconds in `Retry-After`.") },
    refusal("500", "InternalError", Always, "Longshore failed. Send the `id` of this answer to the operator: the log has the cause under it."),
    Refusal { headers: &["Retry-After"], ..refusal("503", "ServiceUnavailable", Always, "The database or the storage does not answer, or the database takes no writes. Try again after the seconds in `Retry-After`, or in a moment.") },
];

/// Adds the refusals to every operation that can give them.
pub(super) fn add(document: &mut Value) {
    let responses = components(document, "responses");
    for refusal in REFUSALS {
        let headers = refusal.headers.iter().map(|name| ((*name).to_owned(), reference("headers", name)));
        responses.insert(
            refusal.name.to_owned(),
            json!({
                "description": refusal.description,
                "headers": headers.collect::<Map<_, _>>(),
                "content": {"application/json": {"schema": reference("schemas", "ErrorBody")}},
            }),
        );
    }
    for_each_operation(document, |path, method, operation| {
        let applies = |refusal: &&Refusal| refusal.when.applies(path, method, operation);
        let listed = |refusal: &&Refusal| operation["responses"].get(refusal.status).is_some();
        let given: Vec<_> = REFUSALS.iter().filter(|refusal| applies(refusal) || listed(refusal)).collect();
        for refusal in given {
            operation["responses"][refusal.status] = reference("responses", refusal.name);
        }
    });
}

impl When {
    fn applies(self, path: &str, method: &str, operation: &Map<String, Value>) -> bool {
        let is_object_route = path.ends_with("/resolve") || path.ends_with("/presign");
        match self {
            Always => true,
            HasToken => operation.get("security").and_then(Value::as_array).is_none_or(|ways| !ways.is_empty()),
            NamesOneThing => path.contains('{'),
            HasBody => operation.contains_key("requestBody"),
            // They list it themselves.
            Deletes => false,
            ReadsTask => is_object_route,
            StreamsObject => method == "get" && (is_object_route || path == "/data/local-files"),
        }
    }
}
