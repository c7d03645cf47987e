//! Maps S3's refusals to errors.

use http::StatusCode;
use longshore_model::FailureReason;

use crate::wire::{Answer, THROTTLED, by_status, first_texts};
use crate::{ErrorKind, Op, StorageError};

/// Converts an unsuccessful answer into an error.
pub(super) fn refusal_error(op: Op, answer: &Answer) -> StorageError {
    let [code] = first_texts(&answer.body, ["Code"]);
    from_code(op, answer, &code)
}

/// Converts an error code into an error; also for a code in the body of a successful answer.
pub(super) fn from_code(op: Op, answer: &Answer, code: &str) -> StorageError {
    crate::wire::refusal_error(op, answer, meaning(op, answer.status, code), code, "x-amz-request-id")
}

/// The code decides before the status, because S3 and compatible stores agree more on codes than on statuses.
fn meaning(op: Op, status: StatusCode, code: &str) -> (ErrorKind, FailureReason) {
    use ErrorKind::{Denied, Invalid, NotFound, Unavailable};
    match code {
        "InvalidAccessKeyId" | "InvalidClientTokenId" | "NotSignedUp" => (Denied, FailureReason::UnknownAccessKey),
        "SignatureDoesNotMatch" => (Denied, FailureReason::WrongSecretKey),
        "ExpiredToken" | "InvalidToken" | "TokenRefreshRequired" => (Denied, FailureReason::ExpiredCredentials),
        "RequestTimeTooSkewed" => (Denied, FailureReason::ClockSkew),
        "AccessDenied" | "AllAccessDisabled" | "AccountProblem" | "InvalidObjectState" => {
            (Denied, FailureReason::AccessDenied)
        }
        "EntityTooLarge" | "MaxMessageLengthExceeded" => (Invalid, FailureReason::TooLarge),
        "NoSuchBucket" => (Invalid, FailureReason::NoSuchBucket),
        "NoSuchKey" | "NoSuchVersion" => (NotFound, FailureReason::NoSuchObject),
        "PermanentRedirect"
        | "TemporaryRedirect"
        | "Redirect"
        | "AuthorizationHeaderMalformed"
        | "IllegalLocationConstraintException" => (Invalid, FailureReason::WrongRegion),
        "SlowDown"
        | "ServiceUnavailable"
        | "RequestLimitExceeded"
        | "Throttling"
        | "ThrottlingException"
        | "TooManyRequests"
        | "BandwidthLimitExceeded" => THROTTLED,
        "InternalError" | "RequestTimeout" | "OperationAborted" => (Unavailable, FailureReason::Unavailable),
        "NotImplemented" | "MethodNotAllowed" => (Invalid, FailureReason::InvalidSettings),
        _ if status.is_redirection() => (Invalid, FailureReason::WrongRegion),
        _ => by_status(op, status),
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

    #[test]
    fn the_code_of_a_refusal_decides_and_without_one_the_status() {
        use ErrorKind::{Denied, Invalid, NotFound, Throttled, Unavailable};
        let throttled = Throttled { retry_after: None };
        for (op, status, code, kind, reason) in [
            (Op::List, 403, "InvalidAccessKeyId", Denied, FailureReason::UnknownAccessKey),
            (Op::List, 403, "NotSignedUp", Denied, FailureReason::UnknownAccessKey),
            (Op::List, 403, "SignatureDoesNotMatch", Denied, FailureReason::WrongSecretKey),
            (Op::List, 400, "ExpiredToken", Denied, FailureReason::ExpiredCredentials),
            (Op::List, 400, "InvalidToken", Denied, FailureReason::ExpiredCredentials),
            (Op::Put, 403, "AccessDenied", Denied, FailureReason::AccessDenied),
            (Op::List, 404, "NoSuchBucket", Invalid, FailureReason::NoSuchBucket),
            (Op::Get, 404, "NoSuchKey", NotFound, FailureReason::NoSuchObject),
            (Op::List, 301, "PermanentRedirect", Invalid, FailureReason::WrongRegion),
            (Op::List, 400, "AuthorizationHeaderMalformed", Invalid, FailureReason::WrongRegion),
            (Op::List, 403, "RequestTimeTooSkewed", Denied, FailureReason::ClockSkew),
            (Op::List, 503, "SlowDown", throttled, FailureReason::Throttled),
            (Op::Put, 400, "RequestTimeout", Unavailable, FailureReason::Unavailable),
            (Op::Get, 429, "", throttled, FailureReason::Throttled),
            (Op::Get, 503, "", throttled, FailureReason::Throttled),
            (Op::Get, 500, "", Unavailable, FailureReason::Unavailable),
            (Op::Get, 502, "", Unavailable, FailureReason::Unavailable),
            (Op::Get, 507, "", Unavailable, FailureReason::Unavailable),
            (Op::List, 501, "", Invalid, FailureReason::InvalidSettings),
            (Op::List, 403, "NotImplemented", Invalid, FailureReason::InvalidSettings),
            (Op::Head, 404, "", NotFound, FailureReason::NoSuchObject),
            (Op::Head, 403, "", Denied, FailureReason::AccessDenied),
            (Op::Head, 301, "", Invalid, FailureReason::WrongRegion),
            (Op::List, 404, "", Invalid, FailureReason::NoSuchBucket),
            (Op::Get, 416, "InvalidRange", Invalid, FailureReason::NoSuchRange),
            (Op::Put, 400, "SomethingNew", Invalid, FailureReason::InvalidSettings),
            (Op::Put, 400, "EntityTooLarge", Invalid, FailureReason::TooLarge),
            (Op::Put, 413, "", Invalid, FailureReason::TooLarge),
        ] {
            let body = format!("<?xml version=\"1.0\"?>\n<Error>\n<Code>{code}</Code><Message>m</Message></Error>");
            let body = if code.is_empty() { String::new() } else { body };
            let error = refusal_error(op, &answer(status, &body));
            assert_eq!((error.kind, error.reason), (kind, reason), "{op:?} {status} {code}");
        }
    }

    #[test]
    fn only_code_and_request_id_of_a_refusal_are_kept() {
        let body = "<Error><Code>Access Denied</Code><Message>secret-key</Message><Resource>/b/k</Resource></Error>";
        let error = refusal_error(Op::Get, &answer(403, body));
        let cause = std::error::Error::source(&error).unwrap().to_string();
        assert_eq!(cause, "the server answered 403 Forbidden AccessDenied, request id none");
    }

    #[test]
    fn retry_after_is_read_in_seconds_and_as_a_date() {
        let mut busy = answer(503, "");
        let wait = |answer: &Answer| match refusal_error(Op::List, answer).kind {
            ErrorKind::Throttled { retry_after } => retry_after.map(|wait| wait.as_secs()),
            kind => panic!("{kind:?}"),
        };
        assert_eq!(wait(&busy), None);
        busy.headers.insert("retry-after", "7".parse().unwrap());
        assert_eq!(wait(&busy), Some(7));
        busy.headers.insert("retry-after", "Wed, 21 Oct 2015 07:28:00 GMT".parse().unwrap());
        assert_eq!(wait(&busy), Some(0));
        let later = httpdate::fmt_http_date(std::time::SystemTime::now() + std::time::Duration::from_secs(3_600));
        busy.headers.insert("retry-after", later.to_string().parse().unwrap());
        assert!((3_500..=3_600).contains(&wait(&busy).unwrap()));
    }
}
