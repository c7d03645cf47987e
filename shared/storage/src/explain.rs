//! What a failure means to the user who saves a storage: which setting is to blame, in the words of its kind, with the
//! server's own code.

use http::uri::Uri;
use longshore_model::{Connection, FailureReason, S3Connection, S3sConnection};

use crate::StorageError;

/// A failure in the words of the storage's kind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Explanation {
    /// The setting to blame. `None` if there is no single one.
    pub field: Option<&'static str>,
    /// What happened and what to do, in full sentences, with the server's code if it stated one. No other text of the server
    /// and no secret.
    pub text: String,
}

/// Explains the failure of a call to this storage.
pub fn explain(connection: &Connection, error: &StorageError) -> Explanation {
    let kind = connection.kind();
    if let Some(text) = error.own_advice() {
        return Explanation { field: kind.data().blamed_field(error.reason), text };
    }
    let blamed = blamed_endpoint(connection, error.reason).or_else(|| blamed_answer(connection, error));
    let (field, mut text) = match blamed {
        Some((field, text)) => (Some(field), text),
        None => (kind.data().blamed_field(error.reason), error.reason.advice_for(kind).to_owned()),
    };
    if let Some(code) = error.server_code() {
        text.push_str(&format!(" The server answered `{code}`."));
    }
    Explanation { field, text }
}

/// The setting to blame for what the server did or did not answer, and what is wrong with it.
fn blamed_answer(connection: &Connection, error: &StorageError) -> Option<(&'static str, String)> {
    let advice = || error.reason.advice_for(connection.kind()).to_owned();
    match (connection, error.reason) {
        // S3 states a code for a missing bucket; another server does not know the path.
        (Connection::S3(S3Connection { s3_endpoint: Some(_), .. }), FailureReason::NoSuchBucket)
        | (
            Connection::S3s(S3sConnection { s3: S3Connection { s3_endpoint: Some(_), .. }, .. }),
            FailureReason::NoSuchBucket,
        ) if error.lacks_code() => {
            let text = "The endpoint answered that there is no such page, and not as S3 does for a missing bucket. Check the \
                        endpoint and its port, then the name of the bucket.";
            Some(("s3_endpoint", text.to_owned()))
        }
        (Connection::Azure(azure), FailureReason::Unreachable) => {
            Some((if azure.endpoint.is_some() { "endpoint" } else { "account_name" }, advice()))
        }
        // A server without TLS waits for a command, and never answers the handshake.
        (Connection::Redis(redis), FailureReason::Unavailable) if redis.tls && error.server_code().is_none() => {
            let text = "The server did not answer the TLS handshake. Check whether this port speaks TLS, or switch `tls` off; \
                        if it does, try again later.";
            Some(("tls", text.to_owned()))
        }
        _ => None,
    }
}

/// The setting with the endpoint and what is wrong with it, if the failure comes from its path or host.
fn blamed_endpoint(connection: &Connection, reason: FailureReason) -> Option<(&'static str, String)> {
    let (field, endpoint, bucket, what) = match connection {
        Connection::S3(s3) => ("s3_endpoint", s3.s3_endpoint.as_deref()?, &s3.bucket, "bucket"),
        Connection::S3s(s3s) => ("s3_endpoint", s3s.s3.s3_endpoint.as_deref()?, &s3s.s3.bucket, "bucket"),
        Connection::Azure(azure) => ("endpoint", azure.endpoint.as_deref()?, &azure.container, "container"),
        Connection::Gcs(_) | Connection::Redis(_) | Connection::Localfiles(_) => return None,
    };
    let is_of_place = matches!(
        reason,
        FailureReason::NoSuchBucket
            | FailureReason::NoSuchObject
            | FailureReason::BadAnswer
            | FailureReason::InvalidSettings
            | FailureReason::WrongRegion
            | FailureReason::AccessDenied
    );
    let uri: Uri = endpoint.trim().trim_end_matches('/').parse().ok().filter(|_| is_of_place)?;
    let (scheme, authority) = (uri.scheme_str()?, uri.authority()?.as_str());
    let path = uri.path().trim_end_matches('/');
    let server = format!("{scheme}://{authority}");
    if path.rsplit('/').next() == Some(bucket) {
        let shorter =
            format!("{server}{}", path.strip_suffix(bucket.as_str()).unwrap_or_default().trim_end_matches('/'));
        let text = format!(
            "The endpoint ends with the name of the {what}, which Longshore adds itself. Take `/{bucket}` away: `{shorter}`."
        );
        return Some((field, text));
    }
    if let Some(host) = authority.strip_prefix(bucket.as_str()).and_then(|rest| rest.strip_prefix('.')) {
        let text = format!(
            "The endpoint begins with the name of the {what}, which Longshore adds to the path. Take `{bucket}.` away: \
             `{scheme}://{host}{path}`. If the store needs the name in the host, write `{scheme}://{{bucket}}.{host}{path}`."
        );
        // Azure has no such form.
        return (what == "bucket").then_some((field, text));
    }
    let is_denied = reason == FailureReason::AccessDenied;
    // The path of an emulator of Azure is the account.
    if !path.is_empty() && !is_denied && what == "bucket" {
        let text = format!(
            "Nothing at this endpoint answers for the bucket. An endpoint is scheme, host and port: take `{path}` away, \
             `{server}`. If this is the address of a web console, enter that of the store's API."
        );
        return Some((field, text));
    }
    (reason == FailureReason::BadAnswer).then(|| (field, reason.advice_for(connection.kind()).to_owned()))
}

#[cfg(test)]
mod tests {
    use longshore_model::StorageSettings;

    use super::*;
    use crate::{ErrorKind, Op};

    fn explained(settings: &str, reason: FailureReason) -> Explanation {
        let settings: StorageSettings = serde_json::from_str(settings).unwrap();
        explain(&settings.connection, &StorageError::new(Op::List, ErrorKind::Invalid, reason))
    }

    fn at(endpoint: &str, reason: FailureReason) -> Explanation {
        explained(&format!(r#"{{"kind":"s3","bucket":"pets","s3_endpoint":"{endpoint}"}}"#), reason)
    }

    #[test]
    fn an_endpoint_with_the_bucket_or_the_path_of_a_console_is_to_blame() {
        for (endpoint, reason, shorter) in [
            ("http://h:9000/pets", FailureReason::NoSuchObject, "`http://h:9000`"),
            ("http://h:9000/pets/", FailureReason::NoSuchBucket, "`http://h:9000`"),
            ("https://h/base/pets", FailureReason::NoSuchBucket, "`https://h/base`"),
            ("https://pets.acct.example.com", FailureReason::NoSuchObject, "`https://acct.example.com`"),
            ("https://pets.s3.example.com", FailureReason::AccessDenied, "`https://{bucket}.s3.example.com`"),
            ("http://h/browser/other", FailureReason::NoSuchBucket, "`http://h`"),
            ("http://h:9001", FailureReason::BadAnswer, "web console"),
        ] {
            let Explanation { field, text } = at(endpoint, reason);
            assert_eq!(field, Some("s3_endpoint"), "{endpoint}");
            assert!(text.contains(shorter), "{endpoint}: {text}");
        }
        assert_eq!(at("http://h:9000", FailureReason::NoSuchBucket).field, Some("bucket"));
        assert_eq!(at("http://h:9000/base", FailureReason::WrongSecretKey).field, Some("aws_secret_access_key"));
    }

    #[test]
    fn each_kind_is_spoken_of_in_its_own_words() {
        let container = explained(r#"{"kind":"azure","container":"pets"}"#, FailureReason::NoSuchBucket).text;
        assert!(container.starts_with("The container does not exist."), "{container}");
        let s3 = ["container", "azure", "google", "account key", "redis", "folder"];
        let gcs = ["container", "azure", "access key", "redis", "folder", "endpoint"];
        let azure = ["bucket", "google", "access key id", "redis", "folder", "s3"];
        let redis = ["bucket", "container", "azure", "google", "access key", "s3", "folder", "endpoint"];
        let localfiles = ["bucket", "container", "azure", "google", "access key", "s3", "server", "endpoint"];
        for (settings, foreign) in [
            (r#"{"kind":"s3","bucket":"pets"}"#, &s3[..]),
            (r#"{"kind":"gcs","bucket":"pets"}"#, &gcs),
            (r#"{"kind":"azure","container":"pets"}"#, &azure),
            (r#"{"kind":"redis","path":"tasks:"}"#, &redis),
            (r#"{"kind":"localfiles","path":"/data/pets"}"#, &localfiles),
        ] {
            for reason in FailureReason::ALL.iter().filter(|reason| is_of(settings, **reason)) {
                // The name of an operator's setting is not a word about the storage.
                let text = explained(settings, *reason).text.to_lowercase().replace("longshore_allowed_endpoints", "");
                assert!(!foreign.iter().any(|word| text.contains(word)), "{settings}, {reason}: {text}");
            }
        }
    }

    /// Whether a call to this storage can fail for this reason.
    fn is_of(settings: &str, reason: FailureReason) -> bool {
        use FailureReason as Reason;
        let kind = |name: &str| settings.contains(&format!(r#""kind":"{name}""#));
        match reason {
            Reason::AccessDenied | Reason::Unavailable | Reason::TooLarge => true,
            Reason::InvalidSettings | Reason::NoSuchObject => true,
            Reason::Tls | Reason::BlockedAddress | Reason::Unreachable | Reason::Throttled | Reason::BadAnswer => {
                // The address of Google Cloud is not a setting of the storage.
                !(kind("localfiles") || kind("gcs") && matches!(reason, Reason::Tls | Reason::BlockedAddress))
            }
            Reason::WrongPassword | Reason::WrongValueType => kind("redis"),
            Reason::ReadOnly | Reason::StorageFull => kind("redis") || kind("localfiles"),
            Reason::NoSuchFolder | Reason::RootItself | Reason::OutsideRoot | Reason::LocalFilesDisabled => {
                kind("localfiles")
            }
            Reason::NoSuchBucket | Reason::UnknownAccessKey | Reason::WrongSecretKey | Reason::MissingCredentials => {
                kind("s3") || kind("gcs") || kind("azure")
            }
            _ => false,
        }
    }

    /// Goal: what the server did not say is blamed on the setting that is probably wrong. Method: errors as the clients make
    /// them, without a code of the server.
    #[test]
    fn a_server_that_is_of_another_kind_blames_its_address() {
        for (settings, reason, field, words) in [
            (r#"{"kind":"redis","path":"","tls":true}"#, FailureReason::Unavailable, Some("tls"), "speaks TLS"),
            (r#"{"kind":"redis","path":""}"#, FailureReason::Unavailable, None, "did not answer in time"),
            (r#"{"kind":"azure","container":"c"}"#, FailureReason::Unreachable, Some("account_name"), "account name"),
            (
                r#"{"kind":"azure","container":"c","endpoint":"http://h"}"#,
                FailureReason::Unreachable,
                Some("endpoint"),
                "the endpoint",
            ),
        ] {
            let explained = explained(settings, reason);
            assert_eq!(explained.field, field, "{settings}");
            assert!(explained.text.contains(words), "{settings}: {}", explained.text);
        }
    }
}
