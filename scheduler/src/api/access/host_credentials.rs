//! The credentials of a request, as Label Studio takes them.

use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, header};

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
    /// The request has only a cookie and comes from another site: a page there must not act for the user.
    pub(in crate::api) fn of(method: &Method, headers: &HeaderMap) -> ApiResult<Option<Self>> {
        let mut own = HeaderMap::new();
        for name in [header::AUTHORIZATION, API_KEY] {
            if let Some(value) = headers.get(&name) {
                own.insert(name, value.clone());
            }
        }
        if let Some(cookie) = session(headers) {
            if method.is_safe() || !is_cross_site(headers) {
                own.insert(header::COOKIE, cookie);
            } else if !has_token(&own) {
                return Err(ApiError::forbidden("A page of another site sent this request with the user's cookie."));
            }
        }
        Ok((!own.is_empty()).then_some(Self(own)))
    }
}

/// Whether the request has a token, which no browser adds by itself. A password (`Basic`) is none: behind a proxy that asks
/// for it, browsers send it with the requests of every page.
fn has_token(own: &HeaderMap) -> bool {
    let scheme = own.get(header::AUTHORIZATION).map(|value| value.as_bytes().split(u8::is_ascii_whitespace));
    let scheme = scheme.and_then(|mut words| words.next()).unwrap_or_default();
    own.contains_key(API_KEY) || [&b"token"[..], b"bearer"].iter().any(|known| scheme.eq_ignore_ascii_case(known))
}

/// The session cookie alone, as `name=value`. Of several, Label Studio reads the last. The header is split as bytes: other
/// cookies may contain any.
fn session(headers: &HeaderMap) -> Option<HeaderValue> {
    let pairs = headers.get_all(header::COOKIE).iter().flat_map(|value| value.as_bytes().split(|byte| *byte == b';'));
    let mut named = pairs.filter_map(|pair| {
        let at = pair.iter().position(|byte| *byte == b'=')?;
        (pair[..at].trim_ascii() == SESSION.as_bytes()).then(|| pair[at + 1..].trim_ascii())
    });
    HeaderValue::from_bytes(&[SESSION.as_bytes(), b"=", named.next_back()?].concat()).ok()
}

/// Whether a browser says that the request comes from a page of another site. Pages of the same domain on another host or
/// port are other sites, too: their cookies are shared, and their authors may not be trusted.
fn is_cross_site(headers: &HeaderMap) -> bool {
    let bytes = |name: HeaderName| headers.get(name).map(HeaderValue::as_bytes);
    let origin = bytes(header::ORIGIN);
    let is_own = origin.is_some_and(|origin| {
        let host = origin.windows(3).position(|part| part == b"://").map(|at| &origin[at + 3..]);
        host.is_some() && host == bytes(header::HOST)
    });
    match bytes(HeaderName::from_static("sec-fetch-site")) {
        Some(b"same-origin" | b"none") => false,
        Some(b"cross-site") => true,
        Some(_) => !is_own,
        // No browser, or an old one.
        None => origin.is_some() && !is_own,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(pairs: &[(&'static str, &str)]) -> ApiResult<Option<HostCredentials>> {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.append(HeaderName::from_static(name), HeaderValue::from_bytes(value.as_bytes()).unwrap());
        }
        HostCredentials::of(&Method::POST, &headers)
    }

    fn cookie(pairs: &[(&'static str, &str)]) -> Option<HeaderValue> {
        of(pairs).unwrap()?.headers().get(header::COOKIE).cloned()
    }

    #[test]
    fn cookies_are_read_as_label_studio_reads_them() {
        let session = |value: &'static str| Some(HeaderValue::from_static(value));
        assert_eq!(cookie(&[("cookie", "name=Zo\u{eb}; sessionid=b")]), session("sessionid=b"));
        assert_eq!(cookie(&[("cookie", "sessionid=old; a=b;sessionid = new ;c")]), session("sessionid=new"));
        assert_eq!(cookie(&[("cookie", "sessionid=old"), ("cookie", "sessionid=new")]), session("sessionid=new"));
        assert_eq!(cookie(&[("cookie", "sessionid=a=b")]), session("sessionid=a=b"));
        assert_eq!(cookie(&[("cookie", "asessionid=b; sessionid")]), None);
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
        let user = ("cookie", "sessionid=b");
        for refused in [
            &[user, ("sec-fetch-site", "cross-site")][..],
            &[user, ("origin", "https://evil.example"), ("host", "label.example")],
            &[user, ("origin", "null"), ("host", "label.example")],
            // What browsers add to the requests of every page is no proof.
            &[user, ("authorization", "Basic dTpw"), ("sec-fetch-site", "cross-site")],
            &[user, ("sec-fetch-site", "same-site"), ("origin", "https://blog.example"), ("host", "label.example")],
            &[
                user,
                ("sec-fetch-site", "same-site"),
                ("origin", "https://label.example:8443"),
                ("host", "label.example"),
            ],
            &[user, ("sec-fetch-site", "same-site"), ("host", "label.example")],
        ] {
            assert!(of(refused).is_err(), "{refused:?}");
        }
        for accepted in [
            &[user][..],
            &[user, ("sec-fetch-site", "same-origin"), ("origin", "https://label.example")],
            &[user, ("origin", "https://label.example"), ("host", "label.example")],
            &[user, ("sec-fetch-site", "same-site"), ("origin", "https://label.example"), ("host", "label.example")],
            &[user, ("authorization", "Basic dTpw"), ("sec-fetch-site", "same-origin")],
            &[("authorization", "Token t"), ("sec-fetch-site", "cross-site")],
        ] {
            assert!(of(accepted).unwrap().is_some(), "{accepted:?}");
        }
        // With a token, the request is the token's.
        for token in [("authorization", "bearer\tt"), ("authorization", "Token t"), ("x-api-key", "k")] {
            assert_eq!(cookie(&[user, token, ("sec-fetch-site", "cross-site")]), None, "{token:?}");
        }
    }
}
