//! Maps Azure's refusals to errors.

use http::StatusCode;
use longshore_model::FailureReason;

use crate::wire::{Answer, THROTTLED, by_status, first_texts, missing, plain};
use crate::{ErrorKind, Op, StorageError};

/// The fields of a refusal's body.
struct RefusalBody {
    code: String,
    message: String,
    /// Why Azure could not authenticate the request.
    detail: String,
}

/// Converts an unsuccessful answer into an error.
pub(super) fn refusal_error(op: Op, answer: &Answer) -> StorageError {
    let [code, message, detail] = first_texts(&answer.body, ["Code", "Message", "AuthenticationErrorDetail"]);
    let body = RefusalBody { code, message, detail };
    // The header is present even in answers without a body.
    let code = plain(answer.header("x-ms-error-code").unwrap_or(&body.code));
    crate::wire::refusal_error(op, answer, meaning(op, answer.status, &code, &body), &code, "x-ms-request-id")
}

fn meaning(op: Op, status: StatusCode, code: &str, body: &RefusalBody) -> (ErrorKind, FailureReason) {
    use ErrorKind::{Denied, Invalid, Unavailable};
    match code {
        "AuthenticationFailed" => (Denied, unauthenticated(body)),
        // Azure uses this code for network rules and missing rights, its emulator for wrong keys.
        "AuthorizationFailure" if body.message.contains("failed to authenticate") => (Denied, unauthenticated(body)),
        "AuthorizationFailure"
        | "AuthorizationPermissionMismatch"
        | "AuthorizationResourceTypeMismatch"
        | "AuthorizationServiceMismatch"
        | "AuthorizationSourceIPMismatch"
        | "AuthorizationProtocolMismatch"
        | "InsufficientAccountPermissions"
        | "KeyBasedAuthenticationNotPermitted"
        | "NoAuthenticationInformation"
        | "PublicAccessNotPermitted"
        | "AccountIsDisabled"
        | "ContainerDisabled"
        | "BlobArchived"
        | "BlobBeingRehydrated"
        | "BlobImmutableDueToPolicy"
        | "ImmutableBlobDeletionNotPermitted"
        | "LeaseIdMissing" => (Denied, FailureReason::AccessDenied),
        "InvalidAuthenticationInfo" => (Denied, FailureReason::WrongSecretKey),
        "ContainerNotFound" | "ContainerBeingDeleted" => (Invalid, FailureReason::NoSuchBucket),
        "BlobNotFound" => missing(op),
        // A missing container or blob has another code.
        "ResourceNotFound" if matches!(op, Op::Connect | Op::List | Op::Put) => {
            (Denied, FailureReason::UnknownAccessKey)
        }
        "ServerBusy" => THROTTLED,
        "InternalError" | "OperationTimedOut" | "AccountBeingCreated" | "Md5Mismatch" => {
            (Unavailable, FailureReason::Unavailable)
        }
        "InvalidRange" => (Invalid, FailureReason::NoSuchRange),
        "RequestBodyTooLarge" => (Invalid, FailureReason::TooLarge),
        // An older server does not know our API version.
        "InvalidHeaderValue" | "UnsupportedHeader" => (Invalid, FailureReason::BadAnswer),
        _ => by_status(op, status),
    }
}

/// Azure refuses a date that is too old with the same code as a wrong signature.
fn unauthenticated(body: &RefusalBody) -> FailureReason {
    if body.detail.starts_with("Request date header") {
        FailureReason::ClockSkew
    } else {
        FailureReason::WrongSecretKey
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use http::HeaderMap;

    use super::*;

    fn answer(status: u16, body: &str) -> Answer {
        let body = Bytes::copy_from_slice(body.as_bytes());
        Answer { status: StatusCode::from_u16(status).unwrap(), headers: HeaderMap::new(), body }
    }

    fn body(code: &str, more: &str) -> String {
        format!(
            "\u{FEFF}<?xml version=\"1.0\" encoding=\"utf-8\"?><Error><Code>{code}</Code><Message>m</Message>{more}</Error>"
        )
    }

    #[test]
    fn the_code_of_a_refusal_decides_and_without_one_the_status() {
        use ErrorKind::{Denied, Invalid, NotFound, Throttled, Unavailable};
        let throttled = Throttled { retry_after: None };
        for (op, status, code, kind, reason) in [
            (Op::List, 403, "AuthenticationFailed", Denied, FailureReason::WrongSecretKey),
            (Op::List, 403, "AuthorizationFailure", Denied, FailureReason::AccessDenied),
            (Op::Put, 403, "AuthorizationPermissionMismatch", Denied, FailureReason::AccessDenied),
            (Op::List, 403, "KeyBasedAuthenticationNotPermitted", Denied, FailureReason::AccessDenied),
            (Op::List, 403, "AccountIsDisabled", Denied, FailureReason::AccessDenied),
            (Op::List, 404, "ContainerNotFound", Invalid, FailureReason::NoSuchBucket),
            (Op::Get, 404, "ContainerNotFound", Invalid, FailureReason::NoSuchBucket),
            (Op::Put, 409, "ContainerBeingDeleted", Invalid, FailureReason::NoSuchBucket),
            (Op::Get, 404, "BlobNotFound", NotFound, FailureReason::NoSuchObject),
            (Op::List, 404, "ResourceNotFound", Denied, FailureReason::UnknownAccessKey),
            (Op::Get, 404, "ResourceNotFound", NotFound, FailureReason::NoSuchObject),
            (Op::Get, 409, "BlobArchived", Denied, FailureReason::AccessDenied),
            (Op::Put, 412, "LeaseIdMissing", Denied, FailureReason::AccessDenied),
            (Op::List, 503, "ServerBusy", throttled, FailureReason::Throttled),
            (Op::List, 500, "OperationTimedOut", Unavailable, FailureReason::Unavailable),
            (Op::Get, 416, "InvalidRange", Invalid, FailureReason::NoSuchRange),
            (Op::List, 400, "InvalidHeaderValue", Invalid, FailureReason::BadAnswer),
            (Op::Put, 400, "OutOfRangeInput", Invalid, FailureReason::InvalidSettings),
            (Op::Put, 413, "RequestBodyTooLarge", Invalid, FailureReason::TooLarge),
            (Op::Put, 413, "", Invalid, FailureReason::TooLarge),
            (Op::Get, 429, "", throttled, FailureReason::Throttled),
            (Op::Get, 503, "", throttled, FailureReason::Throttled),
            (Op::Get, 502, "", Unavailable, FailureReason::Unavailable),
            (Op::Get, 507, "", Unavailable, FailureReason::Unavailable),
            (Op::Head, 404, "", NotFound, FailureReason::NoSuchObject),
            (Op::List, 404, "", Invalid, FailureReason::NoSuchBucket),
            (Op::Get, 403, "", Denied, FailureReason::AccessDenied),
            (Op::Get, 301, "", Invalid, FailureReason::BadAnswer),
        ] {
            let body = if code.is_empty() { String::new() } else { body(code, "") };
            let error = refusal_error(op, &answer(status, &body));
            assert_eq!((error.kind, error.reason), (kind, reason), "{op:?} {status} {code}");
            let mut bare = answer(status, "");
            bare.headers.insert("x-ms-error-code", code.parse().unwrap());
            assert_eq!(refusal_error(op, &bare).reason, reason, "{op:?} {status} {code}, in the header alone");
        }
    }

    #[test]
    fn an_old_request_date_is_distinguished_from_a_wrong_key() {
        let reason = |detail: &str| {
            let detail = format!("<AuthenticationErrorDetail>{detail}</AuthenticationErrorDetail>");
            refusal_error(Op::List, &answer(403, &body("AuthenticationFailed", &detail))).reason
        };
        assert_eq!(reason("Request date header too old: 'Fri, 31 Jan 2020 12:28:37 GMT'"), FailureReason::ClockSkew);
        assert_eq!(
            reason("The MAC signature found in the HTTP request 'x' is not the same as any computed signature."),
            FailureReason::WrongSecretKey
        );
    }

    #[test]
    fn the_emulators_answer_to_a_wrong_key_is_understood() {
        let body = "<Error><Code>AuthorizationFailure</Code><Message>Server failed to authenticate the request. Make sure</Message></Error>";
        assert_eq!(refusal_error(Op::List, &answer(403, body)).reason, FailureReason::WrongSecretKey);
    }

    #[test]
    fn only_code_and_request_id_of_a_refusal_are_kept() {
        let body = "<Error><Code>Access Denied</Code><Message>secret-key</Message></Error>";
        let error = refusal_error(Op::Get, &answer(403, body));
        let cause = std::error::Error::source(&error).unwrap().to_string();
        assert_eq!(cause, "the server answered 403 Forbidden AccessDenied, request id none");
    }

    #[test]
    fn the_retry_after_of_a_busy_server_is_read() {
        let mut busy = answer(503, &body("ServerBusy", ""));
        busy.headers.insert("retry-after", "7".parse().unwrap());
        let ErrorKind::Throttled { retry_after } = refusal_error(Op::List, &busy).kind else { panic!("not throttled") };
        assert_eq!(retry_after.map(|wait| wait.as_secs()), Some(7));
    }
}
