//! Maps Cloud Storage's refusals to errors.

use http::StatusCode;
use longshore_model::FailureReason;
use serde::Deserialize;

use crate::wire::{Answer, THROTTLED, by_status};
use crate::{ErrorKind, Op, StorageError};

/// How the message begins if the bucket is missing and not only the object.
const NO_BUCKET: &str = "The specified bucket does not exist";

#[derive(Default, Deserialize)]
#[serde(default)]
struct Body {
    error: Detail,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Detail {
    message: String,
    errors: Vec<Reason>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Reason {
    reason: String,
}

/// Converts an unsuccessful answer into an error.
pub(super) fn refusal_error(op: Op, answer: &Answer) -> StorageError {
    let Detail { message, errors } = serde_json::from_slice::<Body>(&answer.body).unwrap_or_default().error;
    let code = errors.into_iter().next().unwrap_or_default().reason;
    // The answer to a request for an object's bytes has the message as plain text, without JSON.
    let has_bucket = !message.starts_with(NO_BUCKET) && !answer.body.starts_with(NO_BUCKET.as_bytes());
    let meaning = meaning(op, answer.status, &code, has_bucket);
    crate::wire::refusal_error(op, answer, meaning, &code, "x-guploader-uploadid")
}

fn meaning(op: Op, status: StatusCode, code: &str, has_bucket: bool) -> (ErrorKind, FailureReason) {
    use ErrorKind::{Denied, Invalid, Unavailable};
    match (code, status.as_u16()) {
        // Google reports some rate limits with a 403.
        ("rateLimitExceeded" | "userRateLimitExceeded", _) => THROTTLED,
        ("uploadTooLarge", _) => (Invalid, FailureReason::TooLarge),
        ("accountDisabled", _) => (Denied, FailureReason::UnknownAccessKey),
        // A conflict with a concurrent request: another try may succeed.
        (_, 409) => (Unavailable, FailureReason::Unavailable),
        // A wrong account fails when its token is requested, so this token is expired or revoked.
        (_, 401) => (Denied, FailureReason::ExpiredCredentials),
        (_, 404) if !has_bucket => (Invalid, FailureReason::NoSuchBucket),
        _ => by_status(op, status),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use bytes::Bytes;
    use http::HeaderMap;
    use serde_json::json;

    use super::*;

    fn answer(status: u16, body: &str) -> Answer {
        let body = Bytes::copy_from_slice(body.as_bytes());
        Answer { status: StatusCode::from_u16(status).unwrap(), headers: HeaderMap::new(), body }
    }

    fn body(reason: &str, message: &str) -> String {
        json!({"error": {"code": 0, "message": message, "errors": [{"reason": reason, "message": message}]}})
            .to_string()
    }

    #[test]
    fn status_and_reason_of_a_refusal_decide_the_error() {
        use ErrorKind::{Denied, Invalid, NotFound, Unavailable};
        let throttled = ErrorKind::Throttled { retry_after: None };
        let no_bucket = body("notFound", "The specified bucket does not exist.");
        let no_object = body("notFound", "No such object: photos/The specified bucket does not exist");
        for (op, status, body, kind, reason) in [
            (Op::List, 401, body("authError", "Invalid Credentials"), Denied, FailureReason::ExpiredCredentials),
            (
                Op::List,
                403,
                body("forbidden", "me does not have storage.objects.list"),
                Denied,
                FailureReason::AccessDenied,
            ),
            (Op::Put, 403, body("insufficientPermissions", ""), Denied, FailureReason::AccessDenied),
            (Op::Put, 403, body("accountDisabled", ""), Denied, FailureReason::UnknownAccessKey),
            (Op::Get, 403, body("userRateLimitExceeded", ""), throttled, FailureReason::Throttled),
            (Op::List, 404, no_bucket.clone(), Invalid, FailureReason::NoSuchBucket),
            (Op::Put, 404, String::new(), Invalid, FailureReason::NoSuchBucket),
            (Op::Get, 404, no_bucket.clone(), Invalid, FailureReason::NoSuchBucket),
            (Op::Get, 404, "The specified bucket does not exist.".into(), Invalid, FailureReason::NoSuchBucket),
            (Op::Delete, 404, no_bucket, Invalid, FailureReason::NoSuchBucket),
            (Op::Head, 404, no_object.clone(), NotFound, FailureReason::NoSuchObject),
            (Op::Get, 404, no_object, NotFound, FailureReason::NoSuchObject),
            (Op::Get, 404, "No such object: photos/x".into(), NotFound, FailureReason::NoSuchObject),
            (Op::Get, 416, String::new(), Invalid, FailureReason::NoSuchRange),
            (Op::Get, 429, body("rateLimitExceeded", ""), throttled, FailureReason::Throttled),
            (Op::List, 503, body("backendError", ""), throttled, FailureReason::Throttled),
            (Op::List, 500, body("internalError", ""), Unavailable, FailureReason::Unavailable),
            (Op::Put, 507, String::new(), Unavailable, FailureReason::Unavailable),
            (Op::Put, 413, body("uploadTooLarge", ""), Invalid, FailureReason::TooLarge),
            (Op::Put, 413, String::new(), Invalid, FailureReason::TooLarge),
            (Op::List, 400, body("required", "Bucket is requester pays"), Invalid, FailureReason::InvalidSettings),
            (Op::List, 302, String::new(), Invalid, FailureReason::BadAnswer),
        ] {
            let error = refusal_error(op, &answer(status, &body));
            assert_eq!((error.kind, error.reason), (kind, reason), "{op:?} {status} {body}");
        }
    }

    #[test]
    fn retry_after_is_passed_on_and_the_message_is_not() {
        let mut busy = answer(429, &body("rateLimitExceeded\n", "me@example.com asks too often for secret/key"));
        busy.headers.insert("retry-after", "7".parse().unwrap());
        busy.headers.insert("x-guploader-uploadid", "ABPnzm-1_2".parse().unwrap());
        let error = refusal_error(Op::List, &busy);
        assert_eq!(error.kind, ErrorKind::Throttled { retry_after: Some(Duration::from_secs(7)) });
        let cause = std::error::Error::source(&error).unwrap().to_string();
        assert_eq!(cause, "the server answered 429 Too Many Requests rateLimitExceeded, request id ABPnzm-1_2");
    }
}
