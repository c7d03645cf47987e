//! The operator's settings for resolving.

use std::borrow::Cow;
use std::str::FromStr;
use std::time::Duration;

use axum::http::{HeaderName, HeaderValue, Method, header};
use longshore_model::StorageKind;
use longshore_storage::DocumentRoot;
use longshore_uri::ObjectUri;
use tower_http::cors::{Any, CorsLayer};

/// The operator's settings for resolving.
#[derive(Debug, Clone)]
pub struct ResolveOptions {
    /// The start of resolve links. If it is empty, links are relative to the site that serves them.
    pub public_url: String,
    /// How long a link is valid at least. At most it is valid for twice this time.
    pub link_lifetime: Duration,
    /// The sites whose scripts may read answers (CORS).
    pub allowed_origins: Origins,
    /// The folders that local files are served from. `None` if none are served.
    pub local_files: Option<DocumentRoot>,
}

impl ResolveOptions {
    /// The key of the object in its storage.
    pub(super) fn key<'a>(&self, uri: &'a ObjectUri<'_>) -> Cow<'a, str> {
        if uri.may_be_on(StorageKind::Localfiles) {
            return Cow::Owned(self.local_file(&uri.key));
        }
        Cow::Borrowed(&uri.key)
    }

    /// The absolute path of a local file.
    pub(super) fn local_file(&self, below_root: &str) -> String {
        format!("{}/{below_root}", self.local_files.as_ref().map_or("", DocumentRoot::base))
    }
}

/// The origins whose scripts may read answers (CORS).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origins {
    All,
    These(Vec<HeaderValue>),
}

/// An entry in a list of origins that is not an origin.
#[derive(Debug, thiserror::Error)]
#[error("\"{0}\" is not an origin such as https://label.example.com, nor * for all")]
pub struct InvalidOrigin(String);

impl FromStr for Origins {
    type Err = InvalidOrigin;

    /// Parses a list such as `https://a.example,http://b:8080`, or `*`. An empty text allows none.
    fn from_str(text: &str) -> Result<Self, InvalidOrigin> {
        if text.trim() == "*" {
            return Ok(Self::All);
        }
        let origins = text.split(',').map(str::trim).filter(|origin| !origin.is_empty());
        origins.map(origin).collect::<Result<_, _>>().map(Self::These)
    }
}

fn origin(text: &str) -> Result<HeaderValue, InvalidOrigin> {
    let host = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
    let fits = |host: &str| !host.is_empty() && host.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'/');
    let value = host.is_some_and(fits).then(|| HeaderValue::from_str(text).ok()).flatten();
    value.ok_or_else(|| InvalidOrigin(text.to_owned()))
}

impl Origins {
    /// The layer that adds CORS headers; `None` if no origin is allowed.
    pub(crate) fn layer(&self) -> Option<CorsLayer> {
        let layer = CorsLayer::new()
            .allow_methods([Method::GET, Method::HEAD, Method::POST, Method::PUT, Method::PATCH, Method::DELETE])
            .allow_headers([
                header::AUTHORIZATION,
                header::CONTENT_TYPE,
                header::IF_NONE_MATCH,
                header::IF_RANGE,
                header::RANGE,
                HeaderName::from_static("x-api-key"),
            ])
            .expose_headers([
                header::ACCEPT_RANGES,
                header::CONTENT_LENGTH,
                header::CONTENT_RANGE,
                header::ETAG,
                header::LAST_MODIFIED,
            ])
            .max_age(Duration::from_secs(600));
        match self {
            Self::All => Some(layer.allow_origin(Any)),
            Self::These(origins) if origins.is_empty() => None,
            Self::These(origins) => Some(layer.allow_origin(origins.clone())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn origins_are_a_list_or_all() {
        assert_eq!("*".parse::<Origins>().unwrap(), Origins::All);
        assert!("".parse::<Origins>().unwrap().layer().is_none());
        let Origins::These(origins) = "https://a.example, http://b:8080".parse().unwrap() else { panic!("a list") };
        assert_eq!(origins, ["https://a.example", "http://b:8080"]);
        for wrong in ["a.example", "https://", "https://a/", "https://a/x", "https://a,*", "ftp://a", "null"] {
            assert!(wrong.parse::<Origins>().is_err(), "{wrong}");
        }
    }
}
