//! The credentials of a request, as Label Studio takes them.

use axum::http::{HeaderMap, HeaderName, Method, header};

use crate::api::error::{ApiError, ApiResult};

pub(super) const API_KEY: HeaderName = HeaderName::from_static("x-api-key");

const SESSION: &str = "sessionid";

/// The credentials of a request, as Label Studio takes them.
#[derive(Debug, Clone, Default)]
pub(in crate::api) struct HostCredentials(HeaderMap);

impl HostCredentials {
    /// The headers to send to Label Studio.
    pub(super) fn headers(&self) -> &HeaderMap {
        &self.0
    }

    /// The session cookie, the token and the API key of a request. `None` if it has none of them.
    ///
    /// # Errors
    /// The request has a cookie and comes from another site: a page there must not act for the user.
    pub(in crate::api) fn of(method: &Method, headers: &HeaderMap) -> ApiResult<Option<Self>> {
        let mut own = HeaderMap::new();
        for name in [header::AUTHORIZATION, API_KEY] {
            if let Some(value) = headers.get(&name) {
                own.insert(name, value.clone());
            }
        }
        let session = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok()).find_map(session);
        if let Some(cookie) = session.and_then(|cookie| cookie.parse().ok()) {
            if own.is_empty() && !method.is_safe() && is_cross_site(headers) {
                return Err(ApiError::forbidden("A page of another site sent this request with the user's cookie."));
            }
            own.insert(header::COOKIE, cookie);
        }
        Ok((!own.is_empty()).then_some(Self(own)))
    }
}

/// The session cookie alone, as `name=value`.
fn session(cookies: &str) -> Option<String> {
    let mut pairs = cookies.split(';').filter_map(|pair| pair.trim().split_once('='));
    pairs.find(|(name, _)| *name == SESSION).map(|(name, value)| format!("{name}={value}"))
}

/// Whether a browser says that the request comes from a page of another site.
fn is_cross_site(headers: &HeaderMap) -> bool {
    let text = |name: HeaderName| headers.get(name).and_then(|value| value.to_str().ok());
    if let Some(site) = text(HeaderName::from_static("sec-fetch-site")) {
        return !matches!(site, "same-origin" | "same-site" | "none");
    }
    let Some(origin) = text(header::ORIGIN) else { return false };
    origin.split_once("://").map(|(_, host)| host) != text(header::HOST)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(pairs: &[(&'static str, &str)]) -> ApiResult<Option<HostCredentials>> {
        let headers = pairs.iter().map(|(name, value)| (HeaderName::from_static(name), value.parse().unwrap()));
        HostCredentials::of(&Method::POST, &headers.collect())
    }

    #[test]
    fn only_what_label_studio_reads_is_handed_on() {
        let sent =
            [("cookie", "csrftoken=a; sessionid=b; other=c"), ("x-forwarded-for", "1.2.3.4"), ("x-api-key", "k")];
        let own = of(&sent).unwrap().unwrap().0;
        assert_eq!(
            (own.len(), &own["cookie"], &own["x-api-key"]),
            (2, &"sessionid=b".parse().unwrap(), &"k".parse().unwrap())
        );
        assert!(of(&[("cookie", "csrftoken=a")]).unwrap().is_none());
    }

    #[test]
    fn a_page_of_another_site_cannot_use_the_cookie() {
        let cookie = ("cookie", "sessionid=b");
        for refused in [
            &[cookie, ("sec-fetch-site", "cross-site")][..],
            &[cookie, ("origin", "https://evil.example"), ("host", "label.example")],
            &[cookie, ("origin", "null"), ("host", "label.example")],
        ] {
            assert!(of(refused).is_err(), "{refused:?}");
        }
        for accepted in [
            &[cookie][..],
            &[cookie, ("sec-fetch-site", "same-origin"), ("origin", "https://label.example")],
            &[cookie, ("origin", "https://label.example"), ("host", "label.example")],
            &[("authorization", "Token t"), ("sec-fetch-site", "cross-site")],
        ] {
            assert!(of(accepted).unwrap().is_some(), "{accepted:?}");
        }
    }
}
