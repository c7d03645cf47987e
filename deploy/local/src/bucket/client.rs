//! A small S3 client: `aws-sigv4` signs, `reqwest` sends.

use std::time::{Duration, SystemTime};

use anyhow::{Context, Result, bail};
use aws_credential_types::Credentials;
use aws_sigv4::http_request::{
    PayloadChecksumKind, PercentEncodingMode, SignableBody, SignableRequest, SigningSettings, UriPathNormalizationMode,
    sign,
};
use aws_sigv4::sign::v4;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use reqwest::{Method, Response};

/// Characters of a key that stay as they are in a path, as S3 signs it.
const KEY: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~').remove(b'/');

/// The same for the value of a query parameter.
const VALUE: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');

/// Time limit of a request to a server on this machine.
const PATIENCE: Duration = Duration::from_secs(60);

pub(super) struct Client {
    http: reqwest::Client,
    endpoint: String,
    credentials: Credentials,
}

impl Client {
    pub(super) fn new(endpoint: String, id: &str, secret: &str) -> Result<Self> {
        let http = reqwest::Client::builder().no_proxy().timeout(PATIENCE).build()?;
        Ok(Self { http, endpoint, credentials: Credentials::new(id, secret, None, None, "longshore-local") })
    }

    /// Creates a bucket unless it exists.
    pub(super) async fn make(&self, bucket: &str) -> Result<()> {
        let (status, text) = self.send(Method::PUT, &format!("/{bucket}"), Vec::new(), None).await?;
        let is_there = text.contains("BucketAlreadyOwnedByYou") || text.contains("BucketAlreadyExists");
        if status < 300 || is_there { Ok(()) } else { bail!("bucket {bucket} was not made: {}", fault(status, &text)) }
    }

    pub(super) async fn put(&self, bucket: &str, key: &str, bytes: Vec<u8>) -> Result<()> {
        let path = format!("/{bucket}/{}", utf8_percent_encode(key, KEY));
        let kind = mime_guess::from_path(key).first_raw();
        let (status, text) = self.send(Method::PUT, &path, bytes, kind).await?;
        if status < 300 { Ok(()) } else { bail!("{key} was not stored: {}", explained(bucket, status, &text)) }
    }

    /// The names of all buckets.
    pub(super) async fn buckets(&self) -> Result<Vec<String>> {
        let (status, text) = self.send(Method::GET, "/", Vec::new(), None).await?;
        if status >= 300 {
            bail!("buckets cannot be listed: {}", fault(status, &text));
        }
        Ok(texts(&text, "Name").map(str::to_owned).collect())
    }

    /// Key and size of each object.
    pub(super) async fn objects(&self, bucket: &str, prefix: &str) -> Result<Vec<(String, u64)>> {
        let mut objects = Vec::new();
        let mut token: Option<String> = None;
        loop {
            let prefix = utf8_percent_encode(prefix, VALUE);
            let next = token.map(|token| format!("&continuation-token={}", utf8_percent_encode(&token, VALUE)));
            let query = format!("encoding-type=url&list-type=2&prefix={prefix}{}", next.unwrap_or_default());
            let (status, text) = self.send(Method::GET, &format!("/{bucket}?{query}"), Vec::new(), None).await?;
            if status >= 300 {
                bail!("bucket {bucket} cannot be listed: {}", explained(bucket, status, &text));
            }
            for object in texts(&text, "Contents") {
                let key = texts(object, "Key").next().context("an object has a key")?.replace('+', " ");
                let key = percent_decode_str(&key).decode_utf8().context("a key is UTF-8")?.into_owned();
                let bytes = texts(object, "Size").next().and_then(|size| size.parse().ok());
                objects.push((key, bytes.context("an object has a size")?));
            }
            token = texts(&text, "NextContinuationToken").next().map(str::to_owned);
            if token.is_none() {
                return Ok(objects);
            }
        }
    }

    /// Sends a signed request. Returns the status and the text of the answer.
    async fn send(&self, method: Method, target: &str, body: Vec<u8>, kind: Option<&str>) -> Result<(u16, String)> {
        let url = format!("{}{target}", self.endpoint);
        let mut settings = SigningSettings::default();
        // As S3 requires: the path is not normalized, and a header has the digest of the body.
        settings.percent_encoding_mode = PercentEncodingMode::Single;
        settings.uri_path_normalization_mode = UriPathNormalizationMode::Disabled;
        settings.payload_checksum_kind = PayloadChecksumKind::XAmzSha256;
        let identity = self.credentials.clone().into();
        let parameters = v4::SigningParams::builder()
            .identity(&identity)
            .region("us-east-1")
            .name("s3")
            .time(SystemTime::now())
            .settings(settings)
            .build()?
            .into();
        let signable = SignableRequest::new(method.as_str(), &url, std::iter::empty(), SignableBody::Bytes(&body))?;
        let (signature, _) = sign(signable, &parameters)?.into_parts();
        let mut request = self.http.request(method, &url).body(body);
        for (name, value) in signature.headers() {
            request = request.header(name, value);
        }
        if let Some(kind) = kind {
            request = request.header("content-type", kind);
        }
        let answer: Response = request.send().await.context("the S3 server does not answer")?;
        Ok((answer.status().as_u16(), answer.text().await?))
    }
}

/// The texts between the tags of an element. The server's names have no characters that XML escapes.
fn texts<'a>(xml: &'a str, element: &str) -> impl Iterator<Item = &'a str> {
    let (open, close) = (format!("<{element}>"), format!("</{element}>"));
    xml.match_indices(&open).map(|(at, open)| at + open.len()).collect::<Vec<_>>().into_iter().filter_map(
        move |start| {
            let rest = &xml[start..];
            rest.find(&close).map(|end| &rest[..end])
        },
    )
}

fn explained(bucket: &str, status: u16, text: &str) -> String {
    if text.contains("NoSuchBucket") {
        return format!("bucket {bucket} does not exist; make it with `longshore-local bucket make {bucket}`");
    }
    fault(status, text)
}

fn fault(status: u16, text: &str) -> String {
    let word = |element| texts(text, element).next().unwrap_or_default().to_owned();
    format!("{status} {} {}", word("Code"), word("Message")).trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use crate::s3::{Options, S3Server};

    use super::*;

    #[tokio::test]
    async fn keys_are_exact_and_listings_are_whole() {
        let server = S3Server::start(Options::with_key("id", "secret")).await.unwrap();
        let client = Client::new(server.endpoint(), "id", "secret").unwrap();
        let missing = client.put("images", "a", Vec::new()).await.unwrap_err().to_string();
        assert!(missing.contains("bucket make images"), "{missing}");
        client.make("images").await.unwrap();
        client.make("images").await.unwrap();
        for key in ["a b+c%2F.png", "é/ü.jpg", "x//y"] {
            client.put("images", key, b"image".to_vec()).await.unwrap();
        }
        server.put_many("images", (0..1_200).map(|n| (format!("many/{n:04}"), "")));
        assert_eq!(server.get("images", "é/ü.jpg").unwrap().content_type.as_deref(), Some("image/jpeg"));
        let all = client.objects("images", "").await.unwrap();
        assert_eq!(all.len(), 1_203);
        assert!(all.contains(&("a b+c%2F.png".to_owned(), 5)), "{:?}", all.first());
        assert_eq!(client.objects("images", "é/").await.unwrap(), [("é/ü.jpg".to_owned(), 5)]);
        assert_eq!(client.buckets().await.unwrap(), ["images"]);
    }
}
