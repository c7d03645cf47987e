//! A bucket's address and the exact URI of each of its keys.

use std::borrow::Cow;

use http::Uri;
use http::uri::{Authority, Scheme};
use longshore_model::S3Connection;
use percent_encoding::utf8_percent_encode;

use crate::wire::{BaseUri, EndpointSetting, QUERY};
use crate::{InvalidSetting, names, pasted};

const ENDPOINT: EndpointSetting = EndpointSetting {
    field: "s3_endpoint",
    not_a_url: "an endpoint must be a URL such as https://minio.example.com:9000",
    has_user: "an endpoint may not contain a user and password: use the key fields",
    has_query: "an endpoint may not contain a query",
};

/// S3's limit for keys, in bytes.
const LONGEST_KEY: usize = 1_024;

/// A bucket's validated address.
#[derive(Debug, Clone)]
pub(super) struct Bucket {
    pub(super) name: String,
    pub(super) region: String,
    /// Everything before `/key`: the host, and with path style also the bucket.
    pub(super) base: BaseUri,
}

impl Bucket {
    /// Validates the settings and chooses the address: virtual-host style on AWS and for endpoints that begin with
    /// `{bucket}.`, path style otherwise.
    pub(super) fn new(connection: &S3Connection, default_region: &str) -> Result<Self, InvalidSetting> {
        let non_empty =
            |field: &Option<String>| field.as_deref().map(str::trim).filter(|text| !text.is_empty()).map(str::to_owned);
        let name = connection.bucket.clone();
        let region = non_empty(&connection.region_name).unwrap_or_else(|| default_region.to_owned());
        if !region.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-') {
            return Err(InvalidSetting::new(
                "region_name",
                "a region may contain only letters, digits and hyphens, such as eu-central-1",
            ));
        }
        if let Some(message) = pasted::message(&name, "bucket", Some(ENDPOINT.field)) {
            return Err(InvalidSetting::new("bucket", message));
        }
        match non_empty(&connection.s3_endpoint) {
            None => Self::on_aws(name, region),
            Some(endpoint) => Self::at(&endpoint, name, region),
        }
    }

    fn on_aws(name: String, region: String) -> Result<Self, InvalidSetting> {
        if !names::is_aws_bucket(&name) {
            return Err(InvalidSetting::new(
                "bucket",
                "a bucket name on AWS must have 3 to 63 lower-case letters, digits, dots and hyphens, and begin and end with a letter or digit",
            ));
        }
        if name.ends_with("--x-s3") {
            let message = "directory buckets of S3 Express are not supported: they need sessions of their own";
            return Err(InvalidSetting::new("bucket", message));
        }
        let domain = if region.starts_with("cn-") { "amazonaws.com.cn" } else { "amazonaws.com" };
        // AWS's certificate covers one label before the domain, so a bucket name with dots goes into the path.
        let is_dotted = name.contains('.');
        let host = if is_dotted { format!("s3.{region}.{domain}") } else { format!("{name}.s3.{region}.{domain}") };
        let authority = Authority::try_from(host)
            .map_err(|_| InvalidSetting::new("region_name", "this region does not form a valid host name"))?;
        let base = BaseUri::new(Scheme::HTTPS, authority);
        let base = if is_dotted { base.below(&name) } else { base };
        Ok(Self { name, region, base })
    }

    fn at(endpoint: &str, name: String, region: String) -> Result<Self, InvalidSetting> {
        // Compatible stores allow more names than AWS, but none of them allows these.
        if name.is_empty()
            || name == "."
            || name == ".."
            || name.len() > 255
            || name.contains(['/', '\\'])
            || name.contains(char::is_control)
            || name.contains(char::is_whitespace)
        {
            return Err(InvalidSetting::new(
                "bucket",
                "a bucket name must have 1 to 255 characters, without slashes and spaces",
            ));
        }
        // Some stores support only virtual-host style; the placeholder selects it.
        let host_style = endpoint.split_once("://{bucket}.");
        if host_style.is_some() && !names::is_aws_bucket(&name) {
            return Err(InvalidSetting::new(
                "bucket",
                "a bucket name that is part of the host must have 3 to 63 lower-case letters, digits, dots and hyphens, and begin and end with a letter or digit",
            ));
        }
        let endpoint = match host_style {
            Some((scheme, domain)) => Cow::Owned(format!("{scheme}://{name}.{domain}")),
            None => Cow::Borrowed(endpoint),
        };
        if endpoint.contains(['{', '}']) {
            return Err(InvalidSetting::new(
                ENDPOINT.field,
                "the placeholder {bucket} must be at the beginning of the host: https://{bucket}.example.com",
            ));
        }
        let base = BaseUri::parse(&endpoint, &ENDPOINT)?;
        let base = match host_style {
            Some(_) => base,
            None => base.below(&utf8_percent_encode(&name, QUERY).to_string()),
        };
        Ok(Self { name, region, base })
    }

    /// The URI of an object. `None` for a key that no bucket can have: an empty one would name the bucket itself.
    pub(super) fn object(&self, key: &str) -> Option<Uri> {
        if key.is_empty() || key.len() > LONGEST_KEY {
            return None;
        }
        self.base.key(key)
    }

    /// The bucket's URI with these query parameters, which must be sorted by name.
    pub(super) fn query(&self, parameters: &[(&str, &str)]) -> Option<Uri> {
        self.base.uri("", parameters)
    }
}

#[cfg(test)]
mod tests {
    use percent_encoding::percent_decode_str;
    use proptest::prelude::*;

    use super::*;

    fn connection(bucket: &str, endpoint: Option<&str>) -> S3Connection {
        S3Connection { bucket: bucket.into(), s3_endpoint: endpoint.map(Into::into), ..S3Connection::default() }
    }

    fn bucket(name: &str, endpoint: Option<&str>) -> Bucket {
        Bucket::new(&connection(name, endpoint), "us-east-1").unwrap()
    }

    fn refused(name: &str, endpoint: Option<&str>) -> &'static str {
        Bucket::new(&connection(name, endpoint), "us-east-1").unwrap_err().field
    }

    #[test]
    fn a_bucket_on_aws_is_in_the_host_and_elsewhere_in_the_path() {
        let on_aws = bucket("photos", None);
        assert_eq!(on_aws.object("a b").unwrap(), "https://photos.s3.us-east-1.amazonaws.com/a%20b");
        let dotted = bucket("photos.example.org", None);
        assert_eq!(dotted.object("k").unwrap(), "https://s3.us-east-1.amazonaws.com/photos.example.org/k");
        let elsewhere = bucket("photos", Some("http://127.0.0.1:9000/base/"));
        assert_eq!(elsewhere.object("k").unwrap(), "http://127.0.0.1:9000/base/photos/k");
        assert_eq!(
            elsewhere.query(&[("list-type", "2"), ("prefix", "a/b c+")]).unwrap(),
            "http://127.0.0.1:9000/base/photos?list-type=2&prefix=a%2Fb%20c%2B"
        );
    }

    #[test]
    fn an_endpoint_with_the_placeholder_has_the_bucket_in_its_host() {
        let own = bucket("photos", Some("https://{bucket}.oss.example.com:8443/base"));
        assert_eq!(own.object("a b").unwrap(), "https://photos.oss.example.com:8443/base/a%20b");
        assert_eq!(own.base.authority(), "photos.oss.example.com:8443");
        let root = bucket("photos", Some("https://{bucket}.oss.example.com"));
        assert_eq!(root.query(&[("list-type", "2")]).unwrap(), "https://photos.oss.example.com/?list-type=2");
        for name in ["Photos", "a_b", "a..b", "x@evil.com"] {
            assert_eq!(refused(name, Some("https://{bucket}.oss.example.com")), "bucket", "{name:?}");
        }
        assert_eq!(refused("photos", Some("https://oss.example.com/{bucket}")), "s3_endpoint");
    }

    #[test]
    fn keys_that_other_clients_change_are_sent_unchanged() {
        let bucket = bucket("b-1", Some("http://h"));
        for (key, path) in [
            ("a/../b", "/b-1/a/../b"),
            ("./x", "/b-1/./x"),
            ("a//b", "/b-1/a//b"),
            ("/lead", "/b-1//lead"),
            ("dir/", "/b-1/dir/"),
            (" x ", "/b-1/%20x%20"),
            ("+", "/b-1/%2B"),
            ("%2F", "/b-1/%252F"),
            ("?#*\\\n", "/b-1/%3F%23%2A%5C%0A"),
            ("ü😀", "/b-1/%C3%BC%F0%9F%98%80"),
        ] {
            assert_eq!(bucket.object(key).unwrap().path(), path, "{key:?}");
        }
    }

    #[test]
    fn empty_and_too_long_keys_have_no_uri() {
        let bucket = bucket("b-1", None);
        assert!(bucket.object("").is_none());
        assert!(bucket.object(&"k".repeat(1_024)).is_some());
        assert!(bucket.object(&"ü".repeat(513)).is_none());
    }

    #[test]
    fn invalid_settings_name_their_field() {
        assert_eq!(refused("fast--use1-az4--x-s3", None), "bucket");
        for name in
            ["fast--use1-az4--x-s3", "", "ab", "Photos", "a_b", "-ab", "ab-", "a..b", "a/b", "b?x", "b#x", "b@evil.com"]
        {
            assert_eq!(refused(name, None), "bucket", "{name:?}");
        }
        for name in ["", "..", "a/b", "a b", "a\nb"] {
            assert_eq!(refused(name, Some("http://h")), "bucket", "{name:?}");
        }
        for endpoint in ["minio:9000", "ftp://h", "http://u:p@h", "http://h/?x=1", "http://", "not a url"] {
            assert_eq!(refused("photos", Some(endpoint)), "s3_endpoint", "{endpoint:?}");
        }
        let region = S3Connection { region_name: Some("x.evil.com/".into()), ..connection("photos", None) };
        assert_eq!(Bucket::new(&region, "us-east-1").unwrap_err().field, "region_name");
    }

    proptest! {
        #[test]
        fn every_key_can_be_decoded_from_its_path(key in "\\PC{1,200}|[\\x00-\\x7f]{1,200}|[./]{1,12}") {
            for endpoint in [None, Some("http://h:1/base")] {
                let bucket = bucket("b-1", endpoint);
                let uri = bucket.object(&key).unwrap();
                let path = uri.path().strip_prefix(bucket.base.path()).and_then(|path| path.strip_prefix('/')).unwrap();
                prop_assert_eq!(percent_decode_str(path).decode_utf8().unwrap(), key.as_str());
                prop_assert!(uri.query().is_none());
            }
        }
    }
}
