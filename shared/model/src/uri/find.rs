//! URIs in a text: the text itself, or what stands in quotes and attributes of HTML.

use std::borrow::Cow;
use std::ops::Range;

use super::{LOCAL_FILES, ObjectUri, SCHEMES};

/// What may stand right before a URI inside a text, and what ends it then.
const DELIMITERS: &[(&str, &str)] =
    &[("\"", "\""), ("'", "'"), ("&quot;", "&quot;"), ("&#34;", "&#34;"), ("&#39;", "&#39;"), ("url(", ")")];

/// Character references that writers of HTML put into attributes. Others are left as they are.
const REFERENCES: &[(&str, &str)] =
    &[("amp", "&"), ("lt", "<"), ("gt", ">"), ("quot", "\""), ("apos", "'"), ("#34", "\""), ("#38", "&"), ("#39", "'")];

/// A URI and where it stands.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Found<'a> {
    pub(super) place: Range<usize>,
    pub(super) uri: Cow<'a, str>,
    /// Whether what takes its place has to be escaped.
    pub(super) in_html: bool,
}

/// Finds the URIs of a text.
///
/// A text that begins with one is that URI as a whole, without white space around it. Elsewhere a URI
/// counts in quotes, in `url(…)`, and as an attribute without quotes; in bare text it does not, since
/// people label such texts by their characters. `own_key` is a key that is known to be spelled as it
/// is: of the object that the whole task is.
pub(super) fn find<'a>(text: &'a str, own_key: Option<&str>) -> Vec<Found<'a>> {
    if !may_hold(text) {
        return Vec::new();
    }
    let is_own = |text| ObjectUri::parse(text).is_some_and(|uri| Some(&*uri.key) == own_key);
    let trimmed = if is_own(text) { text } else { text.trim() };
    if starts_with_uri(trimmed) {
        let start = text.len() - text.trim_start().len();
        let start = if trimmed.len() == text.len() { 0 } else { start };
        let whole = Found { place: start..start + trimmed.len(), uri: Cow::Borrowed(trimmed), in_html: false };
        return if ObjectUri::parse(trimmed).is_some() { vec![whole] } else { Vec::new() };
    }

    let is_html = text.contains('<');
    let (mut found, mut from, mut unclosed) = (Vec::new(), 0, [false; DELIMITERS.len()]);
    while let Some(start) = next_uri(text, from) {
        let Some(end) = end(text, start, is_html, &mut unclosed) else {
            from = start + 1;
            continue;
        };
        let written = &text[start..end];
        let uri = if is_html { unescaped(written) } else { Cow::Borrowed(written) };
        if ObjectUri::parse(&uri).is_some() {
            found.push(Found { place: start..end, uri, in_html: is_html });
        }
        from = end;
    }
    found
}

/// Whether a text is worth a closer look.
pub(super) fn may_hold(text: &str) -> bool {
    text.contains("://") || text.contains("/data/local-files")
}

fn starts_with_uri(text: &str) -> bool {
    SCHEMES.iter().any(|(scheme, _)| text.starts_with(scheme))
        || LOCAL_FILES.iter().any(|start| text.starts_with(start))
}

/// Where the next URI begins, delimited or not.
fn next_uri(text: &str, from: usize) -> Option<usize> {
    let starts = text.as_bytes().get(from..)?.iter().enumerate();
    // The first letters of all that `starts_with_uri` knows; each is a character by itself.
    starts
        .filter(|(_, byte)| matches!(byte, b's' | b'g' | b'a' | b'r' | b'/'))
        .map(|(at, _)| from + at)
        .find(|&at| starts_with_uri(&text[at..]))
}

/// Where a URI inside a text ends, or `None` if nothing delimits it.
///
/// `unclosed` remembers of each delimiter that it ends nothing from here on: looking for it again from
/// every place where it opens would take the square of the text's length.
fn end(text: &str, start: usize, is_html: bool, unclosed: &mut [bool; DELIMITERS.len()]) -> Option<usize> {
    let (before, rest) = text.split_at(start);
    let opened = DELIMITERS.iter().zip(unclosed).find(|((open, _), _)| before.ends_with(open));
    if let Some(((_, close), unclosed)) = opened {
        let length = if *unclosed { None } else { rest.find(close) };
        *unclosed = length.is_none();
        return length.map(|length| start + length);
    }
    if is_html && before.ends_with('=') {
        let length = rest.find(|c: char| c.is_whitespace() || c == '>').unwrap_or(rest.len());
        return Some(start + length);
    }
    None
}

/// The text that HTML means.
fn unescaped(written: &str) -> Cow<'_, str> {
    if !written.contains('&') {
        return Cow::Borrowed(written);
    }
    let mut text = String::with_capacity(written.len());
    let mut rest = written;
    while let Some(at) = rest.find('&') {
        text.push_str(&rest[..at]);
        rest = &rest[at..];
        let meant = REFERENCES.iter().find_map(|(name, meant)| {
            let after = rest[1..].strip_prefix(name)?.strip_prefix(';')?;
            Some((*meant, after))
        });
        let (meant, after) = meant.unwrap_or(("&", &rest[1..]));
        text.push_str(meant);
        rest = after;
    }
    text.push_str(rest);
    Cow::Owned(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(text: &str) -> Vec<String> {
        find(text, None).into_iter().map(|found| found.uri.into_owned()).collect()
    }

    #[test]
    fn a_text_that_begins_with_a_uri_is_that_uri() {
        assert_eq!(found("s3://b/a#b?c d.jpg"), ["s3://b/a#b?c d.jpg"]);
        assert_eq!(find(" s3://b/1.jpg\n", None)[0].place, 1..13);
        assert_eq!(found("/data/local-files/?d=a/b.jpg"), ["/data/local-files/?d=a/b.jpg"]);
        for other in ["S3://b/1.jpg", "see s3://b/1.jpg here", "s3://b", "xs3://b/1", "https://h/x", ""] {
            assert_eq!(found(other), [""; 0], "{other:?}");
        }
    }

    #[test]
    fn white_space_belongs_to_the_key_of_the_tasks_own_object_alone() {
        assert_eq!(found("s3://b/k "), ["s3://b/k"]);
        assert_eq!(find("s3://b/k ", Some("k ")), [Found { place: 0..9, uri: "s3://b/k ".into(), in_html: false }]);
        assert_eq!(find("s3://b/ k", Some(" k"))[0].uri, "s3://b/ k");
    }

    #[test]
    fn every_uri_of_a_piece_of_html_is_found() {
        let html = r#"<img src='s3://b/1.jpg'><a href="gs://c/a=b.jpg">x</a><video src=azure-blob://d/2.mp4 loop>
            <p style="background: url(s3://b/p.png)">s3://b/text.jpg "s3://b/q r.jpg"</p><img src=s3://b/last>"#;
        let all =
            ["s3://b/1.jpg", "gs://c/a=b.jpg", "azure-blob://d/2.mp4", "s3://b/p.png", "s3://b/q r.jpg", "s3://b/last"];
        assert_eq!(found(html), all);
        assert_eq!(found(r#"<i title="s3://b/unclosed>"#), [""; 0]);
        assert_eq!(found("{'a': 's3://b/1', 'b': 's3://b/2'}"), ["s3://b/1", "s3://b/2"]);
    }

    #[test]
    fn a_long_text_that_opens_and_never_closes_is_read_in_time_and_what_closes_before_counts() {
        let text = format!("url(s3://b/1) {} 's3://b/2'", "url(s3:// ".repeat(200_000));
        assert_eq!(found(&text), ["s3://b/1", "s3://b/2"]);
    }

    #[test]
    fn character_references_are_read_in_html_and_nowhere_else() {
        assert_eq!(found(r#"<img src="s3://b/a&amp;b&#39;&lt;&nosuch;&.jpg">"#), ["s3://b/a&b'<&nosuch;&.jpg"]);
        assert_eq!(found(r#"<p style="background:url(&quot;s3://b/p.png&quot;)">"#), ["s3://b/p.png"]);
        assert_eq!(found(r#""s3://b/a&amp;b.jpg""#), ["s3://b/a&amp;b.jpg"]);
    }
}
