//! OAuth as Google does it: a signed assertion of a service account, or a person's refresh token, is
//! changed for a bearer token.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use http::{HeaderValue, Method, Request, StatusCode, Uri, header};
use jiff::Timestamp;
use longshore_model::{FailureReason, StorageKind};
use percent_encoding::utf8_percent_encode;
use serde::Deserialize;
use serde_json::json;

use super::key_file::{AuthorizedUser, KeyFile, ServiceAccount, Unsignable};
use super::token::bearer;
use crate::wire::{Answer, Call, Fresh, QUERY, Wire, plain};
use crate::{ErrorKind, Op, StorageError};

/// Objects may be listed, read, written and deleted, as far as the account's roles go.
const SCOPE: &str = "https://www.googleapis.com/auth/devstorage.read_write";

/// The longest validity that Google accepts of an assertion.
const LIFETIME: i64 = 3_600;

/// An assertion from the future is refused, so it is dated back by what clocks usually differ.
const LENIENCE: i64 = 10;

/// A token has 2 kB at most, and comes with a few words.
const LONGEST_ANSWER: u64 = 64 * 1024;

#[derive(Deserialize)]
struct Granted {
    access_token: String,
    expires_in: u64,
}

/// Why no token was given. Its description is left out: it may name the account.
#[derive(Debug, thiserror::Error)]
#[error("the token server answered {status} {code}")]
struct Refusal {
    status: StatusCode,
    code: String,
}

/// Asks for a token.
pub(super) async fn ask(wire: &Wire, file: &KeyFile) -> Result<Fresh<HeaderValue>, StorageError> {
    let uri = match file {
        KeyFile::Service(account) => &account.token_uri,
        KeyFile::User(user) => &user.token_uri,
    };
    let host = uri.authority().map_or("", |authority| authority.as_str());
    let call = Call { kind: StorageKind::Gcs, op: Op::Connect, endpoint: host, max_bytes: LONGEST_ANSWER };
    // Signed for each try: an assertion is good from now on.
    let prepare = || async { request(uri, host, form(file)?) };
    wire.call(call, prepare, |answer| granted(file, &answer)).await
}

fn form(file: &KeyFile) -> Result<String, StorageError> {
    match file {
        KeyFile::Service(account) => {
            let assertion = assertion(account, Timestamp::now().as_second()).map_err(|error| {
                StorageError::caused(Op::Connect, ErrorKind::Invalid, FailureReason::WrongSecretKey, error)
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

/// A JSON Web Token by which the account says who it is and what it wants.
fn assertion(account: &ServiceAccount, now: i64) -> Result<String, Unsignable> {
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
    let internal = |error| StorageError::caused(Op::Connect, ErrorKind::Invalid, FailureReason::Internal, error);
    Request::builder()
        .method(Method::POST)
        .uri(uri)
        .header(header::HOST, host)
        .header(header::CONTENT_TYPE, HeaderValue::from_static("application/x-www-form-urlencoded"))
        .body(Bytes::from(form))
        .map_err(internal)
}

fn granted(file: &KeyFile, answer: &Answer) -> Result<Fresh<HeaderValue>, StorageError> {
    if !answer.status.is_success() {
        return Err(refused(file, answer));
    }
    serde_json::from_slice(&answer.body)
        .ok()
        .and_then(|Granted { access_token, expires_in }| bearer(&access_token, expires_in))
        .ok_or_else(|| StorageError::new(Op::Connect, ErrorKind::Invalid, FailureReason::BadAnswer))
}

fn refused(file: &KeyFile, answer: &Answer) -> StorageError {
    #[derive(Default, Deserialize)]
    #[serde(default)]
    struct Body {
        error: String,
        error_description: String,
    }
    let Body { error, error_description } = serde_json::from_slice(&answer.body).unwrap_or_default();
    let (mut kind, reason) = match answer.status.as_u16() {
        429 => (ErrorKind::Throttled { retry_after: None }, FailureReason::Throttled),
        408 | 500..=599 => (ErrorKind::Unavailable, FailureReason::Unavailable),
        _ => meaning(file, &error, &error_description.to_ascii_lowercase()),
    };
    if let ErrorKind::Throttled { retry_after } = &mut kind {
        *retry_after = answer.retry_after();
    }
    StorageError::caused(Op::Connect, kind, reason, Refusal { status: answer.status, code: plain(&error) })
}

/// One code, `invalid_grant`, stands for most of what can be wrong; the description tells them apart.
fn meaning(file: &KeyFile, code: &str, description: &str) -> (ErrorKind, FailureReason) {
    use ErrorKind::{Denied, Invalid};
    let says = |part: &str| description.contains(part);
    match code {
        "invalid_grant" if says("not found") || says("disabled") => (Denied, FailureReason::UnknownAccessKey),
        "invalid_grant" if says("iat and exp") || says("timeframe") => (Denied, FailureReason::ClockSkew),
        "invalid_grant" if says("audience") => (Invalid, FailureReason::InvalidSettings),
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
        // Whatever the key file's token_uri leads to, it is no token server.
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
    fn an_assertion_says_who_asks_for_what_and_is_signed() {
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
    fn a_persons_token_is_asked_for_with_every_part_escaped() {
        let form = form(&person()).unwrap();
        assert_eq!(form, "grant_type=refresh_token&client_id=c%20d&client_secret=s%26&refresh_token=r%2F1");
    }

    #[test]
    fn a_refused_token_means_what_google_says_of_it() {
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
            let error = granted(&file, &answer(status, &body)).err().unwrap();
            assert_eq!((error.kind, error.reason), (kind, reason), "{status} {body}");
        }
        let error = refused(&service(), &answer(400, &grant("account me@example.com not found")));
        let cause = std::error::Error::source(&error).unwrap().to_string();
        assert_eq!(cause, "the token server answered 400 Bad Request invalid_grant");
    }
}
