//! Finds URIs in a text: the whole text, or URIs in quotes and in attributes of HTML.

use std::borrow::Cow;
use std::ops::Range;

use html_escape::decode_html_entities;

use longshore_model::kinds::{URI_FORMS, UriForm};

use super::ObjectUri;

/// The delimiters directly before a URI inside a text, and those that then end it.
const DELIMITERS: [(&str, &str); 3] = [("\"", "\""), ("'", "'"), ("url(", ")")];

/// Quotes that also delimit a URI if they are written as character references, such as `&quot;` or `&#x27;`.
const QUOTES: [&str; 2] = ["\"", "'"];

/// Bytes of the longest reference that is recognized as a quote: `&#x0000022;`. Usual references have six or seven.
const MAX_REFERENCE: usize = 12;

/// Bytes that are searched for the start of a URI with references, because some HTML writers escape `/`: a start has at
/// most 19 characters, each of up to eight bytes.
const MAX_START: usize = 19 * 8;

/// A URI in a text.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct UriMatch<'a> {
    /// Its range, in bytes of the text.
    pub(super) range: Range<usize>,
    /// The URI, with its HTML references decoded.
    pub(super) uri: Cow<'a, str>,
    /// Whether a replacement must be escaped.
    pub(super) in_html: bool,
}

/// Finds the URIs of a text, one by one.
///
/// A text that begins with a URI is that URI as a whole, without white space around it. Inside a longer text, a URI
/// counts in quotes, in `url(…)`, and as an attribute without quotes, but not in bare text, because people label such
/// texts by their characters. `own_key` is the key of the task's own object: white space around its URI is part of the
/// key.
pub(super) fn find<'a>(text: &'a str, own_key: Option<&str>) -> Finder<'a> {
    let finder = Finder { whole: None, text, from: 0, is_html: text.contains('<'), unclosed: Unclosed::default() };
    let done = text.len();
    if !may_hold(text) {
        return Finder { from: done, ..finder };
    }
    let is_own = |text| ObjectUri::parse(text).is_some_and(|uri| Some(&*uri.key) == own_key);
    let trimmed = if is_own(text) { text } else { text.trim() };
    if !starts_with_uri(trimmed) {
        return finder;
    }
    let start = text.len() - text.trim_start().len();
    let start = if trimmed.len() == text.len() { 0 } else { start };
    let whole = UriMatch { range: start..start + trimmed.len(), uri: Cow::Borrowed(trimmed), in_html: false };
    Finder { whole: ObjectUri::parse(trimmed).is_some().then_some(whole), from: done, ..finder }
}

/// An iterator over the URIs of a text. They are not collected, because a text of 16 MB may contain 700,000.
pub(super) struct Finder<'a> {
    /// The text itself, if that is a URI.
    whole: Option<UriMatch<'a>>,
    text: &'a str,
    from: usize,
    is_html: bool,
    unclosed: Unclosed,
}

/// Delimiters that do not occur in the rest of the text. Without this, each opening delimiter would search the rest
/// again, which takes quadratic time.
#[derive(Default)]
struct Unclosed {
    plain: [bool; DELIMITERS.len()],
    references: [bool; QUOTES.len()],
}

impl<'a> Iterator for Finder<'a> {
    type Item = UriMatch<'a>;

    fn next(&mut self) -> Option<UriMatch<'a>> {
        if self.whole.is_some() {
            return self.whole.take();
        }
        while let Some(start) = self.next_start() {
            let Some(end) = self.end(start) else {
                self.from = start + 1;
                continue;
            };
            self.from = end;
            let written = &self.text[start..end];
            let uri = if self.is_html { decode_html_entities(written) } else { Cow::Borrowed(written) };
            if ObjectUri::parse(&uri).is_some() {
                return Some(UriMatch { range: start..end, uri, in_html: self.is_html });
            }
        }
        // A text without further URIs is not read again.
        self.from = self.text.len();
        None
    }
}

impl Finder<'_> {
    /// The start of the next URI, with or without delimiters.
    fn next_start(&self) -> Option<usize> {
        let starts = self.text.as_bytes().get(self.from..)?.iter().enumerate();
        starts
            .filter(|(_, byte)| IS_FIRST[usize::from(**byte)])
            .map(|(at, _)| self.from + at)
            .find(|&at| starts_with_uri(&self.text[at..]) || (self.is_html && starts_escaped(&self.text[at..])))
    }

    /// The end of a URI inside a text; `None` if it has no delimiters.
    fn end(&mut self, start: usize) -> Option<usize> {
        let (before, rest) = self.text.split_at(start);
        if let Some(at) = DELIMITERS.iter().position(|(open, _)| before.ends_with(open)) {
            let length = if self.unclosed.plain[at] { None } else { rest.find(DELIMITERS[at].1) };
            self.unclosed.plain[at] = length.is_none();
            return length.map(|length| start + length);
        }
        if let Some(quote) = quote_before(before) {
            let closes = |(at, _): &(usize, &str)| quote_of(&rest[*at..]) == Some(quote);
            let length = if self.unclosed.references[quote] { None } else { rest.match_indices('&').find(closes) };
            self.unclosed.references[quote] = length.is_none();
            return length.map(|(length, _)| start + length);
        }
        if self.is_html && before.ends_with('=') {
            let length = rest.find(|c: char| c.is_whitespace() || c == '>').unwrap_or(rest.len());
            return Some(start + length);
        }
        None
    }
}

/// Whether a URI, or a reference to its first character, begins with this byte. Each such byte is a character.
const IS_FIRST: [bool; 256] = {
    let mut table = [false; 256];
    table[b'&' as usize] = true;
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

/// Whether a text may contain a URI. A quick check without false negatives.
pub(super) fn may_hold(text: &str) -> bool {
    // With references, even `://` may have another spelling.
    text.contains("://") || text.contains("/data/local-files") || (text.contains('<') && text.contains('&'))
}

fn starts_with_uri(text: &str) -> bool {
    starts().any(|start| text.starts_with(start))
}

fn starts() -> impl Iterator<Item = &'static str> {
    URI_FORMS.iter().flat_map(UriForm::starts).copied()
}

/// Whether a text starts with a URI once its references are decoded.
fn starts_escaped(html: &str) -> bool {
    let head = &html[..html.floor_char_boundary(MAX_START)];
    let Some(reference) = head.find('&') else { return false };
    let (before, rest) = head.split_at(reference);
    let Some(end) = rest.bytes().take(MAX_REFERENCE).position(|byte| byte == b';') else { return false };
    // Most texts differ in or before their first reference. Decoding more at each `&` would take 300 ms for a megabyte.
    let meant = decode_html_entities(&rest[..=end]);
    let continues = |start: &str| start.strip_prefix(before).is_some_and(|next| next.starts_with(&*meant));
    starts().any(continues) && starts_with_uri(&decode_html_entities(head))
}

/// Which of [`QUOTES`] the reference at the start of a text is.
fn quote_of(text: &str) -> Option<usize> {
    let end = text.bytes().take(MAX_REFERENCE).position(|byte| byte == b';')?;
    let meant = decode_html_entities(&text[..=end]);
    QUOTES.iter().position(|quote| *quote == meant)
}

/// Which of [`QUOTES`] the reference at the end of a text is.
fn quote_before(text: &str) -> Option<usize> {
    if !text.ends_with(';') {
        return None;
    }
    let length = text.bytes().rev().take(MAX_REFERENCE).position(|byte| byte == b'&')? + 1;
    quote_of(&text[text.len() - length..])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn uris(text: &str) -> Vec<String> {
        find(text, None).map(|found| found.uri.into_owned()).collect()
    }

    #[test]
    fn a_text_that_begins_with_a_uri_is_that_uri() {
        assert_eq!(uris("s3://b/a#b?c d.jpg"), ["s3://b/a#b?c d.jpg"]);
        assert_eq!(find(" s3://b/1.jpg\n", None).next().unwrap().range, 1..13);
        assert_eq!(uris("/data/local-files/?d=a/b.jpg"), ["/data/local-files/?d=a/b.jpg"]);
        for other in ["S3://b/1.jpg", "see s3://b/1.jpg here", "s3://b", "xs3://b/1", "https://h/x", ""] {
            assert_eq!(uris(other), [""; 0], "{other:?}");
        }
    }

    #[test]
    fn white_space_belongs_to_the_key_of_the_tasks_own_object_alone() {
        assert_eq!(uris("s3://b/k "), ["s3://b/k"]);
        let own = find("s3://b/k ", Some("k ")).collect::<Vec<_>>();
        assert_eq!(own, [UriMatch { range: 0..9, uri: "s3://b/k ".into(), in_html: false }]);
        assert_eq!(find("s3://b/ k", Some(" k")).next().unwrap().uri, "s3://b/ k");
    }

    #[test]
    fn all_uris_in_html_are_found() {
        let html = r#"<img src='s3://b/1.jpg'><a href="gs://c/a=b.jpg">x</a><video src=azure-blob://d/2.mp4 loop>
            <p style="background: url(s3://b/p.png)">s3://b/text.jpg "s3://b/q r.jpg"</p><img src=s3://b/last>"#;
        let all =
            ["s3://b/1.jpg", "gs://c/a=b.jpg", "azure-blob://d/2.mp4", "s3://b/p.png", "s3://b/q r.jpg", "s3://b/last"];
        assert_eq!(uris(html), all);
        assert_eq!(uris(r#"<i title="s3://b/unclosed>"#), [""; 0]);
        assert_eq!(uris("{'a': 's3://b/1', 'b': 's3://b/2'}"), ["s3://b/1", "s3://b/2"]);
    }

    #[test]
    fn a_long_text_with_unclosed_delimiters_takes_linear_time_and_its_closed_uris_count() {
        let text = format!("url(s3://b/1) {} 's3://b/2'", "url(s3:// ".repeat(200_000));
        assert_eq!(uris(&text), ["s3://b/1", "s3://b/2"]);
    }

    #[test]
    fn character_references_are_read_in_html_and_nowhere_else() {
        assert_eq!(uris(r#"<img src="s3://b/a&amp;b&#39;&lt;&nosuch;&.jpg">"#), ["s3://b/a&b'<&nosuch;&.jpg"]);
        assert_eq!(uris(r#"<p style="background:url(&quot;s3://b/p.png&quot;)">"#), ["s3://b/p.png"]);
        assert_eq!(uris(r#""s3://b/a&amp;b.jpg""#), ["s3://b/a&amp;b.jpg"]);
        // What Python's `html.escape`, browsers and others write.
        let written = "s3://b/it&#x27;s&apos;&#039;&#X27;&#233;&eacute;&nbsp;&#128512;&lbrace;.jpg";
        assert_eq!(uris(&format!("<img src=\"{written}\">")), ["s3://b/it's'''éé\u{a0}😀{.jpg"]);
        assert_eq!(
            uris("<img src=s3://b/&#0;&#xd800;&#x110000;&#;&#x;&;>"),
            ["s3://b/&#0;&#xd800;&#x110000;&#;&#x;&;"]
        );
    }

    #[test]
    fn a_quote_may_be_written_as_any_reference_to_it() {
        for open in ["&quot;", "&#34;", "&#x22;", "&QUOT;"] {
            for close in ["&quot;", "&#034;", "&#X22;"] {
                let html = format!("<i data-x=\"{{{open}a{open}:{open}s3://b/it&#39;s{close}}}\">");
                assert_eq!(uris(&html), ["s3://b/it's"], "{html}");
            }
        }
        assert_eq!(uris("<i style='url(&apos;s3://b/1&#x27;) url(&#39;s3://b/2&apos;)'>"), ["s3://b/1", "s3://b/2"]);
        let text = format!("<i> &quot;s3://b/1&quot; {} &#39;s3://b/2&#39;", "&quot;s3://x ".repeat(200_000));
        assert_eq!(uris(&text), ["s3://b/1", "s3://b/2"]);
    }

    #[test]
    fn a_uri_whose_slashes_are_escaped_is_found() {
        let html =
            "<img src='s3:&#x2F;&#x2F;b&#x2F;k'><img src=\"&#x2F;data/local-files&sol;&#63;d=a\"><a x=gs&colon;//c/2>";
        assert_eq!(uris(html), ["s3://b/k", "/data/local-files/?d=a", "gs://c/2"]);
        assert_eq!(uris("'s3:&#x2F;&#x2F;b&#x2F;k'"), [""; 0], "no HTML");
        let near = format!("<i>{}</i>", "s3:&#x2F;&".repeat(200_000));
        assert_eq!(uris(&near), [""; 0]);
    }
}
