//! URIs in a text: the text itself, or what stands in quotes and attributes of HTML.

use std::borrow::Cow;
use std::ops::Range;

use super::ObjectUri;
use crate::kinds::{URI_FORMS, UriForm};

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

/// Finds the URIs of a text, one by one.
///
/// A text that begins with one is that URI as a whole, without white space around it. Elsewhere a URI
/// counts in quotes, in `url(…)`, and as an attribute without quotes; in bare text it does not, since
/// people label such texts by their characters. `own_key` is a key that is known to be spelled as it
/// is: of the object that the whole task is.
pub(super) fn find<'a>(text: &'a str, own_key: Option<&str>) -> Finder<'a> {
    let (nothing_more, unclosed) = (text.len(), [false; DELIMITERS.len()]);
    if !may_hold(text) {
        return Finder { whole: None, text, from: nothing_more, is_html: false, unclosed };
    }
    let is_own = |text| ObjectUri::parse(text).is_some_and(|uri| Some(&*uri.key) == own_key);
    let trimmed = if is_own(text) { text } else { text.trim() };
    if !starts_with_uri(trimmed) {
        return Finder { whole: None, text, from: 0, is_html: text.contains('<'), unclosed };
    }
    let start = text.len() - text.trim_start().len();
    let start = if trimmed.len() == text.len() { 0 } else { start };
    let whole = Found { place: start..start + trimmed.len(), uri: Cow::Borrowed(trimmed), in_html: false };
    let whole = ObjectUri::parse(trimmed).is_some().then_some(whole);
    Finder { whole, text, from: nothing_more, is_html: false, unclosed }
}

/// The URIs of a text. They are not collected: a text of 16 MB may hold 700,000.
pub(super) struct Finder<'a> {
    /// The text itself, if that is a URI.
    whole: Option<Found<'a>>,
    text: &'a str,
    from: usize,
    is_html: bool,
    unclosed: [bool; DELIMITERS.len()],
}

impl<'a> Iterator for Finder<'a> {
    type Item = Found<'a>;

    fn next(&mut self) -> Option<Found<'a>> {
        if self.whole.is_some() {
            return self.whole.take();
        }
        while let Some(start) = next_uri(self.text, self.from) {
            let Some(end) = end(self.text, start, self.is_html, &mut self.unclosed) else {
                self.from = start + 1;
                continue;
            };
            self.from = end;
            let written = &self.text[start..end];
            let uri = if self.is_html { unescaped(written) } else { Cow::Borrowed(written) };
            if ObjectUri::parse(&uri).is_some() {
                return Some(Found { place: start..end, uri, in_html: self.is_html });
            }
        }
        // What opens nothing to its end is not read again.
        self.from = self.text.len();
        None
    }
}

/// Whether a text is worth a closer look.
pub(super) fn may_hold(text: &str) -> bool {
    text.contains("://") || text.contains("/data/local-files")
}

fn starts_with_uri(text: &str) -> bool {
    URI_FORMS.iter().flat_map(UriForm::starts).any(|start| text.starts_with(start))
}

/// Whether a URI of any kind begins with this byte.
const IS_FIRST_LETTER: [bool; 256] = {
    let mut table = [false; 256];
    let mut form = 0;
    while form < URI_FORMS.len() {
        let starts = URI_FORMS[form].starts();
        let mut start = 0;
        while start < starts.len() {
            table[starts[start].as_bytes()[0] as usize] = true;
            start += 1;
        }
        form += 1;
    }
    table
};

/// Where the next URI begins, delimited or not.
fn next_uri(text: &str, from: usize) -> Option<usize> {
    let starts = text.as_bytes().get(from..)?.iter().enumerate();
    // Each of these letters is a character by itself.
    starts
        .filter(|(_, byte)| IS_FIRST_LETTER[usize::from(**byte)])
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
        find(text, None).map(|found| found.uri.into_owned()).collect()
    }

    #[test]
    fn a_text_that_begins_with_a_uri_is_that_uri() {
        assert_eq!(found("s3://b/a#b?c d.jpg"), ["s3://b/a#b?c d.jpg"]);
        assert_eq!(find(" s3://b/1.jpg\n", None).next().unwrap().place, 1..13);
        assert_eq!(found("/data/local-files/?d=a/b.jpg"), ["/data/local-files/?d=a/b.jpg"]);
        for other in ["S3://b/1.jpg", "see s3://b/1.jpg here", "s3://b", "xs3://b/1", "https://h/x", ""] {
            assert_eq!(found(other), [""; 0], "{other:?}");
        }
    }

    #[test]
    fn white_space_belongs_to_the_key_of_the_tasks_own_object_alone() {
        assert_eq!(found("s3://b/k "), ["s3://b/k"]);
        let own = find("s3://b/k ", Some("k ")).collect::<Vec<_>>();
        assert_eq!(own, [Found { place: 0..9, uri: "s3://b/k ".into(), in_html: false }]);
        assert_eq!(find("s3://b/ k", Some(" k")).next().unwrap().uri, "s3://b/ k");
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
