//! Reads the answer to a listing token by token: that of `ListObjectsV2`, or that of its first version.
//!
//! Compatible servers omit much: a page may lack its size, its etags, `KeyCount`, `IsTruncated` or tokens.

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::Offset;

use crate::cloud::{ListingError, bare_etag, listing_text};
use crate::wire::{Scanner, Token, http_date, resolve};
use crate::{ListPage, ListRequest, ListedObject, ObjectMeta, Respelled};

mod spelling;

/// About as many bytes of an answer belong to one object; the estimate lets a page allocate its list once.
const BYTES_PER_OBJECT: usize = 200;

/// The content of a listing's answer.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Listing {
    pub(super) objects: Vec<ListedObject>,
    pub(super) prefixes: Vec<String>,
    /// Whether more follows; `None` if the server does not say.
    pub(super) truncated: Option<bool>,
    /// The token of the next page, as `ListObjectsV2` gives it.
    pub(super) token: Option<String>,
    /// The marker of the next page, as the first version gives it.
    pub(super) marker: Option<String>,
    /// The first key whose spelling is not certain.
    pub(super) respelled: Option<Respelled>,
}

/// The elements that are read; all others are skipped.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Element {
    Key,
    Size,
    ETag,
    LastModified,
    Prefix,
    IsTruncated,
    EncodingType,
    NextToken,
    NextMarker,
    ErrorCode,
    Other,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Section {
    Object,
    Prefixes,
    Other,
}

/// Reads a whole answer. `raw_keys`: whether keys are as they are or encoded, whatever it says.
///
/// One without its last closing tag is [`ListingError::CutShort`], never a short page.
pub(super) fn parse(body: &[u8], raw_keys: Option<bool>) -> Result<Listing, ListingError> {
    let text = listing_text(body)?;
    let mut scanner = Scanner::new(&text);
    let mut parser = Parser { raw_keys, ..Parser::default() };
    parser.listing.objects.reserve(text.len() / BYTES_PER_OBJECT);
    // Once the first tag has shown a listing, a grammar error means that the transport cut the answer.
    while let Some(token) = scanner.next().map_err(|_| parser.grammar_error())? {
        match token {
            Token::Open(name) => parser.open(name)?,
            Token::Close => parser.close()?,
            Token::Text(_) | Token::Literal(_) if parser.element == Element::Other => {}
            Token::Text(text) => resolve(text, &mut parser.text).map_err(|_| parser.grammar_error())?,
            Token::Literal(text) => parser.text.push_str(text),
        }
    }
    parser.finish()
}

/// Reads the body of an answer to `ListObjectsV2` as the client does, for benchmarks of the parser.
///
/// `None` for an answer that may not be a whole page.
pub fn read_listing(body: &[u8]) -> Option<ListPage> {
    let request = ListRequest { limit: 1_000, delimiter: Some("/"), ..ListRequest::default() };
    parse(body, None).ok()?.into_page(&request).ok()?.page()
}

struct Parser {
    depth: usize,
    section: Section,
    element: Element,
    text: String,
    listing: Listing,
    object: Option<ObjectMeta>,
    is_listing: Option<bool>,
    /// Whether the answer has an element that only a listing has.
    has_content: bool,
    raw_keys: Option<bool>,
    url_encoded: bool,
    code: String,
}

impl Default for Parser {
    fn default() -> Self {
        Self {
            depth: 0,
            section: Section::Other,
            element: Element::Other,
            text: String::new(),
            listing: Listing::default(),
            object: None,
            is_listing: None,
            has_content: false,
            raw_keys: None,
            url_encoded: false,
            code: String::new(),
        }
    }
}

impl Parser {
    fn grammar_error(&self) -> ListingError {
        if self.is_listing.is_some() { ListingError::CutShort } else { ListingError::NotAListing }
    }

    fn open(&mut self, name: &str) -> Result<(), ListingError> {
        self.depth += 1;
        self.element = Element::Other;
        self.text.clear();
        match (self.depth, self.section) {
            (1, _) => {
                self.is_listing = Some(name != "Error");
                if !matches!(name, "ListBucketResult" | "ListBucketV2Result" | "Error") {
                    return Err(ListingError::NotAListing);
                }
            }
            (2, _) => {
                self.section = Section::Other;
                self.has_content |=
                    matches!(name, "Name" | "Prefix" | "MaxKeys" | "KeyCount" | "Contents" | "IsTruncated");
                match name {
                    "Contents" => {
                        self.section = Section::Object;
                        self.object = Some(ObjectMeta { lacks_size: true, ..ObjectMeta::default() });
                    }
                    "CommonPrefixes" => self.section = Section::Prefixes,
                    "IsTruncated" => self.element = Element::IsTruncated,
                    "EncodingType" => self.element = Element::EncodingType,
                    "NextContinuationToken" => self.element = Element::NextToken,
                    "NextMarker" => self.element = Element::NextMarker,
                    "Code" => self.element = Element::ErrorCode,
                    _ => {}
                }
            }
            (3, Section::Object) => {
                self.element = match name {
                    "Key" => Element::Key,
                    "Size" => Element::Size,
                    "ETag" => Element::ETag,
                    "LastModified" => Element::LastModified,
                    _ => Element::Other,
                };
            }
            (3, Section::Prefixes) if name == "Prefix" => self.element = Element::Prefix,
            _ => {}
        }
        Ok(())
    }

    fn close(&mut self) -> Result<(), ListingError> {
        let text = self.text.as_str();
        match (self.element, self.object.as_mut()) {
            (Element::Key, Some(object)) => object.key.push_str(text),
            (Element::Size, Some(object)) if !text.trim().is_empty() => {
                object.size = text.trim().parse().map_err(|_| ListingError::Lacks("size"))?;
                object.lacks_size = false;
            }
            (Element::ETag, Some(object)) => object.etag = bare_etag(text),
            (Element::LastModified, Some(object)) => object.modified_at = time(text),
            (Element::Prefix, _) if !text.is_empty() => self.listing.prefixes.push(text.to_owned()),
            (Element::IsTruncated, _) => self.listing.truncated = truth(text),
            (Element::NextToken, _) if !text.is_empty() => self.listing.token = Some(text.to_owned()),
            (Element::NextMarker, _) if !text.is_empty() => self.listing.marker = Some(text.to_owned()),
            (Element::EncodingType, _) => self.url_encoded = text.trim() == "url",
            (Element::ErrorCode, _) => self.code.push_str(text),
            _ => {}
        }
        self.element = Element::Other;
        self.depth -= 1;
        if self.depth == 1
            && let Some(object) = self.object.take()
        {
            if object.key.is_empty() {
                return Err(ListingError::Lacks("key"));
            }
            self.listing.objects.push(object.into());
        }
        Ok(())
    }

    fn finish(self) -> Result<Listing, ListingError> {
        // An empty body is also cut short: an empty listing has tags.
        if self.depth > 0 || self.is_listing.is_none() {
            return Err(ListingError::CutShort);
        }
        if self.is_listing == Some(false) {
            return Err(ListingError::Refused(self.code));
        }
        // Otherwise any document with this root would look like an empty bucket.
        if !self.has_content {
            return Err(ListingError::Lacks("content"));
        }
        let mut listing = self.listing;
        // `EncodingType` may come after the keys.
        spelling::decode(&mut listing, self.url_encoded, self.raw_keys);
        Ok(listing)
    }
}

/// Reads a truth as servers write it.
fn truth(text: &str) -> Option<bool> {
    match text.trim() {
        text if text.eq_ignore_ascii_case("true") || text == "1" => Some(true),
        text if text.eq_ignore_ascii_case("false") || text == "0" => Some(false),
        _ => None,
    }
}

fn time(text: &str) -> Option<Timestamp> {
    let text = text.trim();
    s3_time(text).or_else(|| text.parse().ok()).or_else(|| http_date(text))
}

/// Parses the format that S3 and nearly all servers use: `2026-01-02T03:04:05.678Z`. Faster than the general parser.
fn s3_time(text: &str) -> Option<Timestamp> {
    let text: &[u8; 24] = text.as_bytes().try_into().ok()?;
    let mut pattern = b"0000-00-00T00:00:00.000Z".iter().zip(text);
    if !pattern.all(|(sign, byte)| if *sign == b'0' { byte.is_ascii_digit() } else { sign == byte }) {
        return None;
    }
    let number = |from: usize, to: usize| text[from..to].iter().fold(0, |sum, byte| sum * 10 + i16::from(byte - b'0'));
    let small = |from: usize| i8::try_from(number(from, from + 2)).ok();
    let nanoseconds = i32::from(number(20, 23)) * 1_000_000;
    let time = DateTime::new(number(0, 4), small(5)?, small(8)?, small(11)?, small(14)?, small(17)?, nanoseconds);
    Offset::UTC.to_timestamp(time.ok()?).ok()
}

#[cfg(test)]
mod tests;
