//! What a failure means to the user who saves a storage: which setting is to blame, in the words of its kind, with the
//! server's own code.

use http::uri::Uri;
use longshore_model::{Connection, FailureReason};

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
    let (field, mut text) = match blamed_endpoint(connection, error.reason) {
        Some((field, text)) => (Some(field), text),
        None => (kind.data().blamed_field(error.reason), error.reason.advice_for(kind).to_owned()),
    };
    if let Some(code) = error.server_code() {
        text.push_str(&format!(" The server answered `{code}`."));
    }
    Explanation { field, text }
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
    (reason == FailureReason::BadAnswer).then(|| {
        let text = "The endpoint did not answer like this kind of storage. Check it: the address of a web console or of a \
                    proxy is not that of the store's API.";
        (field, text.to_owned())
    })
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
        for reason in FailureReason::ALL {
            let redis = explained(r#"{"kind":"redis","path":"tasks:"}"#, *reason).text.to_lowercase();
            let foreign = ["bucket", "container", "azure", "google", "access key", "s3"];
            let is_foreign = foreign.iter().any(|word| redis.contains(word));
            assert!(!is_foreign || !is_of_redis(*reason), "{reason}: {redis}");
        }
    }

    /// Whether a call to Redis can fail for this reason.
    fn is_of_redis(reason: FailureReason) -> bool {
        use FailureReason as Reason;
        matches!(
            reason,
            Reason::WrongPassword
                | Reason::AccessDenied
                | Reason::Tls
                | Reason::BlockedAddress
                | Reason::Unreachable
                | Reason::Unavailable
                | Reason::Throttled
                | Reason::BadAnswer
                | Reason::InvalidSettings
                | Reason::ReadOnly
                | Reason::StorageFull
                | Reason::WrongValueType
                | Reason::TooLarge
        )
    }
}
