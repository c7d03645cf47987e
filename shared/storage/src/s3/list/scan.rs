//! XML as far as listings go: tags and texts in one pass, without copies.
//!
//! A listing is nearly all tags of a few known names around short texts, and reading it is most of what a sync
//! of nothing new does. Names of closing tags are checked; attributes, comments and instructions are passed over.

use quick_xml::escape::resolve_xml_entity;

/// What comes next in a document.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Token<'a> {
    /// The local name of an element that begins.
    Open(&'a str),
    Close,
    /// Text as it is written: [`resolve`] knows what its references stand for.
    Text(&'a str),
    /// Text without references.
    Literal(&'a str),
}

/// The grammar is broken, or the document ends in the middle of something.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Broken;

/// A document, read from its start to its end.
pub(super) struct Scanner<'a> {
    rest: &'a str,
    /// Names of the elements that are open.
    open: Vec<&'a str>,
    /// The last element was empty: its end comes next.
    empty: bool,
}

impl<'a> Scanner<'a> {
    pub(super) fn new(document: &'a str) -> Self {
        Self { rest: document, open: Vec::with_capacity(8), empty: false }
    }

    /// The next token, or `None` at the end of the document.
    pub(super) fn next(&mut self) -> Result<Option<Token<'a>>, Broken> {
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
                    let (name, rest) = tag[1..].split_once('>').ok_or(Broken)?;
                    self.rest = rest;
                    let opened = self.open.pop() == Some(name.trim_ascii_end());
                    return if opened { Ok(Some(Token::Close)) } else { Err(Broken) };
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

    fn element(&mut self) -> Result<Token<'a>, Broken> {
        let tag = self.tag()?;
        let inner = tag.strip_suffix('/');
        self.empty = inner.is_some();
        let inner = inner.unwrap_or(tag);
        let name = inner.split_ascii_whitespace().next().filter(|_| !inner.starts_with([' ', '\t', '\n', '\r']));
        let name = name.ok_or(Broken)?;
        self.open.push(name);
        Ok(Token::Open(name.rsplit_once(':').map_or(name, |(_, local)| local)))
    }

    /// What stands in a tag. One with attributes may have its closing sign in their values too.
    fn tag(&mut self) -> Result<&'a str, Broken> {
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
        let (tag, rest) = self.rest.split_at(end.ok_or(Broken)?);
        self.rest = &rest[1..];
        Ok(tag)
    }

    /// What stands between these two, the first of which has to be next.
    fn take(&mut self, open: &str, close: &str) -> Result<&'a str, Broken> {
        let (inner, rest) = self.rest.strip_prefix(open).and_then(|rest| rest.split_once(close)).ok_or(Broken)?;
        self.rest = rest;
        Ok(inner)
    }
}

/// Appends a text with what its references stand for.
pub(super) fn resolve(text: &str, out: &mut String) -> Result<(), Broken> {
    let mut rest = text;
    while let Some((plain, reference)) = rest.split_once('&') {
        out.push_str(plain);
        let (name, after) = reference.split_once(';').ok_or(Broken)?;
        match resolve_xml_entity(name) {
            Some(entity) => out.push_str(entity),
            None => out.push(character(name).ok_or(Broken)?),
        }
        rest = after;
    }
    out.push_str(rest);
    Ok(())
}

/// The character of a reference by number, `#38` or `#x26`.
fn character(name: &str) -> Option<char> {
    let number = name.strip_prefix('#')?;
    let code = match number.strip_prefix('x') {
        Some(hex) => u32::from_str_radix(hex, 16).ok()?,
        None => number.parse().ok()?,
    };
    char::from_u32(code).filter(|character| *character != '\0')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tokens(document: &str) -> Result<Vec<Token<'_>>, Broken> {
        let mut scanner = Scanner::new(document);
        std::iter::from_fn(|| scanner.next().transpose()).collect()
    }

    #[test]
    fn tags_and_texts_come_in_their_order() {
        use Token::{Close, Literal, Open, Text};
        let document = "<?xml version=\"1.0\"?><!-- <a> --><n:a x='>' y=\"/>\"> &lt;b<b/><c ></c ><![CDATA[&]]></n:a>";
        let expected = [Open("a"), Text(" &lt;b"), Open("b"), Close, Open("c"), Close, Literal("&"), Close];
        assert_eq!(tokens(document).unwrap(), expected);
    }

    #[test]
    fn references_stand_for_characters() {
        let resolved = |text| {
            let mut out = String::new();
            resolve(text, &mut out).map(|()| out)
        };
        assert_eq!(resolved("a&lt;&#x62;&amp;amp;&#99;&quot;").unwrap(), "a<b&amp;c\"");
        for broken in ["&", "&x;", "&#0;", "&#xD800;", "&#-1;", "&#;"] {
            assert_eq!(resolved(broken), Err(Broken), "{broken}");
        }
    }

    #[test]
    fn broken_grammar_is_told() {
        for document in ["<a></b>", "<a", "<", "</a>", "<!-- ", "<![CDATA[ ]]", "<a b='>", "< a>", "<!DOCTYPE html>"] {
            assert_eq!(tokens(document), Err(Broken), "{document}");
        }
    }
}
