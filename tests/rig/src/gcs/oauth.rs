//! A token server that checks assertions as Google documents it, and answers with Google's error texts.

use std::collections::HashMap;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der};
use aws_lc_rs::rsa::{KeyPair, KeySize};
use aws_lc_rs::signature::{KeyPair as _, RSA_PKCS1_2048_8192_SHA256, UnparsedPublicKey};
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use jiff::Timestamp;
use percent_encoding::percent_decode_str;
use serde_json::{Value, json};

const REFRESH_TOKEN: &str = "1//refresh-token-71c9";

/// A permission of an account on objects.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Right {
    List,
    Get,
    Put,
    Delete,
}

impl Right {
    const ALL: [Self; 4] = [Self::List, Self::Get, Self::Put, Self::Delete];

    pub(super) fn permission(self) -> &'static str {
        match self {
            Self::List => "storage.objects.list",
            Self::Get => "storage.objects.get",
            Self::Put => "storage.objects.create",
            Self::Delete => "storage.objects.delete",
        }
    }
}

pub(super) struct Oauth {
    /// The URL of the token server, the audience of assertions.
    token_uri: String,
    accounts: Mutex<HashMap<String, Vec<Right>>>,
    /// Account and end of each token.
    tokens: Mutex<HashMap<String, (String, Instant)>>,
    lifetime_ms: AtomicU64,
    /// Seconds that the server's clock is ahead.
    clock: AtomicI64,
}

/// A private key for the key file, and its public key for checks.
struct Key {
    pem: String,
    public: Vec<u8>,
}

/// All accounts of a test run have the same key, because making one takes most of a second.
fn key() -> &'static Key {
    static KEY: OnceLock<Key> = OnceLock::new();
    KEY.get_or_init(|| {
        let pair = KeyPair::generate(KeySize::Rsa2048).expect("a key");
        let der: Pkcs8V1Der<'_> = pair.as_der().expect("a key that can be written");
        let text = STANDARD.encode(der.as_ref());
        let lines: Vec<&str> =
            text.as_bytes().chunks(64).map(|line| std::str::from_utf8(line).expect("ASCII")).collect();
        let pem = format!("-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----\n", lines.join("\n"));
        Key { pem, public: pair.public_key().as_ref().to_vec() }
    })
}

/// Whether a signature was made with the key of all accounts.
pub(super) fn verify(message: &[u8], signature: &[u8]) -> bool {
    UnparsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, &key().public).verify(message, signature).is_ok()
}

fn email(name: &str) -> String {
    format!("{name}@tests.iam.gserviceaccount.com")
}

impl Oauth {
    pub(super) fn new(token_uri: String) -> Self {
        Self {
            token_uri,
            accounts: Mutex::default(),
            tokens: Mutex::default(),
            lifetime_ms: AtomicU64::new(3_600_000),
            clock: AtomicI64::new(0),
        }
    }

    fn accounts(&self) -> MutexGuard<'_, HashMap<String, Vec<Right>>> {
        self.accounts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn tokens(&self) -> MutexGuard<'_, HashMap<String, (String, Instant)>> {
        self.tokens.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn account(&self, name: &str, rights: &[Right]) -> Value {
        self.accounts().insert(email(name), rights.to_vec());
        self.file(name)
    }

    pub(super) fn unknown_account(&self) -> Value {
        self.file("unknown")
    }

    pub(super) fn user(&self) -> Value {
        self.accounts().insert("user".to_owned(), Right::ALL.to_vec());
        json!({
            "type": "authorized_user", "client_id": "client", "client_secret": "client-secret",
            "refresh_token": REFRESH_TOKEN, "token_uri": self.token_uri,
        })
    }

    fn file(&self, name: &str) -> Value {
        json!({
            "type": "service_account", "project_id": "tests", "private_key_id": "key-1", "private_key": key().pem,
            "client_email": email(name), "client_id": "1", "token_uri": self.token_uri,
            "auth_uri": "https://accounts.google.com/o/oauth2/auth",
        })
    }

    pub(super) fn set_lifetime(&self, lifetime: Duration) {
        self.lifetime_ms.store(lifetime.as_millis().try_into().expect("a time"), Ordering::Relaxed);
    }

    pub(super) fn set_clock(&self, ahead: i64) {
        self.clock.store(ahead, Ordering::Relaxed);
    }

    /// Unix time by the server's clock, in seconds.
    pub(super) fn now(&self) -> i64 {
        Timestamp::now().as_second() + self.clock.load(Ordering::Relaxed)
    }

    pub(super) fn revoke(&self) {
        self.tokens().clear();
    }

    /// The account of a valid token.
    pub(super) fn token_account(&self, token: &str) -> Option<String> {
        let tokens = self.tokens();
        let (account, end) = tokens.get(token)?;
        (Instant::now() < *end).then(|| account.clone())
    }

    /// Whether an account has a right; `None` for an unknown account.
    pub(super) fn has_right(&self, account: &str, right: Right) -> Option<bool> {
        self.accounts().get(account).map(|rights| rights.contains(&right))
    }

    /// Answers a request for a token with status and body.
    pub(super) fn answer_token_request(&self, form: &str) -> (u16, Value) {
        let field = |name: &str| {
            let value = form.split('&').find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='))?;
            percent_decode_str(value).decode_utf8().ok().map(|value| value.into_owned())
        };
        let account = match field("grant_type").as_deref() {
            Some("urn:ietf:params:oauth:grant-type:jwt-bearer") => {
                self.check_assertion(&field("assertion").unwrap_or_default())
            }
            Some("refresh_token") if field("refresh_token").as_deref() == Some(REFRESH_TOKEN) => Ok("user".to_owned()),
            Some("refresh_token") => Err("Token has been expired or revoked."),
            _ => return (400, json!({"error": "unsupported_grant_type"})),
        };
        let account = match account {
            Ok(account) => account,
            Err(description) => return (400, json!({"error": "invalid_grant", "error_description": description})),
        };
        let lifetime = Duration::from_millis(self.lifetime_ms.load(Ordering::Relaxed));
        let token = format!("ya29.{:032x}", rand::random::<u128>());
        self.tokens().insert(token.clone(), (account, Instant::now() + lifetime));
        (200, json!({"access_token": token, "expires_in": lifetime.as_secs(), "token_type": "Bearer"}))
    }

    /// Checks an assertion and returns its account, or Google's error text.
    fn check_assertion(&self, assertion: &str) -> Result<String, &'static str> {
        let malformed = "Invalid JWT.";
        let (message, signature) = assertion.rsplit_once('.').ok_or(malformed)?;
        let (head, claims) = message.split_once('.').ok_or(malformed)?;
        let decode = |part: &str| URL_SAFE_NO_PAD.decode(part).map_err(|_| malformed);
        let read = |part: &str| serde_json::from_slice::<Value>(&decode(part)?).map_err(|_| malformed);
        let (head, claims) = (read(head)?, read(claims)?);
        if head != json!({"alg": "RS256", "typ": "JWT", "kid": "key-1"}) {
            return Err("Invalid JWT Signature.");
        }
        let account = claims["iss"].as_str().ok_or(malformed)?;
        if !self.accounts().contains_key(account) {
            return Err("Invalid grant: account not found");
        }
        if !verify(message.as_bytes(), &decode(signature)?) {
            return Err("Invalid JWT Signature.");
        }
        // Google's own client names Google's endpoint, wherever it sends the assertion.
        if claims["aud"] != self.token_uri.as_str() && claims["aud"] != "https://oauth2.googleapis.com/token" {
            return Err("Failed audience check.");
        }
        // Google's own client asks for several scopes.
        let scopes = claims["scope"].as_str().unwrap_or_default();
        if !scopes.split(' ').any(|scope| scope == "https://www.googleapis.com/auth/devstorage.read_write") {
            return Err("Empty or missing scope not allowed.");
        }
        let (from, until) = (claims["iat"].as_i64().ok_or(malformed)?, claims["exp"].as_i64().ok_or(malformed)?);
        if from > self.now() || until <= self.now() || until - from > 3_600 {
            return Err("Invalid JWT: Token must be a short-lived token (60 minutes) and in a reasonable timeframe. \
                 Check your iat and exp values in the JWT claim.");
        }
        Ok(account.to_owned())
    }
}
