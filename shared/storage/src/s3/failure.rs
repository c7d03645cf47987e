//! What S3's refusals mean.

use http::StatusCode;
use longshore_model::FailureReason;
use quick_xml::Reader;
use quick_xml::events::Event;

use crate::wire::{Answer, plain};
use crate::{ErrorKind, Op, StorageError};

/// S3's own word for a refusal, kept as the cause. Its message is left out: it may quote a key.
#[derive(Debug, thiserror::Error)]
#[error("the server answered {status} {code}, request id {request_id}")]
struct Refusal {
    status: StatusCode,
    code: String,
    request_id: String,
}

/// Turns an answer other than a success into an error.
pub(super) fn refused(op: Op, answer: &Answer) -> StorageError {
    let code = code(&answer.body).unwrap_or_default();
    coded(op, answer, code)
}

/// The same for a code that came in a success's body.
pub(super) fn coded(op: Op, answer: &Answer, code: String) -> StorageError {
    let (mut kind, reason) = meaning(op, answer.status, &code);
    if let ErrorKind::Throttled { retry_after } = &mut kind {
        *retry_after = answer.retry_after();
    }
    let request_id = plain(answer.header("x-amz-request-id").unwrap_or("none"));
    StorageError::caused(op, kind, reason, Refusal { status: answer.status, code, request_id })
}

/// Codes go first, since S3 and its imitations agree on them more than on statuses.
fn meaning(op: Op, status: StatusCode, code: &str) -> (ErrorKind, FailureReason) {
    use ErrorKind::{Denied, Invalid, NotFound, Unavailable};
    let throttled = (ErrorKind::Throttled { retry_after: None }, FailureReason::Throttled);
    match code {
        "InvalidAccessKeyId" | "InvalidClientTokenId" | "NotSignedUp" => (Denied, FailureReason::UnknownAccessKey),
        "SignatureDoesNotMatch" => (Denied, FailureReason::WrongSecretKey),
        "ExpiredToken" | "InvalidToken" | "TokenRefreshRequired" => (Denied, FailureReason::ExpiredCredentials),
        "RequestTimeTooSkewed" => (Denied, FailureReason::ClockSkew),
        "AccessDenied" | "AllAccessDisabled" | "AccountProblem" | "InvalidObjectState" => {
            (Denied, FailureReason::AccessDenied)
        }
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
        | "BandwidthLimitExceeded" => throttled,
        "InternalError" | "RequestTimeout" | "OperationAborted" => (Unavailable, FailureReason::Unavailable),
        _ => match status.as_u16() {
            429 | 503 => throttled,
            // Reached by the first attempt, or a proxy on the way: another try may pass.
            408 | 500 | 502 | 504 => (Unavailable, FailureReason::Unavailable),
            300..=399 => (Invalid, FailureReason::WrongRegion),
            401 | 403 => (Denied, FailureReason::AccessDenied),
            404 => match op {
                Op::Get | Op::Head | Op::Delete | Op::Presign => (NotFound, FailureReason::NoSuchObject),
                Op::Connect | Op::List | Op::Put => (Invalid, FailureReason::NoSuchBucket),
            },
            416 => (Invalid, FailureReason::NoSuchRange),
            400..=499 => (Invalid, FailureReason::InvalidSettings),
            500..=599 => (Unavailable, FailureReason::Unavailable),
            _ => (Invalid, FailureReason::BadAnswer),
        },
    }
}

/// The text of the first `Code` element.
fn code(body: &[u8]) -> Option<String> {
    let mut reader = Reader::from_str(std::str::from_utf8(body).ok()?);
    let mut inside = false;
    loop {
        match reader.read_event().ok()? {
            Event::Start(element) => inside = element.local_name().as_ref() == "Code",
            Event::Text(text) if inside => return Some(plain(&text)),
            Event::Eof => return None,
            _ => {}
        }
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
    fn a_refusal_means_what_its_code_says_and_else_what_its_status_says() {
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
            (Op::Head, 404, "", NotFound, FailureReason::NoSuchObject),
            (Op::Head, 403, "", Denied, FailureReason::AccessDenied),
            (Op::Head, 301, "", Invalid, FailureReason::WrongRegion),
            (Op::List, 404, "", Invalid, FailureReason::NoSuchBucket),
            (Op::Get, 416, "InvalidRange", Invalid, FailureReason::NoSuchRange),
            (Op::Put, 400, "SomethingNew", Invalid, FailureReason::InvalidSettings),
        ] {
            let body = format!("<?xml version=\"1.0\"?>\n<Error>\n<Code>{code}</Code><Message>m</Message></Error>");
            let body = if code.is_empty() { String::new() } else { body };
            let error = refused(op, &answer(status, &body));
            assert_eq!((error.kind, error.reason), (kind, reason), "{op:?} {status} {code}");
        }
    }

    #[test]
    fn nothing_but_code_and_request_id_of_a_refusal_is_kept() {
        let body = "<Error><Code>Access Denied</Code><Message>secret-key</Message><Resource>/b/k</Resource></Error>";
        let error = refused(Op::Get, &answer(403, body));
        let cause = std::error::Error::source(&error).unwrap().to_string();
        assert_eq!(cause, "the server answered 403 Forbidden AccessDenied, request id none");
    }

    #[test]
    fn a_wait_is_read_in_seconds_and_as_a_date() {
        let mut busy = answer(503, "");
        let wait = |answer: &Answer| match refused(Op::List, answer).kind {
            ErrorKind::Throttled { retry_after } => retry_after.map(|wait| wait.as_secs()),
            kind => panic!("{kind:?}"),
        };
        assert_eq!(wait(&busy), None);
        busy.headers.insert("retry-after", "7".parse().unwrap());
        assert_eq!(wait(&busy), Some(7));
        busy.headers.insert("retry-after", "Wed, 21 Oct 2015 07:28:00 GMT".parse().unwrap());
        assert_eq!(wait(&busy), Some(0));
        let later = (chrono::Utc::now() + chrono::TimeDelta::seconds(3_600)).format("%a, %d %b %Y %H:%M:%S GMT");
        busy.headers.insert("retry-after", later.to_string().parse().unwrap());
        assert!((3_500..=3_600).contains(&wait(&busy).unwrap()));
    }
}
