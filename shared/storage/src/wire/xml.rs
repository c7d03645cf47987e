//! A scanner for the XML in the clouds' answers: tags and texts in one pass, without copies.
//!
//! A listing is mostly tags with a few known names around short texts, and reading listings is most of the work of a
//! sync that finds nothing new. The scanner reads 300 MiB/s with two allocations per key. It checks the names of
//! closing tags, reads attributes only on request, and skips comments and processing instructions.

/// One token of a document.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Token<'a> {
    /// An opening tag, with the element's local name.
    Open(&'a str),
    Close,
    /// Text as written in the document; [`resolve`] replaces its references.
    Text(&'a str),
    /// Text without references, from CDATA.
    Literal(&'a str),
}

/// The grammar is broken, or the document ends inside a token.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct XmlError;

/// Scans a document from start to end.
pub(crate) struct Scanner<'a> {
    rest: &'a str,
    /// Names of the open elements.
    open: Vec<&'a str>,
    /// The last tag was an empty element, so its closing token comes next.
    empty: bool,
    /// The part of the last opening tag after its name.
    attributes: &'a str,
}

impl<'a> Scanner<'a> {
    pub(crate) fn new(document: &'a str) -> Self {
        Self { rest: document, open: Vec::with_capacity(8), empty: false, attributes: "" }
    }

    /// Returns the next token, or `None` at the end of the document.
    pub(crate) fn next(&mut self) -> Result<Option<Token<'a>>, XmlError> {
        if std::mem::take(&mut self.empty) {
            self.open.pop();
            return Ok(Some(Token::Close));
        }
        loop {
            let Some(tag) = self.rest.strip_prefix('<') else {
                return Ok(self.text());
            };
            self.rest = tag;
            match tag.as_bytes().first() {
                Some(b'/') => {
                    let (name, rest) = tag[1..].split_once('>').ok_or(XmlError)?;
                    self.rest = rest;
                    let opened = self.open.pop() == Some(name.trim_ascii_end());
                    return if opened { Ok(Some(Token::Close)) } else { Err(XmlError) };
                }
                Some(b'?') => drop(self.take("?", "?>")?),
                Some(b'!') if tag.starts_with("!--") => drop(self.take("!--", "-->")?),
                Some(b'!') => return self.take("![CDATA[", "]]>").map(|text| Some(Token::Literal(text))),
                _ => return self.element().map(Some),
            }
        }
    }

    fn text(&mut self) -> Option<Token<'a>> {
        let (text, rest) = self.rest.split_at(self.rest.find('<').unwrap_or(self.rest.len()));
        self.rest = rest;
        (!text.is_empty()).then_some(Token::Text(text))
    }

    fn element(&mut self) -> Result<Token<'a>, XmlError> {
        let tag = self.tag()?;
        let inner = tag.strip_suffix('/');
        self.empty = inner.is_some();
        let inner = inner.unwrap_or(tag);
        let name = inner.split_ascii_whitespace().next().filter(|_| !inner.starts_with([' ', '\t', '\n', '\r']));
        let name = name.ok_or(XmlError)?;
        self.attributes = &inner[name.len()..];
        self.open.push(name);
        Ok(Token::Open(name.rsplit_once(':').map_or(name, |(_, local)| local)))
    }

    /// The value of an attribute of the last opened element, as written in the document.
    pub(crate) fn attribute(&self, name: &str) -> Option<&'a str> {
        let mut rest = self.attributes;
        loop {
            let (attribute, value) = rest.split_once('=')?;
            let value = value.trim_ascii_start();
            let quote = value.chars().next().filter(|first| matches!(first, '"' | '\''))?;
            let (value, after) = value[1..].split_once(quote)?;
            if attribute.trim_ascii() == name {
                return Some(value);
            }
            rest = after;
        }
    }

    /// Reads up to the end of a tag. Attribute values may contain `>` as well.
    fn tag(&mut self) -> Result<&'a str, XmlError> {
        let mut quote = None;
        let end = self.rest.bytes().position(|byte| match quote {
            Some(open) => {
                quote = quote.filter(|_| byte != open);
                false
            }
            None if byte == b'"' || byte == b'\'' => {
                quote = Some(byte);
                false
            }
            None => byte == b'>',
        });
        let (tag, rest) = self.rest.split_at(end.ok_or(XmlError)?);
        self.rest = &rest[1..];
        Ok(tag)
    }

    /// Reads the text between `open`, which must come next, and `close`.
    fn take(&mut self, open: &str, close: &str) -> Result<&'a str, XmlError> {
        let (inner, rest) = self.rest.strip_prefix(open).and_then(|rest| rest.split_once(close)).ok_or(XmlError)?;
        self.rest = rest;
        Ok(inner)
    }
}

/// Appends a text to `out`, with its references replaced.
pub(crate) fn resolve(text: &str, out: &mut String) -> Result<(), XmlError> {
    let mut rest = text;
    while let Some((plain, reference)) = rest.split_once('&') {
        out.push_str(plain);
        let (name, after) = reference.split_once(';').ok_or(XmlError)?;
        out.push(character(name).ok_or(XmlError)?);
        rest = after;
    }
    out.push_str(rest);
    Ok(())
}

/// The character of a named reference, or of a numeric one such as `#38` or `#x26`.
fn character(name: &str) -> Option<char> {
    let Some(number) = name.strip_prefix('#') else {
        return Some(match name {
            "lt" => '<',
            "gt" => '>',
            "amp" => '&',
            "apos" => '\'',
            "quot" => '"',
            _ => return None,
        });
    };
    let code = match number.strip_prefix('x') {
        Some(hex) => u32::from_str_radix(hex, 16).ok()?,
        None => number.parse().ok()?,
    };
    char::from_u32(code).filter(|character| *character != '\0')
}

/// Returns the text of the first element with each of these names; empty if there is none. Of an invalid or truncated
/// body, everything before the error counts.
pub(crate) fn first_texts<const N: usize>(body: &[u8], names: [&str; N]) -> [String; N] {
    let mut texts = [const { String::new() }; N];
    let Ok(document) = std::str::from_utf8(body) else { return texts };
    // Azure's answers begin with a byte order mark.
    let mut scanner = Scanner::new(document.trim_start_matches('\u{FEFF}'));
    let mut wanted = None;
    while let Ok(Some(token)) = scanner.next() {
        match token {
            Token::Open(name) => {
                wanted = names.iter().position(|wanted| *wanted == name).filter(|at| texts[*at].is_empty())
            }
            Token::Close => wanted = None,
            Token::Text(text) | Token::Literal(text) => {
                if let Some(at) = wanted {
                    texts[at] = resolved(text).unwrap_or_else(|XmlError| text.to_owned());
                }
            }
        }
    }
    texts
}

fn resolved(text: &str) -> Result<String, XmlError> {
    let mut out = String::with_capacity(text.len());
    resolve(text, &mut out)?;
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tokens(document: &str) -> Result<Vec<Token<'_>>, XmlError> {
        let mut scanner = Scanner::new(document);
        std::iter::from_fn(|| scanner.next().transpose()).collect()
    }

    #[test]
    fn tags_and_texts_come_in_document_order() {
        use Token::{Close, Literal, Open, Text};
        let document = "<?xml version=\"1.0\"?><!-- <a> --><n:a x='>' y=\"/>\"> &lt;b<b/><c ></c ><![CDATA[&]]></n:a>";
        let expected = [Open("a"), Text(" &lt;b"), Open("b"), Close, Open("c"), Close, Literal("&"), Close];
        assert_eq!(tokens(document).unwrap(), expected);
    }

    #[test]
    fn references_are_replaced_by_their_characters() {
        assert_eq!(resolved("a&lt;&#x62;&amp;amp;&#99;&quot;").unwrap(), "a<b&amp;c\"");
        for broken in ["&", "&x;", "&#0;", "&#xD800;", "&#-1;", "&#;"] {
            assert_eq!(resolved(broken), Err(XmlError), "{broken}");
        }
    }

    #[test]
    fn attributes_belong_to_the_element_opened_last() {
        let mut scanner = Scanner::new("<a x = '1' y=\"a='2'\"/><b></b>");
        scanner.next().unwrap();
        assert_eq!([scanner.attribute("x"), scanner.attribute("y")], [Some("1"), Some("a='2'")]);
        assert_eq!(scanner.attribute("a"), None);
        scanner.next().unwrap();
        scanner.next().unwrap();
        assert_eq!(scanner.attribute("x"), None);
    }

    #[test]
    fn the_first_text_of_a_name_is_read_even_from_a_truncated_document() {
        let document = "\u{FEFF}<e><m/><c>a&amp;b</c><c>other</c><m>half</m><n>more";
        assert_eq!(first_texts(document.as_bytes(), ["c", "m", "x"]), ["a&b", "half", ""]);
        assert_eq!(first_texts(b"not XML", ["c"]), [""]);
    }

    #[test]
    fn broken_grammar_is_an_error() {
        for document in ["<a></b>", "<a", "<", "</a>", "<!-- ", "<![CDATA[ ]]", "<a b='>", "< a>", "<!DOCTYPE html>"] {
            assert_eq!(tokens(document), Err(XmlError), "{document}");
        }
    }
}
