//! Conditions of a request: what the caller has of the object already.

use axum::http::{HeaderMap, HeaderName, header};
use jiff::Timestamp;
use longshore_storage::ObjectMeta;

/// What a caller has.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Conditions<'a> {
    if_none_match: Option<&'a str>,
    if_modified_since: Option<&'a str>,
    if_range: Option<&'a str>,
}

impl<'a> Conditions<'a> {
    pub(super) fn of(headers: &'a HeaderMap) -> Self {
        let text = |name: HeaderName| headers.get(name).and_then(|value| value.to_str().ok());
        Self {
            if_none_match: text(header::IF_NONE_MATCH),
            if_modified_since: text(header::IF_MODIFIED_SINCE),
            if_range: text(header::IF_RANGE),
        }
    }

    /// Whether the answer hangs on what the object is now.
    pub(super) fn any(&self) -> bool {
        self.if_none_match.is_some() || self.if_modified_since.is_some() || self.if_range.is_some()
    }

    /// Whether the caller has the object as it is now.
    pub(super) fn are_up_to_date(&self, now: &ObjectMeta) -> bool {
        match (self.if_none_match, self.if_modified_since) {
            (Some("*"), _) => true,
            (Some(tags), _) => tags.split(',').any(|tag| {
                let tag = tag.trim();
                now.etag.is_some() && unquoted(tag.strip_prefix("W/").unwrap_or(tag)) == now.etag.as_deref()
            }),
            (None, Some(since)) => match (date(since), now.modified_at) {
                (Some(since), Some(modified)) => modified.as_second() <= since.as_second(),
                _ => false,
            },
            (None, None) => false,
        }
    }

    /// Whether a part would fit what the caller has; else the whole is needed.
    pub(super) fn allow_part(&self, now: &ObjectMeta) -> bool {
        let Some(has) = self.if_range else { return true };
        match unquoted(has) {
            Some(tag) => Some(tag) == now.etag.as_deref(),
            // By date only if exactly; a weak tag is no date and never fits.
            None => date(has).is_some_and(|has| now.modified_at.map(Timestamp::as_second) == Some(has.as_second())),
        }
    }
}

/// As `Last-Modified` has it.
pub(super) fn http_date(time: Timestamp) -> String {
    time.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string()
}

fn date(text: &str) -> Option<Timestamp> {
    httpdate::parse_http_date(text).ok()?.try_into().ok()
}

fn unquoted(tag: &str) -> Option<&str> {
    tag.strip_prefix('"')?.strip_suffix('"')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn meta() -> ObjectMeta {
        let modified_at = "2026-05-04T03:02:01.5Z".parse().unwrap();
        ObjectMeta { key: "k".to_owned(), size: 1, etag: Some("tag".to_owned()), modified_at: Some(modified_at) }
    }

    fn holds(name: HeaderName, value: &str, check: fn(&Conditions<'_>, &ObjectMeta) -> bool) -> bool {
        check(&Conditions::of(&HeaderMap::from_iter([(name, value.parse().unwrap())])), &meta())
    }

    #[test]
    fn a_caller_is_up_to_date_by_tag_or_else_by_date() {
        for (tags, expected) in [
            ("\"tag\"", true),
            ("W/\"tag\"", true),
            ("\"a\", \"tag\"", true),
            ("*", true),
            ("\"other\"", false),
            ("tag", false),
        ] {
            assert_eq!(holds(header::IF_NONE_MATCH, tags, |has, now| has.are_up_to_date(now)), expected, "{tags}");
        }
        for (since, expected) in
            [("Mon, 04 May 2026 03:02:01 GMT", true), ("Mon, 04 May 2026 03:02:00 GMT", false), ("x", false)]
        {
            assert_eq!(
                holds(header::IF_MODIFIED_SINCE, since, |has, now| has.are_up_to_date(now)),
                expected,
                "{since}"
            );
        }
        assert_eq!(http_date(meta().modified_at.unwrap()), "Mon, 04 May 2026 03:02:01 GMT");
        let untagged = ObjectMeta { etag: None, ..meta() };
        let headers = HeaderMap::from_iter([(header::IF_NONE_MATCH, "tag".parse().unwrap())]);
        assert!(!Conditions::of(&headers).are_up_to_date(&untagged));
    }

    #[test]
    fn a_part_fits_the_very_same_object_alone() {
        for (has, expected) in [
            ("\"tag\"", true),
            ("W/\"tag\"", false),
            ("\"other\"", false),
            ("Mon, 04 May 2026 03:02:01 GMT", true),
            ("Mon, 04 May 2026 03:02:02 GMT", false),
        ] {
            assert_eq!(holds(header::IF_RANGE, has, |has, now| has.allow_part(now)), expected, "{has}");
        }
        assert!(Conditions::default().allow_part(&meta()));
    }
}
