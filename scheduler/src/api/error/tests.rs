use axum::http::header;
use axum::response::{IntoResponse as _, Response};

use super::*;
use longshore_model::FailureReason;
use longshore_storage::Op;

async fn body_of(error: ApiError) -> (StatusCode, serde_json::Value) {
    body_of_answer(error.into_response()).await
}

async fn body_of_answer(response: Response) -> (StatusCode, serde_json::Value) {
    let status = response.status();
    let bytes = axum::body::to_bytes(response.into_body(), usize::MAX).await.unwrap();
    (status, serde_json::from_slice(&bytes).unwrap())
}

#[tokio::test]
async fn a_field_error_names_its_field_under_label_studios_words() {
    let (status, body) = body_of(ApiError::invalid("bucket", "This field is required.")).await;
    assert_eq!(status, 400);
    assert_eq!(body["detail"], "Validation error");
    assert_eq!(body["validation_errors"]["bucket"][0], "This field is required.");
    assert_eq!((&body["code"], &body["exc_info"]), (&"validation_error".into(), &serde_json::Value::Null));
    assert_eq!(body["status_code"], 400);
    assert!(body["id"].as_str().unwrap().parse::<uuid::Uuid>().is_ok());
}

#[tokio::test]
async fn a_blocked_address_is_forbidden_and_counted_and_everything_else_of_a_connection_invalid() {
    let failed = |reason: FailureReason| ApiError::Connection {
        field: NON_FIELD,
        advice: reason.advice().to_owned(),
        error: StorageError::with_source(Op::List, ErrorKind::Invalid, reason, "hunter2"),
    };
    let (status, body) = body_of(failed(FailureReason::BlockedAddress)).await;
    assert_eq!((status.as_u16(), &body["code"]), (403, &"blocked_address".into()));
    for (reason, denial) in [
        (FailureReason::BlockedAddress, Some(Denial::BlockedAddress)),
        (FailureReason::OwnIdentityDenied, Some(Denial::OwnIdentity)),
        (FailureReason::NoSuchBucket, None),
    ] {
        let used = ApiError::Storage(StorageError::new(Op::Get, ErrorKind::Denied, reason));
        for answer in [failed(reason).into_response(), used.into_response()] {
            assert_eq!(answer.extensions().get::<DeniedAccess>().map(|noted| noted.denial), denial);
        }
    }
    let (status, body) = body_of(failed(FailureReason::NoSuchBucket)).await;
    assert_eq!((status.as_u16(), &body["code"]), (400, &"no_such_bucket".into()));
    assert!(body["detail"].as_str().unwrap().starts_with("The bucket does not exist"));
    assert!(!body.to_string().contains("hunter2"));
}

#[tokio::test]
async fn a_row_that_the_token_cannot_access_has_the_answer_of_a_missing_one_and_is_counted() {
    let missing: [fn() -> ApiError; 2] = [|| ApiError::not_found("task 7"), || ApiError::invalid("project", "No.")];
    for missing in missing {
        let noted = missing().hiding_a_row().into_response().extensions().get::<DeniedAccess>().cloned();
        assert_eq!(noted.map(|noted| noted.denial), Some(Denial::NotVisible));
        assert!(missing().into_response().extensions().get::<DeniedAccess>().is_none());
        let (mut expected, mut hidden) = (body_of(missing()).await, body_of(missing().hiding_a_row()).await);
        for answer in [&mut expected, &mut hidden] {
            answer.1["id"] = serde_json::Value::Null;
        }
        assert_eq!(hidden, expected);
    }
}

#[tokio::test]
async fn a_slow_body_gets_status_408() {
    let (status, body) = body_of(ApiError::SlowBody).await;
    assert_eq!((status.as_u16(), &body["code"]), (408, &"body_too_slow".into()));
}

#[test]
fn a_refusal_because_of_a_limit_says_when_to_try_again_and_is_counted() {
    for limit in Limit::ALL.iter().copied() {
        let answer = ApiError::Busy(limit).into_response();
        assert_eq!(answer.status(), StatusCode::TOO_MANY_REQUESTS, "{limit:?}");
        assert_eq!(answer.headers()[header::RETRY_AFTER], limit.retry_after_seconds().to_string());
        assert_eq!(answer.extensions().get::<Limit>(), Some(&limit));
    }
}

#[tokio::test]
async fn the_answer_to_an_internal_failure_hides_its_cause() {
    let (status, body) = body_of(ApiError::internal("password is hunter2")).await;
    assert_eq!(status, 500);
    assert!(!body.to_string().contains("hunter2"));
    assert!(body.get("validation_errors").is_none());
}

#[tokio::test]
async fn an_outage_of_the_database_is_a_503_with_its_own_code_and_a_time_to_wait() {
    for (error, code) in
        [(longshore_db::Error::ReadOnly, "database_read_only"), (longshore_db::Error::Silent, "database_unavailable")]
    {
        let answer = ApiError::Database(error).into_response();
        assert!(answer.headers()[header::RETRY_AFTER].to_str().unwrap().parse::<u16>().unwrap() > 0);
        let (status, body) = body_of_answer(answer).await;
        assert_eq!((status.as_u16(), &body["code"]), (503, &code.into()));
    }
    let (status, body) = body_of(ApiError::Database(longshore_db::Error::Seal("no key"))).await;
    assert_eq!((status.as_u16(), &body["code"]), (500, &"internal".into()));
}

#[tokio::test]
async fn an_unavailable_broker_is_named() {
    let (status, body) = body_of(BrokerError::Disconnected.into()).await;
    assert_eq!((status.as_u16(), &body["code"]), (503, &"broker_unavailable".into()));
}

#[tokio::test]
async fn a_denial_has_a_stable_code_and_tells_who_was_denied_only_to_the_audit() {
    for denial in Denial::ALL {
        let name = TokenName { id: 7, name: "hunter2".to_owned() };
        let response = ApiError::denied(*denial, "No.").of(name.clone()).into_response();
        let noted = response.extensions().get::<DeniedAccess>().unwrap();
        assert_eq!((noted.denial, noted.token.as_ref()), (*denial, Some(&name)));
        assert_eq!(response.headers().contains_key(header::WWW_AUTHENTICATE), response.status() == 401);
        let (status, body) = body_of(ApiError::denied(*denial, "No.").of(name)).await;
        assert_eq!((status, &body["code"]), (denial.status(), &denial.code().into()));
        assert!(!body.to_string().contains("hunter2"));
    }
}
