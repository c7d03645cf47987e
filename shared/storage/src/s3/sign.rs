//! `SigV4` as S3 requires it: paths are signed as sent, neither normalized nor encoded twice.

use std::time::{Duration, SystemTime};

use aws_credential_types::Credentials;
use aws_sigv4::http_request::{
    PayloadChecksumKind, PercentEncodingMode, SignableBody, SignableRequest, SignatureLocation, SigningInstructions,
    SigningSettings, UriPathNormalizationMode, sign,
};
use aws_sigv4::sign::v4;
use bytes::Bytes;
use http::{HeaderName, HeaderValue, Request, Uri, header};

/// Why a request could not be signed. Does not contain the request.
#[derive(Debug, thiserror::Error)]
#[error("the request could not be signed")]
pub(super) struct SigningError(#[source] Box<dyn std::error::Error + Send + Sync>);

/// Whether the signature covers the body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Payload {
    Signed,
    /// Not signed: TLS protects the body, and hashing it would only cost time.
    Unsigned,
}

/// Adds the headers that authenticate the request.
pub(super) fn headers(
    request: &mut Request<Bytes>,
    credentials: &Credentials,
    region: &str,
    payload: Payload,
    now: SystemTime,
) -> Result<(), SigningError> {
    let body = match payload {
        Payload::Signed => SignableBody::Bytes(request.body()),
        Payload::Unsigned => SignableBody::UnsignedPayload,
    };
    let mut settings = settings();
    settings.payload_checksum_kind = PayloadChecksumKind::XAmzSha256;
    let instructions = instructions(request, body, credentials, region, settings, now)?;
    for (name, value) in instructions.headers() {
        let name = HeaderName::from_bytes(name.as_bytes()).map_err(signing_error)?;
        let mut value = HeaderValue::from_str(value).map_err(signing_error)?;
        value.set_sensitive(true);
        request.headers_mut().insert(name, value);
    }
    Ok(())
}

/// The URL that reads an object for `ttl` without other credentials. The signature covers the query of `uri`.
pub(super) fn url(
    uri: &Uri,
    host: &str,
    credentials: &Credentials,
    region: &str,
    ttl: Duration,
    now: SystemTime,
) -> Result<String, SigningError> {
    let text = uri.to_string();
    let (path, parameters) = text.split_once('?').unwrap_or((&text, ""));
    let request = Request::get(uri).header(header::HOST, host).body(Bytes::new()).map_err(signing_error)?;
    let mut settings = settings();
    settings.signature_location = SignatureLocation::QueryParams;
    settings.expires_in = Some(ttl);
    let instructions = instructions(&request, SignableBody::UnsignedPayload, credentials, region, settings, now)?;
    let signed = instructions.params().iter();
    let signed = signed
        .map(|(name, value)| format!("{name}={}", percent_encoding::utf8_percent_encode(value, crate::wire::QUERY)));
    let query: Vec<String> = signed.chain((!parameters.is_empty()).then(|| parameters.to_owned())).collect();
    Ok(format!("{path}?{}", query.join("&")))
}

fn settings() -> SigningSettings {
    let mut settings = SigningSettings::default();
    settings.percent_encoding_mode = PercentEncodingMode::Single;
    settings.uri_path_normalization_mode = UriPathNormalizationMode::Disabled;
    settings
}

fn instructions(
    request: &Request<Bytes>,
    body: SignableBody<'_>,
    credentials: &Credentials,
    region: &str,
    settings: SigningSettings,
    now: SystemTime,
) -> Result<SigningInstructions, SigningError> {
    let identity = credentials.clone().into();
    let params = v4::SigningParams::builder()
        .identity(&identity)
        .region(region)
        .name("s3")
        .time(now)
        .settings(settings)
        .build()
        .map_err(signing_error)?
        .into();
    // Not signed, because a proxy may change it.
    let signed = request.headers().iter().filter(|(name, _)| *name != header::CONTENT_LENGTH);
    let headers = signed.filter_map(|(name, value)| Some((name.as_str(), value.to_str().ok()?)));
    let signable = SignableRequest::new(request.method().as_str(), request.uri().to_string(), headers, body)
        .map_err(signing_error)?;
    Ok(sign(signable, &params).map_err(signing_error)?.into_parts().0)
}

fn signing_error(error: impl std::error::Error + Send + Sync + 'static) -> SigningError {
    SigningError(error.into())
}

#[cfg(test)]
mod tests {
    //! The examples in "Signature Calculations for the Authorization Header" and "Authenticating Requests: Using
    //! Query Parameters" of the Amazon S3 API reference.

    use super::*;

    const HOST: &str = "examplebucket.s3.amazonaws.com";

    fn example_credentials() -> Credentials {
        Credentials::from_keys("AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", None)
    }

    /// 2013-05-24T00:00:00Z
    fn example_time() -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(1_369_353_600)
    }

    fn signature(mut request: Request<Bytes>) -> String {
        request.headers_mut().insert(header::HOST, HeaderValue::from_static(HOST));
        headers(&mut request, &example_credentials(), "us-east-1", Payload::Signed, example_time()).unwrap();
        let authorization = request.headers()[header::AUTHORIZATION].to_str().unwrap();
        authorization.rsplit_once("Signature=").unwrap().1.to_owned()
    }

    fn example(method: &str, path: &str) -> http::request::Builder {
        Request::builder().method(method).uri(format!("https://{HOST}{path}"))
    }

    #[test]
    fn aws_example_of_a_get_with_range() {
        let request = example("GET", "/test.txt").header("range", "bytes=0-9").body(Bytes::new()).unwrap();
        assert_eq!(signature(request), "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41");
    }

    #[test]
    fn aws_example_of_a_put() {
        let request = example("PUT", "/test%24file.text")
            .header("date", "Fri, 24 May 2013 00:00:00 GMT")
            .header("x-amz-storage-class", "REDUCED_REDUNDANCY")
            .body(Bytes::from_static(b"Welcome to Amazon S3."))
            .unwrap();
        assert_eq!(signature(request), "98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd");
    }

    #[test]
    fn aws_example_of_a_listing() {
        let request = example("GET", "/?max-keys=2&prefix=J").body(Bytes::new()).unwrap();
        assert_eq!(signature(request), "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7");
    }

    #[test]
    fn aws_example_of_a_presigned_url() {
        let uri = format!("https://{HOST}/test.txt").parse().unwrap();
        let day = Duration::from_secs(86_400);
        let url = url(&uri, HOST, &example_credentials(), "us-east-1", day, example_time()).unwrap();
        let (start, signature) = url.rsplit_once("X-Amz-Signature=").unwrap();
        assert_eq!(signature, "aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404");
        assert!(start.contains("X-Amz-Expires=86400&"), "{start}");
        assert!(start.contains("X-Amz-Credential=AKIAIOSFODNN7EXAMPLE%2F20130524%2Fus-east-1%2Fs3%2Faws4_request"));
    }

    #[test]
    fn a_body_under_tls_is_not_hashed() {
        let mut request = example("PUT", "/k").body(Bytes::from_static(b"x")).unwrap();
        headers(&mut request, &example_credentials(), "us-east-1", Payload::Unsigned, example_time()).unwrap();
        assert_eq!(request.headers()["x-amz-content-sha256"], "UNSIGNED-PAYLOAD");
    }
}
