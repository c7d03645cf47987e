//! What goes wrong on the way to the API and back, as a person should read it.

use std::fmt::Write as _;

use serde_json::Value;

use super::show::plain;

pub(super) type Result<T> = std::result::Result<T, CliError>;

/// A command that failed. `Display` may take several lines and never holds a secret.
#[derive(Debug, thiserror::Error)]
pub(super) enum CliError {
    #[error("\"{url}\" is not a URL: LONGSHORE_URL or --url is like http://127.0.0.1:8080")]
    BadUrl { url: String },
    #[error("nothing answers at {url} ({cause}): is the scheduler up, and LONGSHORE_URL or --url right?")]
    Unreachable { url: String, cause: String },
    #[error("{url} does not take the token: set LONGSHORE_TOKEN or --token to one it knows ({detail})")]
    Unauthorized { url: String, detail: String },
    #[error("{url} answered {what}, not as Longshore does: is LONGSHORE_URL or --url right?")]
    Stranger { url: String, what: String },
    #[error("{}", refusal(body))]
    Api { body: Value },
    #[error("there is no storage {0}, or it is not this token's to see")]
    NoStorage(i64),
    #[error("cannot read the secret")]
    Input(#[source] std::io::Error),
}

/// The API's error body in words: detail and code, then what is wrong by field.
fn refusal(body: &Value) -> String {
    let text = |name: &str| plain(body[name].as_str().unwrap_or_default());
    let mut words = format!("{} [{}]", text("detail"), text("code"));
    for (field, messages) in body["validation_errors"].as_object().into_iter().flatten() {
        for message in messages.as_array().into_iter().flatten() {
            let message = plain(message.as_str().unwrap_or_default());
            if message == text("detail") {
                // Said already: what is left to say is which field it is about.
                write!(words, "\n  field: {}", plain(field)).expect("writing to a string cannot fail");
            } else if field == "non_field_errors" {
                write!(words, "\n  {message}").expect("writing to a string cannot fail");
            } else {
                write!(words, "\n  {}: {message}", plain(field)).expect("writing to a string cannot fail");
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
