//! Conditional requests: which version of the object the caller already has.

use std::time::SystemTime;

use axum::http::{HeaderMap, header};
use headers::{ETag, Header, HeaderMapExt, IfModifiedSince, IfNoneMatch, LastModified};
use longshore_storage::ObjectMeta;

/// The versions of the object that the caller has, by the headers of its request.
#[derive(Debug, Clone, Default)]
pub(super) struct Conditions {
    if_none_match: Option<IfNoneMatch>,
    if_modified_since: Option<IfModifiedSince>,
    if_range: Option<Version>,
}

/// The version that `If-Range` names. Not `headers::IfRange`: that accepts a date after the last change, but RFC 9110
/// (13.1.5) requires the same date.
#[derive(Debug, Clone)]
enum Version {
    Tag(ETag),
    Date(LastModified),
    /// Neither a tag nor a date, so it is never the current version.
    Unreadable,
}

impl Conditions {
    pub(super) fn of(headers: &HeaderMap) -> Self {
        Self {
            if_none_match: headers.typed_get(),
            if_modified_since: headers.typed_get(),
            if_range: headers.get(header::IF_RANGE).map(|value| {
                let tag = ETag::decode(&mut std::iter::once(value)).map(Version::Tag);
                let version = tag.or_else(|_| LastModified::decode(&mut std::iter::once(value)).map(Version::Date));
                version.unwrap_or(Version::Unreadable)
            }),
        }
    }

    /// Whether the answer depends on the current version of the object.
    pub(super) fn any(&self) -> bool {
        self.if_none_match.is_some() || self.if_modified_since.is_some() || self.if_range.is_some()
    }

    /// Whether the caller has the current version. A tag has priority over a date.
    pub(super) fn are_up_to_date(&self, current: &ObjectMeta) -> bool {
        match (&self.if_none_match, &self.if_modified_since) {
            (Some(tags), _) if *tags == IfNoneMatch::any() => true,
            (Some(tags), _) => etag(current).is_some_and(|tag| !tags.precondition_passes(&tag)),
            (None, Some(since)) => modification_time(current).is_some_and(|modified| !since.is_modified(modified)),
            (None, None) => false,
        }
    }

    /// Whether a part of the object fits the version that the caller has. Otherwise the caller needs the whole object.
    pub(super) fn allow_part(&self, current: &ObjectMeta) -> bool {
        match &self.if_range {
            None => true,
            // Equal tags are both strong, because `etag` never returns weak ones.
            Some(Version::Tag(tag)) => etag(current).as_ref() == Some(tag),
            Some(Version::Date(date)) => last_modified(current) == Some(*date),
            Some(Version::Unreadable) => false,
        }
    }
}

/// `ETag` of an object: the tag of its storage, as a strong tag.
pub(super) fn etag(object: &ObjectMeta) -> Option<ETag> {
    object.etag.as_deref().and_then(|tag| format!("\"{tag}\"").parse().ok())
}

/// `Last-Modified` of an object.
pub(super) fn last_modified(object: &ObjectMeta) -> Option<LastModified> {
    modification_time(object).map(LastModified::from)
}

/// When the object changed. `None` for a time before 1970, which a local file may have: HTTP dates start there, and
/// `headers` panics on earlier ones.
fn modification_time(object: &ObjectMeta) -> Option<SystemTime> {
    object.modified_at.filter(|time| time.as_second() >= 0).map(SystemTime::from)
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderName;

    use super::*;

    fn meta() -> ObjectMeta {
        let modified_at = "2026-05-04T03:02:01.5Z".parse().unwrap();
        ObjectMeta {
            key: "k".to_owned(),
            size: 1,
            etag: Some("tag".to_owned()),
            modified_at: Some(modified_at),
            lacks_size: false,
        }
    }

    fn holds(name: HeaderName, value: &str, check: fn(&Conditions, &ObjectMeta) -> bool) -> bool {
        check(&Conditions::of(&HeaderMap::from_iter([(name, value.parse().unwrap())])), &meta())
    }

    #[test]
    fn a_time_before_1970_is_no_date_of_http() {
        let old = ObjectMeta { modified_at: Some("1969-12-31T23:59:59Z".parse().unwrap()), ..meta() };
        assert_eq!(last_modified(&old), None);
        let headers =
            HeaderMap::from_iter([(header::IF_MODIFIED_SINCE, "Tue, 05 May 2026 00:00:00 GMT".parse().unwrap())]);
        assert!(!Conditions::of(&headers).are_up_to_date(&old));
    }

    #[test]
    fn a_caller_is_up_to_date_by_tag_or_else_by_date() {
        for (tags, expected) in [
            ("\"tag\"", true),
            ("W/\"tag\"", true),
            ("\"a\", \"tag\"", true),
            ("*", true),
            ("\"other\"", false),
            ("\"a,tag\"", false),
            ("tag", false),
        ] {
            assert_eq!(holds(header::IF_NONE_MATCH, tags, Conditions::are_up_to_date), expected, "{tags}");
        }
        for (since, expected) in [
            ("Mon, 04 May 2026 03:02:01 GMT", true),
            ("Mon, 04 May 2026 03:02:00 GMT", false),
            // The two obsolete forms of HTTP dates.
            ("Monday, 04-May-26 03:02:01 GMT", true),
            ("Mon May  4 03:02:01 2026", true),
            ("x", false),
        ] {
            assert_eq!(holds(header::IF_MODIFIED_SINCE, since, Conditions::are_up_to_date), expected, "{since}");
        }
        let untagged = ObjectMeta { etag: None, ..meta() };
        let headers = |value: &str| HeaderMap::from_iter([(header::IF_NONE_MATCH, value.parse().unwrap())]);
        assert!(!Conditions::of(&headers("\"tag\"")).are_up_to_date(&untagged));
        assert!(Conditions::of(&headers("*")).are_up_to_date(&untagged));
    }

    #[test]
    fn a_part_fits_only_the_same_version_of_the_object() {
        for (has, expected) in [
            ("\"tag\"", true),
            ("W/\"tag\"", false),
            ("\"other\"", false),
            ("Mon, 04 May 2026 03:02:01 GMT", true),
            ("Mon, 04 May 2026 03:02:02 GMT", false),
            ("tag", false),
        ] {
            assert_eq!(holds(header::IF_RANGE, has, Conditions::allow_part), expected, "{has}");
        }
        assert!(Conditions::default().allow_part(&meta()));
    }

    #[test]
    fn a_tag_that_http_does_not_allow_is_left_out() {
        assert_eq!(etag(&ObjectMeta { etag: Some("a\"b".to_owned()), ..meta() }), None);
        assert!(etag(&meta()).is_some());
    }
}
