//! The base address of a bucket's URIs, and URIs that keep keys exact.

use std::fmt::Write;

use http::Uri;
use http::uri::{Authority, PathAndQuery, Scheme};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use crate::{Endpoint, InvalidSetting};

/// Characters that stay unescaped in a query and in one path segment; the signatures require exactly these.
pub(crate) const QUERY: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');
/// The same for a path, where `/` stays unescaped as well.
pub(crate) const PATH: &AsciiSet = &QUERY.remove(b'/');

/// Scheme, host, port and an optional path. The server receives the path with exactly these bytes: nothing resolves
/// `..`, merges `//` or decodes.
#[derive(Debug, Clone)]
pub(crate) struct BaseUri {
    scheme: Scheme,
    authority: Authority,
    /// Already escaped, without a trailing slash.
    path: String,
}

/// A setting that holds an endpoint, with the messages for invalid values.
pub(crate) struct EndpointSetting {
    pub(crate) field: &'static str,
    pub(crate) not_a_url: &'static str,
    pub(crate) has_user: &'static str,
    pub(crate) has_query: &'static str,
}

impl BaseUri {
    pub(crate) fn new(scheme: Scheme, authority: Authority) -> Self {
        Self { scheme, authority, path: String::new() }
    }

    /// Parses a URL that a user entered.
    ///
    /// # Errors
    /// It is not an `http` or `https` URL, or has a user or a query.
    pub(crate) fn parse(text: &str, setting: &EndpointSetting) -> Result<Self, InvalidSetting> {
        let refusal_error = |message| InvalidSetting::new(setting.field, message);
        let uri: Uri = text.parse().map_err(|_| refusal_error(setting.not_a_url))?;
        let parts = uri.into_parts();
        let (Some(scheme), Some(authority)) = (parts.scheme, parts.authority) else {
            return Err(refusal_error("an endpoint must begin with https:// or http://"));
        };
        if scheme != Scheme::HTTPS && scheme != Scheme::HTTP {
            return Err(refusal_error("an endpoint must begin with https:// or http://"));
        }
        if authority.as_str().contains('@') {
            return Err(refusal_error(setting.has_user));
        }
        if parts.path_and_query.as_ref().is_some_and(|path| path.query().is_some()) {
            return Err(refusal_error(setting.has_query));
        }
        let path = parts.path_and_query.as_ref().map_or("", PathAndQuery::path).trim_end_matches('/').to_owned();
        Ok(Self { scheme, authority, path })
    }

    /// Appends a segment, already escaped, to the path.
    pub(crate) fn below(mut self, segment: &str) -> Self {
        self.path.push('/');
        self.path.push_str(segment);
        self
    }

    /// Host and port as in URIs and in the `Host` header.
    pub(crate) fn authority(&self) -> &str {
        self.authority.as_str()
    }

    pub(crate) fn scheme(&self) -> &str {
        self.scheme.as_str()
    }

    /// Host and port of the server.
    pub(crate) fn endpoint(&self) -> Endpoint {
        let is_encrypted = self.is_encrypted();
        let port = self.authority.port_u16().unwrap_or(if is_encrypted { 443 } else { 80 });
        let host = self.authority.host().trim_start_matches('[').trim_end_matches(']').to_owned();
        Endpoint { host, port, is_encrypted }
    }

    /// Whether connections use TLS.
    pub(crate) fn is_encrypted(&self) -> bool {
        self.scheme == Scheme::HTTPS
    }

    /// The URI of a path below the base, with these query parameters in this order. The path must be escaped already,
    /// and empty or with a leading slash.
    pub(crate) fn uri(&self, path: &str, parameters: &[(&str, &str)]) -> Option<Uri> {
        let mut text = format!("{}{path}", self.path);
        if text.is_empty() {
            text.push('/');
        }
        push_query(&mut text, parameters)?;
        Uri::builder().scheme(self.scheme.clone()).authority(self.authority.clone()).path_and_query(text).build().ok()
    }

    /// The URI of a key, with the key as the rest of the path.
    pub(crate) fn key(&self, key: &str) -> Option<Uri> {
        self.uri(&format!("/{}", utf8_percent_encode(key, PATH)), &[])
    }

    #[cfg(test)]
    pub(crate) fn path(&self) -> &str {
        &self.path
    }
}

/// Appends query parameters to a URI that has none.
pub(crate) fn push_query(uri: &mut String, parameters: &[(&str, &str)]) -> Option<()> {
    for (index, (name, value)) in parameters.iter().enumerate() {
        let separator = if index == 0 { '?' } else { '&' };
        write!(uri, "{separator}{name}={}", utf8_percent_encode(value, QUERY)).ok()?;
    }
    Some(())
}
