//! The errors that users see: what happened, then a `hint:` line with what to do.

use std::fmt::Write as _;

use serde_json::Value;

use crate::text::escaped;

pub(crate) type Result<T> = std::result::Result<T, CliError>;

/// A command that failed. `Display` may take several lines and never holds a secret.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CliError {
    #[error("not a URL: `{url}`\nhint: set LONGSHORE_URL or --url to a URL such as http://127.0.0.1:8080")]
    BadUrl { url: String },
    #[error(
        "cannot reach {url}: {cause}\nhint: check that the scheduler runs, and that LONGSHORE_URL or --url is its address"
    )]
    Unreachable { url: String, cause: String },
    #[error("{url} refused the token: {detail}\nhint: set LONGSHORE_TOKEN or --token to a valid token")]
    Unauthorized { url: String, detail: String },
    #[error(
        "{url} returned {what}, which is not a Longshore response\nhint: set LONGSHORE_URL or --url to the address of a scheduler"
    )]
    NotLongshore { url: String, what: String },
    #[error("{}", refusal(body))]
    Api { body: Value },
    #[error(
        "storage {0} not found, or this token cannot access it\nhint: `longshore storage list` shows the storages of this token"
    )]
    NoStorage(i64),
    #[error("DATABASE_URL {fault}\nhint: set DATABASE_URL or --database-url to the URL of Label Studio's database")]
    BadDatabaseUrl { fault: String },
    #[error("{}", escaped(text))]
    Database { text: String },
    #[error(
        "this deletes everything in schema longshore, also the quarantine\nhint: add --yes to do it; tasks and annotations stay"
    )]
    Unconfirmed,
    #[error(
        "programs of Longshore are connected to this database: {programs}\nhint: stop all schedulers and workers first, or add --force"
    )]
    Running { programs: String },
    #[error(
        "what follows from imports is not done, and would never be: {due}\nhint: start a scheduler and a worker until it is, or add --force to give it up"
    )]
    Due { due: String },
    #[error(
        "{}\nhint: use a role that owns Label Studio's tables and is a member of the owner of schema longshore: `GRANT longshore_owner TO label_studio`; see \"How to go back\" in deploy/label-studio/README.md",
        escaped(text)
    )]
    NoOwner { text: String },
    #[error("cannot read the secret from the file or standard input")]
    Input(#[source] std::io::Error),
}

/// The text of an error body of the API: its detail and code, then the messages by field.
fn refusal(body: &Value) -> String {
    let text = |name: &str| escaped(body[name].as_str().unwrap_or_default());
    let mut words = format!("{} [{}]", text("detail"), text("code"));
    for (field, messages) in body["validation_errors"].as_object().into_iter().flatten() {
        for message in messages.as_array().into_iter().flatten() {
            let message = escaped(message.as_str().unwrap_or_default());
            if message == text("detail") {
                // The detail already states the message, so only name the field.
                write!(words, "\n  field: {}", escaped(field)).expect("writing to a string cannot fail");
            } else if field == "non_field_errors" {
                write!(words, "\n  {message}").expect("writing to a string cannot fail");
            } else {
                write!(words, "\n  {}: {message}", escaped(field)).expect("writing to a string cannot fail");
            }
        }
    }
    words
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_refusal_shows_detail_code_and_every_field() {
        let body = json!({
            "detail": "Validation error", "code": "validation_error",
            "validation_errors": {"bucket": ["This field is required."], "non_field_errors": ["No.", "Never.\u{1b}[2J"]}
        });
        let expected =
            "Validation error [validation_error]\n  bucket: This field is required.\n  No.\n  Never.\\u{1b}[2J";
        assert_eq!(CliError::Api { body }.to_string(), expected);

        let body = json!({"detail": "No.", "code": "denied", "validation_errors": {"bucket": ["No."]}});
        assert_eq!(CliError::Api { body }.to_string(), "No. [denied]\n  field: bucket");
    }
}
