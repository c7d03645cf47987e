//! Google's OAuth: exchanges a service account's signed assertion, or a person's refresh token, for a bearer token.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use http::{HeaderValue, Method, Request, Uri, header};
use jiff::Timestamp;
use longshore_model::{FailureReason, StorageKind};
use percent_encoding::utf8_percent_encode;
use serde::Deserialize;
use serde_json::json;

use super::key_file::{AuthorizedUser, KeyFile, ServiceAccount, SigningError};
use super::token::bearer;
use crate::wire::{Answer, Call, ExpiringValue, QUERY, Wire, plain};
use crate::{ErrorKind, Op, StorageError};

/// The right to list, read, write and delete objects, as far as the account's roles allow.
const SCOPE: &str = "https://www.googleapis.com/auth/devstorage.read_write";

/// Seconds. The longest validity that Google accepts for an assertion.
const LIFETIME: i64 = 3_600;

/// Seconds. Google refuses an assertion from the future, so it is dated back by the usual difference between clocks.
const LENIENCE: i64 = 10;

/// Bytes. A token has 2 kB at most, and its JSON adds little.
const LONGEST_ANSWER: u64 = 64 * 1024;

#[derive(Deserialize)]
struct TokenAnswer {
    access_token: String,
    expires_in: u64,
}

/// Requests a token.
pub(super) async fn fetch_token(wire: &Wire, file: &KeyFile) -> Result<ExpiringValue<HeaderValue>, StorageError> {
    let uri = match file {
        KeyFile::Service(account) => &account.token_uri,
        KeyFile::User(user) => &user.token_uri,
    };
    let host = uri.authority().map_or("", |authority| authority.as_str());
    let call = Call { kind: StorageKind::Gcs, op: Op::Connect, endpoint: host, max_bytes: LONGEST_ANSWER };
    // Signed for each try, because the assertion's validity starts now.
    let prepare = || async { request(uri, host, form(file)?) };
    wire.call(call, prepare, |answer| read_token(file, &answer)).await
}

fn form(file: &KeyFile) -> Result<String, StorageError> {
    match file {
        KeyFile::Service(account) => {
            let assertion = assertion(account, Timestamp::now().as_second()).map_err(|error| {
                StorageError::with_source(Op::Connect, ErrorKind::Invalid, FailureReason::WrongSecretKey, error)
            })?;
            Ok(format!("grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Ajwt-bearer&assertion={assertion}"))
        }
        KeyFile::User(AuthorizedUser { client_id, client_secret, refresh_token, .. }) => Ok(format!(
            "grant_type=refresh_token&client_id={}&client_secret={}&refresh_token={}",
            utf8_percent_encode(client_id, QUERY),
            utf8_percent_encode(client_secret.expose(), QUERY),
            utf8_percent_encode(refresh_token.expose(), QUERY),
        )),
    }
}

/// Builds the JSON Web Token that states the account and the requested scope.
fn assertion(account: &ServiceAccount, now: i64) -> Result<String, SigningError> {
    let mut head = json!({"alg": "RS256", "typ": "JWT"});
    if let Some(id) = &account.key_id {
        head["kid"] = id.as_str().into();
    }
    let issued_at = now - LENIENCE;
    let claims = json!({
        "iss": account.email, "scope": SCOPE, "aud": account.token_uri.to_string(),
        "iat": issued_at, "exp": issued_at + LIFETIME,
    });
    let encode = |part: &[u8]| URL_SAFE_NO_PAD.encode(part);
    let message = format!("{}.{}", encode(head.to_string().as_bytes()), encode(claims.to_string().as_bytes()));
    let signature = account.sign(message.as_bytes())?;
    Ok(format!("{message}.{}", encode(&signature)))
}

fn request(uri: &Uri, host: &str, form: String) -> Result<Request<Bytes>, StorageError> {
    let internal = |error| StorageError::with_source(Op::Connect, ErrorKind::Invalid, FailureReason::Internal, error);
    Request::builder()
        .method(Method::POST)
        .uri(uri)
        .header(header::HOST, host)
        .header(header::CONTENT_TYPE, HeaderValue::from_static("application/x-www-form-urlencoded"))
        .body(Bytes::from(form))
        .map_err(internal)
}

fn read_token(file: &KeyFile, answer: &Answer) -> Result<ExpiringValue<HeaderValue>, StorageError> {
    if !answer.status.is_success() {
        return Err(refusal_error(file, answer));
    }
    serde_json::from_slice(&answer.body)
        .ok()
        .and_then(|TokenAnswer { access_token, expires_in }| bearer(&access_token, expires_in))
        .ok_or_else(|| StorageError::new(Op::Connect, ErrorKind::Invalid, FailureReason::BadAnswer))
}

fn refusal_error(file: &KeyFile, answer: &Answer) -> StorageError {
    #[derive(Default, Deserialize)]
    #[serde(default)]
    struct Body {
        error: String,
        error_description: String,
    }
    let Body { error, error_description } = serde_json::from_slice(&answer.body).unwrap_or_default();
    let meaning = match answer.status.as_u16() {
        429 => (ErrorKind::Throttled { retry_after: None }, FailureReason::Throttled),
        408 | 500..=599 => (ErrorKind::Unavailable, FailureReason::Unavailable),
        _ => meaning(file, &error, &error_description.to_ascii_lowercase()),
    };
    // Without its description, which may name the account.
    crate::wire::refusal_error(Op::Connect, answer, meaning, &plain(&error), "x-goog-request-id")
}

/// The code `invalid_grant` covers most failures; the description distinguishes them.
fn meaning(file: &KeyFile, code: &str, description: &str) -> (ErrorKind, FailureReason) {
    use ErrorKind::{Denied, Invalid};
    let mentions = |part: &str| description.contains(part);
    match code {
        "invalid_grant" if mentions("not found") || mentions("disabled") => (Denied, FailureReason::UnknownAccessKey),
        "invalid_grant" if mentions("iat and exp") || mentions("timeframe") => (Denied, FailureReason::ClockSkew),
        "invalid_grant" if mentions("audience") => (Invalid, FailureReason::InvalidSettings),
        "invalid_grant" => match file {
            KeyFile::Service(_) => (Denied, FailureReason::WrongSecretKey),
            KeyFile::User(_) => (Denied, FailureReason::ExpiredCredentials),
        },
        "invalid_client" | "unauthorized_client" | "deleted_client" | "disabled_client" => {
            (Denied, FailureReason::UnknownAccessKey)
        }
        "invalid_scope" | "access_denied" | "org_internal" | "admin_policy_enforced" => {
            (Denied, FailureReason::AccessDenied)
        }
        // The server that the key file's `token_uri` names is not a token server.
        _ => (Invalid, FailureReason::BadAnswer),
    }
}

#[cfg(test)]
mod tests {
    use aws_lc_rs::signature::{KeyPair, RSA_PKCS1_2048_8192_SHA256, RsaKeyPair, UnparsedPublicKey};
    use http::HeaderMap;
    use rustls::pki_types::PrivateKeyDer;
    use rustls::pki_types::pem::PemObject;
    use serde_json::Value;

    use super::super::sign::tests::service_account;
    use http::StatusCode;

    use super::*;

    fn service() -> KeyFile {
        KeyFile::read(&service_account().to_string()).unwrap()
    }

    fn person() -> KeyFile {
        let file =
            json!({"type": "authorized_user", "client_id": "c d", "client_secret": "s&", "refresh_token": "r/1"});
        KeyFile::read(&file.to_string()).unwrap()
    }

    fn answer(status: u16, body: &str) -> Answer {
        let body = Bytes::copy_from_slice(body.as_bytes());
        Answer { status: StatusCode::from_u16(status).unwrap(), headers: HeaderMap::new(), body }
    }

    #[test]
    fn an_assertion_names_account_and_scope_and_is_signed() {
        let KeyFile::Service(account) = service() else { panic!("a service account") };
        let token = assertion(&account, 1_800_000_000).unwrap();
        let (message, signature) = token.rsplit_once('.').unwrap();
        let decode = |part: &str| URL_SAFE_NO_PAD.decode(part).unwrap();
        let (head, claims) = message.split_once('.').unwrap();
        let [head, claims]: [Value; 2] = [head, claims].map(|part| serde_json::from_slice(&decode(part)).unwrap());
        assert_eq!(head, json!({"alg": "RS256", "typ": "JWT", "kid": "ffffffffffffffffffffffffffffffffffffffff"}));
        assert_eq!(
            claims,
            json!({
                "iss": "test-iam-credentials@dummy-project-id.iam.gserviceaccount.com",
                "scope": "https://www.googleapis.com/auth/devstorage.read_write",
                "aud": "https://oauth2.googleapis.com/token",
                "iat": 1_799_999_990, "exp": 1_800_003_590,
            })
        );
        let pem = service_account()["private_key"].as_str().unwrap().to_owned();
        let PrivateKeyDer::Pkcs8(der) = PrivateKeyDer::from_pem_slice(pem.as_bytes()).unwrap() else {
            panic!("PKCS #8")
        };
        let pair = RsaKeyPair::from_pkcs8(der.secret_pkcs8_der()).unwrap();
        let public = UnparsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, pair.public_key().as_ref());
        public.verify(message.as_bytes(), &decode(signature)).unwrap();
    }

    #[test]
    fn every_part_of_a_persons_token_request_is_escaped() {
        let form = form(&person()).unwrap();
        assert_eq!(form, "grant_type=refresh_token&client_id=c%20d&client_secret=s%26&refresh_token=r%2F1");
    }

    #[test]
    fn googles_answer_decides_the_error_of_a_refused_token() {
        use ErrorKind::{Denied, Invalid, Throttled, Unavailable};
        let grant = |description: &str| json!({"error": "invalid_grant", "error_description": description}).to_string();
        let skewed = "Invalid JWT: Token must be a short-lived token (60 minutes) and in a reasonable timeframe. \
                      Check your iat and exp values in the JWT claim.";
        for (file, status, body, kind, reason) in [
            (service(), 400, grant("Invalid JWT Signature."), Denied, FailureReason::WrongSecretKey),
            (service(), 400, grant("Invalid grant: account not found"), Denied, FailureReason::UnknownAccessKey),
            (service(), 400, grant(skewed), Denied, FailureReason::ClockSkew),
            (service(), 400, grant("Failed audience check."), Invalid, FailureReason::InvalidSettings),
            (person(), 400, grant("Token has been expired or revoked."), Denied, FailureReason::ExpiredCredentials),
            (person(), 401, r#"{"error":"invalid_client"}"#.into(), Denied, FailureReason::UnknownAccessKey),
            (service(), 400, r#"{"error":"invalid_scope"}"#.into(), Denied, FailureReason::AccessDenied),
            (service(), 429, String::new(), Throttled { retry_after: None }, FailureReason::Throttled),
            (service(), 503, String::new(), Unavailable, FailureReason::Unavailable),
            (service(), 404, "<html>".into(), Invalid, FailureReason::BadAnswer),
            (service(), 302, String::new(), Invalid, FailureReason::BadAnswer),
            (service(), 200, "<html>".into(), Invalid, FailureReason::BadAnswer),
            (service(), 200, r#"{"access_token":"a\nb","expires_in":1}"#.into(), Invalid, FailureReason::BadAnswer),
        ] {
            let error = read_token(&file, &answer(status, &body)).err().unwrap();
            assert_eq!((error.kind, error.reason), (kind, reason), "{status} {body}");
        }
        let error = refusal_error(&service(), &answer(400, &grant("account me@example.com not found")));
        let cause = std::error::Error::source(&error).unwrap().to_string();
        assert!(!cause.contains("example.com"), "{cause}");
        assert_eq!(error.server_code().as_deref(), Some("400 invalid_grant"));
    }
}
