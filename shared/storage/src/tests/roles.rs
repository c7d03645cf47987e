//! The kind `s3s` against a scripted STS and bucket.

use aws_credential_types::Credentials;
use jiff::{SignedDuration, Timestamp};
use longshore_model::S3sConnection;

use super::*;
use crate::cloud::CloudStorage;
use crate::s3::{CredentialSource, DefaultChain, Roles, S3};
use crate::wire::Wire;

const ROLE: &str = "arn:aws:iam::123456789012:role/reader";

fn issued(n: usize, seconds: i64) -> String {
    let end = format!("{:.3}", Timestamp::now() + SignedDuration::from_secs(seconds));
    let body = format!(
        "<AssumeRoleResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"><AssumeRoleResult><Credentials>\
         <AccessKeyId>ASIAROLE{n}</AccessKeyId><SecretAccessKey>role-secret-{n}</SecretAccessKey>\
         <SessionToken>role-token-{n}</SessionToken><Expiration>{end}</Expiration></Credentials></AssumeRoleResult>\
         </AssumeRoleResponse>"
    );
    answer("200 OK", "Content-Type: text/xml\r\n", &body)
}

fn refusal(status: &str, code: &str) -> String {
    let body = format!(
        "<ErrorResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"><Error><Type>Sender</Type>\
         <Code>{code}</Code><Message>User: arn:aws:iam::999999999999:user/longshore may not</Message></Error>\
         <RequestId>r-1</RequestId></ErrorResponse>"
    );
    answer(status, "Content-Type: text/xml\r\n", &body)
}

fn process_identity() -> DefaultChain {
    DefaultChain::with_credentials(Credentials::from_keys("AKIAOURS", "our-secret", None))
}

async fn roles(sts: &Server) -> Roles {
    Roles::at(Arc::new(process_identity()), &format!("http://127.0.0.1:{}", sts.port)).await
}

fn open_role(roles: &Roles, bucket: &Server, external_id: &str) -> CloudStorage<S3> {
    let Connection::S3(s3) = settings(format!("http://127.0.0.1:{}", bucket.port)).connection else {
        unreachable!("settings of S3")
    };
    let connection = S3sConnection {
        s3: S3Connection { region_name: Some("eu-west-1".into()), ..s3 },
        role_arn: ROLE.into(),
        external_id: Some(external_id.into()),
        legacy_auth: None,
    };
    let metrics = StorageMetrics::register(&Registry::new()).expect("a fresh registry");
    let wire = Arc::new(Wire::new(options(), metrics).expect("a client"));
    let credentials = CredentialSource::Role(roles.role(&connection, "us-east-1").expect("a role"));
    S3::open(&connection.s3, String::new(), credentials, wire, "us-east-1").expect("good settings")
}

fn page() -> String {
    answer("200 OK", "", &listing(&["p/a"], false))
}

#[tokio::test]
async fn a_role_is_assumed_once_and_its_credentials_sign() {
    let sts = Server::saying([issued(1, 3_600)]).await;
    let bucket = Server::saying([page(), page()]).await;
    let roles = roles(&sts).await;
    list(&open_role(&roles, &bucket, "ours-1")).await.unwrap();
    list(&open_role(&roles, &bucket, "ours-1")).await.unwrap();

    let requests = sts.requests().join("\n");
    for part in [
        "Action=AssumeRole",
        "RoleArn=arn%3Aaws%3Aiam%3A%3A123456789012%3Arole%2Freader",
        "RoleSessionName=longshore",
        "ExternalId=ours-1",
        "/eu-west-1/sts/aws4_request",
        "AKIAOURS",
    ] {
        assert_eq!(requests.matches(part).count(), 1, "{part} in {requests}");
    }
    for request in bucket.requests() {
        assert!(request.contains("ASIAROLE1") && request.contains("x-amz-security-token: role-token-1"), "{request}");
    }
}

#[tokio::test]
async fn a_storage_with_another_external_id_does_not_get_the_cached_credentials() {
    let sts = Server::saying([issued(1, 3_600), refusal("403 Forbidden", "AccessDenied")]).await;
    let bucket = Server::saying([page()]).await;
    let roles = roles(&sts).await;
    list(&open_role(&roles, &bucket, "ours")).await.unwrap();
    let error = open_role(&roles, &bucket, "guessed").probe(Probe::Read).await.unwrap_err();
    assert_eq!((error.kind, error.reason), (ErrorKind::Denied, FailureReason::RoleDenied));
    assert!(error.reason.advice().contains("external ID"));
    assert_eq!(bucket.requests().len(), 1, "the bucket gets no request with the cached credentials");
}

#[tokio::test]
async fn credentials_that_the_bucket_calls_expired_are_replaced_and_the_request_repeated() {
    let sts = Server::saying([issued(1, 3_600), issued(2, 3_600)]).await;
    let expired = answer("400 Bad Request", "", "<Error><Code>ExpiredToken</Code></Error>");
    let bucket = Server::saying([expired, page()]).await;
    let keys = list(&open_role(&roles(&sts).await, &bucket, "ours")).await.unwrap();
    assert_eq!(keys, ["p/a"]);
    assert!(bucket.requests()[1].contains("ASIAROLE2"));
}

#[tokio::test]
async fn a_call_to_an_sts_that_fails_briefly_is_retried() {
    let sts = Server::saying([
        refusal("500 Internal Server Error", "InternalFailure"),
        refusal("400 Bad Request", "Throttling"),
        issued(1, 3_600),
    ])
    .await;
    let bucket = Server::saying([page()]).await;
    list(&open_role(&roles(&sts).await, &bucket, "ours")).await.unwrap();
    assert_eq!(sts.requests().len(), 3);
}

#[tokio::test]
async fn a_refusal_of_sts_shows_who_has_to_fix_it() {
    for (status, code, kind, reason) in [
        ("403 Forbidden", "AccessDenied", ErrorKind::Denied, FailureReason::RoleDenied),
        ("400 Bad Request", "ValidationError", ErrorKind::Invalid, FailureReason::RoleDenied),
        ("403 Forbidden", "InvalidClientTokenId", ErrorKind::Denied, FailureReason::NoIdentity),
        ("403 Forbidden", "SignatureDoesNotMatch", ErrorKind::Denied, FailureReason::NoIdentity),
        ("403 Forbidden", "RegionDisabledException", ErrorKind::Invalid, FailureReason::WrongRegion),
        ("403 Forbidden", "RequestExpired", ErrorKind::Denied, FailureReason::ClockSkew),
        ("400 Bad Request", "NotAnStsAtAll", ErrorKind::Invalid, FailureReason::BadAnswer),
    ] {
        let sts = Server::saying([refusal(status, code)]).await;
        let bucket = Server::saying([]).await;
        let error = open_role(&roles(&sts).await, &bucket, "ours").probe(Probe::Read).await.unwrap_err();
        assert_eq!((error.kind, error.reason), (kind, reason), "{code}");
        let shown = format!("{error:?} {error}");
        assert!(shown.contains(code) && !shown.contains("999999999999") && !shown.contains("our-secret"), "{shown}");
    }
}
