//! Finds and replaces URIs in JSON texts, and changes nothing else.
//!
//! A document is neither parsed nor written again, so the order of its fields and the spelling of its numbers stay the
//! same, and it may be nested to any depth. Only strings that are values are searched.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::ops::{ControlFlow, Range};

use super::find::{find, may_hold};

/// Calls `see` with each URI of a JSON text, in order and including repetitions, until `see` breaks. See [`rewrite`]
/// for `own_key`.
///
/// Without a break, this takes time in proportion to the length of the text.
pub fn visit<B>(json: &str, own_key: Option<&str>, mut see: impl FnMut(&str) -> ControlFlow<B>) -> ControlFlow<B> {
    if !may_hold(json) && !json.contains('\\') {
        return ControlFlow::Continue(());
    }
    for range in Values::of(json) {
        let Some(text) = unescaped(json, range) else { continue };
        for found in find(&text, own_key) {
            see(&found.uri)?;
        }
    }
    ControlFlow::Continue(())
}

/// Whether a JSON text contains a URI. Stops reading at the first occurrence.
pub fn holds(json: &str, own_key: Option<&str>, uri: &str) -> bool {
    visit(json, own_key, |found| if found == uri { ControlFlow::Break(()) } else { ControlFlow::Continue(()) })
        .is_break()
}

/// The distinct URIs in a JSON text; `None` if there are more than `most`. See [`rewrite`] for `own_key`.
pub fn uris(json: &str, own_key: Option<&str>, most: usize) -> Option<BTreeSet<String>> {
    let mut uris = BTreeSet::new();
    let counted = visit(json, own_key, |uri| {
        if !uris.contains(uri) {
            uris.insert(uri.to_owned());
        }
        if uris.len() > most { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    });
    counted.is_continue().then_some(uris)
}

/// Replaces each URI of a JSON text by the result of `replace`; `None` keeps the URI.
///
/// `own_key` is the key of the task's own object, in blob mode. White space around its URI is part of the key; around
/// other URIs it is ignored. A text that is not JSON does not become JSON.
pub fn rewrite<'a>(
    json: &'a str,
    own_key: Option<&str>,
    mut replace: impl FnMut(&str) -> Option<String>,
) -> Cow<'a, str> {
    if !may_hold(json) && !json.contains('\\') {
        return Cow::Borrowed(json);
    }
    let (mut rewritten, mut copied) = (String::new(), 0);
    for range in Values::of(json) {
        let Some(text) = unescaped(json, range.clone()) else { continue };
        let Some(replaced) = replaced(&text, own_key, &mut replace) else { continue };
        rewritten.push_str(&json[copied..range.start - 1]);
        rewritten.push_str(&serde_json::Value::String(replaced).to_string());
        copied = range.end + 1;
    }
    if copied == 0 {
        return Cow::Borrowed(json);
    }
    rewritten.push_str(&json[copied..]);
    Cow::Owned(rewritten)
}

/// The text with its URIs replaced; `None` if none was replaced.
fn replaced(text: &str, own_key: Option<&str>, replace: &mut impl FnMut(&str) -> Option<String>) -> Option<String> {
    let (mut replaced, mut copied) = (String::new(), 0);
    for found in find(text, own_key) {
        let Some(new) = replace(&found.uri) else { continue };
        replaced.push_str(&text[copied..found.range.start]);
        if found.in_html {
            push_escaped(&mut replaced, &new);
        } else {
            replaced.push_str(&new);
        }
        copied = found.range.end;
    }
    if copied == 0 {
        return None;
    }
    replaced.push_str(&text[copied..]);
    Some(replaced)
}

/// Escapes a text for an HTML attribute, with or without quotes.
fn push_escaped(html: &mut String, text: &str) {
    for c in text.chars() {
        match c {
            '&' => html.push_str("&amp;"),
            '"' => html.push_str("&quot;"),
            '\'' => html.push_str("&#39;"),
            '<' => html.push_str("&lt;"),
            '>' => html.push_str("&gt;"),
            c if c.is_whitespace() => html.push_str(&format!("&#{};", u32::from(c))),
            c => html.push(c),
        }
    }
}

/// The text of a JSON string, given the range between its quotes; `None` if the string is invalid.
fn unescaped(json: &str, range: Range<usize>) -> Option<Cow<'_, str>> {
    let written = &json[range.clone()];
    if !written.contains('\\') {
        return Some(Cow::Borrowed(written));
    }
    // Slices the document including the quotes, without a copy: the string may be as long as the document.
    serde_json::from_str(json.get(range.start - 1..range.end + 1)?).ok().map(Cow::Owned)
}

/// The strings of a JSON text that are values and not names, as the ranges between their quotes.
struct Values<'a> {
    json: &'a str,
    at: usize,
}

impl<'a> Values<'a> {
    fn of(json: &'a str) -> Self {
        Self { json, at: 0 }
    }
}

impl Iterator for Values<'_> {
    type Item = Range<usize>;

    fn next(&mut self) -> Option<Range<usize>> {
        let bytes = self.json.as_bytes();
        loop {
            let start = self.at + self.json[self.at..].find('"')? + 1;
            let mut end = start;
            while *bytes.get(end)? != b'"' {
                end += if bytes[end] == b'\\' { 2 } else { 1 };
            }
            self.at = end + 1;
            let after = bytes[self.at..].iter().find(|byte| !byte.is_ascii_whitespace());
            if after != Some(&b':') {
                return Some(start..end);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Marks each URI.
    fn marked(json: &str) -> String {
        rewrite(json, None, |uri| Some(format!("<{uri}>"))).into_owned()
    }

    #[test]
    fn uris_are_replaced_at_every_depth_and_nothing_else_changes() {
        let json =
            r#"{"b": "s3://b/1", "a": {"x": [1e400, "gs://c/2", {"s3://b/name": " s3://b/3 "}, 1.50]}, "é": "\u00e9"}"#;
        let expected = r#"{"b": "<s3://b/1>", "a": {"x": [1e400, "<gs://c/2>", {"s3://b/name": " <s3://b/3> "}, 1.50]}, "é": "\u00e9"}"#;
        assert_eq!(marked(json), expected);
        assert_eq!(uris(json, None, 3).unwrap().len(), 3);
        assert_eq!(uris(json, None, 2), None);
        assert_eq!(marked(r#""s3://b/1""#), r#""<s3://b/1>""#);
        let deep = format!("{}\"s3://b/1\"{}", "[".repeat(100_000), "]".repeat(100_000));
        assert_eq!(uris(&deep, None, 1).unwrap().len(), 1);
    }

    #[test]
    fn escaped_strings_are_read_and_written_as_json() {
        assert_eq!(marked(r#"["s3:\/\/b\/a\"\n\u00e9"]"#), "[\"<s3://b/a\\\"\\né>\"]");
        let html = r#"{"h": "<img src=\"s3://b/1\"/> \"<b>\" <img src='s3://b/2'/>"}"#;
        let link = |uri: &str| Some(format!("/r?a=1&u={}", &uri[uri.len() - 1..]));
        let expected = r#"{"h": "<img src=\"/r?a=1&amp;u=1\"/> \"<b>\" <img src='/r?a=1&amp;u=2'/>"}"#;
        assert_eq!(rewrite(html, None, link), expected);
    }

    #[test]
    fn the_replacement_of_a_uri_in_html_cannot_leave_its_attribute() {
        let html = r#""<img src='s3://b/1'><img src=s3://b/2>""#;
        let rewritten = rewrite(html, None, |_| Some("x' \"\n><i>&".to_owned()));
        let escaped = "x&#39;&#32;&quot;&#10;&gt;&lt;i&gt;&amp;";
        assert_eq!(rewritten, format!("\"<img src='{escaped}'><img src={escaped}>\""));
    }

    #[test]
    fn a_key_with_an_apostrophe_is_found_and_replaced_in_every_html_spelling() {
        for written in ["s3://b/it&#x27;s", "s3://b/it&#39;s", "s3://b/it&apos;s", "s3:&#x2F;&#x2F;b/it&#x27;s"] {
            let html = format!(r#"{{"h": "<p id=\"a\"><img src=\"{written}\" alt='s'> &amp;"}}"#);
            assert!(holds(&html, None, "s3://b/it's"), "{html}");
            let expected = r#"{"h": "<p id=\"a\"><img src=\"/r?a=1&amp;b=&#39;\" alt='s'> &amp;"}"#;
            assert_eq!(rewrite(&html, None, |_| Some("/r?a=1&b='".to_owned())), expected, "{html}");
        }
    }

    #[test]
    fn a_document_is_read_no_further_than_needed() {
        let many = format!("[{}]", vec!["\"s3://b/1\""; 1_000].join(","));
        let mut seen = 0;
        let all = visit(&many, None, |_| {
            seen += 1;
            if seen == 3 { ControlFlow::Break("enough") } else { ControlFlow::Continue(()) }
        });
        assert_eq!((all, seen), (ControlFlow::Break("enough"), 3));
        assert!(holds(&many, None, "s3://b/1") && !holds(&many, None, "s3://b/2"));
        assert!(holds(r#"{"a": "<img src=\"s3:\/\/b\/1\">"}"#, None, "s3://b/1"));
    }

    #[test]
    fn an_unchanged_text_is_not_copied() {
        let json = r#"{"a": "s3://b/1", "b": "x", "c": "\\"}"#;
        assert!(matches!(rewrite(json, None, |_| None), Cow::Borrowed(text) if text == json));
        for broken in ["\"", "\"\\", "{\"a", "\"s3://b/1", "\\u", "[\"\\ud800 s3://b/1\"]"] {
            assert_eq!(marked(broken), broken);
        }
    }
}
