//! `ListObjectsV2`: its answer read token by token, and the cursor that continues it.
//!
//! The cursor is the last key of a page, given back as `start-after`. A continuation token would
//! bind a job to one server and a few hours; a key is good at any time and for any process.

use std::borrow::Cow;

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::Offset;
use percent_encoding::percent_decode_str;

use crate::cloud::{LAST_CHAR, ListingError, ascends, bare_etag, listing_text};
use crate::wire::{Scanner, Token, resolve};
use crate::{ListPage, Listed, ObjectMeta};

/// About as much of an answer as goes to one object, so that a page grows its list once or never.
const BYTES_PER_OBJECT: usize = 200;

/// What a listing's answer says.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Listing {
    objects: Vec<Listed>,
    prefixes: Vec<String>,
    truncated: bool,
}

/// The elements that are read; all others are passed over.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Element {
    Key,
    Size,
    ETag,
    LastModified,
    Prefix,
    IsTruncated,
    EncodingType,
    ErrorCode,
    Other,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Section {
    Object,
    Prefixes,
    Other,
}

/// Reads a whole answer. One without its last closing tag is [`ListingError::CutShort`], never a short page.
pub(super) fn parse(body: &[u8]) -> Result<Listing, ListingError> {
    let text = listing_text(body)?;
    let mut scanner = Scanner::new(text);
    let mut parser = Parser::default();
    parser.listing.objects.reserve(text.len() / BYTES_PER_OBJECT);
    // Whatever is wrong with the grammar after a listing's first tag came with the transport.
    while let Some(token) = scanner.next().map_err(|_| parser.broken())? {
        match token {
            Token::Open(name) => parser.open(name)?,
            Token::Close => parser.close()?,
            Token::Text(_) | Token::Literal(_) if parser.element == Element::Other => {}
            Token::Text(text) => resolve(text, &mut parser.text).map_err(|_| parser.broken())?,
            Token::Literal(text) => parser.text.push_str(text),
        }
    }
    parser.finish()
}

/// Reads the body of an answer to `ListObjectsV2` as the client does, for those who measure that alone.
///
/// `None` for one that cannot be trusted to be a whole page.
pub fn read_listing(body: &[u8]) -> Option<ListPage> {
    parse(body).ok()?.into_page(None).ok()
}

struct Parser {
    depth: usize,
    section: Section,
    element: Element,
    text: String,
    listing: Listing,
    object: Option<ObjectMeta>,
    is_listing: Option<bool>,
    truncated: Option<bool>,
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
            truncated: None,
            url_encoded: false,
            code: String::new(),
        }
    }
}

impl Parser {
    fn broken(&self) -> ListingError {
        if self.is_listing.is_some() { ListingError::CutShort } else { ListingError::NotAListing }
    }

    fn open(&mut self, name: &str) -> Result<(), ListingError> {
        self.depth += 1;
        self.element = Element::Other;
        self.text.clear();
        match (self.depth, self.section) {
            (1, _) => {
                self.is_listing = Some(name == "ListBucketResult");
                if name != "ListBucketResult" && name != "Error" {
                    return Err(ListingError::NotAListing);
                }
            }
            (2, _) => {
                self.section = Section::Other;
                match name {
                    "Contents" => {
                        self.section = Section::Object;
                        self.object = Some(ObjectMeta::default());
                    }
                    "CommonPrefixes" => self.section = Section::Prefixes,
                    "IsTruncated" => self.element = Element::IsTruncated,
                    "EncodingType" => self.element = Element::EncodingType,
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
            (Element::Size, Some(object)) => {
                object.size = text.trim().parse().map_err(|_| ListingError::Lacks("size"))?
            }
            (Element::ETag, Some(object)) => object.etag = bare_etag(text),
            (Element::LastModified, Some(object)) => object.modified_at = time(text),
            (Element::Prefix, _) => self.listing.prefixes.push(text.to_owned()),
            (Element::IsTruncated, _) => self.truncated = text.trim().parse().ok(),
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
        // An empty body is a cut one too: a listing of nothing has tags.
        if self.depth > 0 || self.is_listing.is_none() {
            return Err(ListingError::CutShort);
        }
        if self.is_listing == Some(false) {
            return Err(ListingError::Refused(self.code));
        }
        let mut listing = self.listing;
        listing.truncated = self.truncated.ok_or(ListingError::Lacks("IsTruncated"))?;
        // The element may stand behind the keys, and servers that ignore the request leave it out.
        if self.url_encoded {
            for key in listing.objects.iter_mut().map(|object| &mut object.meta.key).chain(&mut listing.prefixes) {
                decode(key)?;
            }
        }
        Ok(listing)
    }
}

/// Undoes `encoding-type=url`, in which a space is `+` and a plus sign `%2B`.
fn decode(key: &mut String) -> Result<(), ListingError> {
    if !key.contains(['%', '+']) {
        return Ok(());
    }
    let spaced = if key.contains('+') { Cow::Owned(key.replace('+', " ")) } else { Cow::Borrowed(key.as_str()) };
    let decoded = percent_decode_str(&spaced).decode_utf8().map_err(|_| ListingError::Lacks("key"))?.into_owned();
    *key = decoded;
    Ok(())
}

fn time(text: &str) -> Option<Timestamp> {
    let text = text.trim();
    usual_time(text).or_else(|| text.parse().ok())
}

/// The one way in which S3 and nearly all servers write a time: `2026-01-02T03:04:05.678Z`.
fn usual_time(text: &str) -> Option<Timestamp> {
    let text: &[u8; 24] = text.as_bytes().try_into().ok()?;
    let mut layout = b"0000-00-00T00:00:00.000Z".iter().zip(text);
    if !layout.all(|(sign, byte)| if *sign == b'0' { byte.is_ascii_digit() } else { sign == byte }) {
        return None;
    }
    let number = |from: usize, to: usize| text[from..to].iter().fold(0, |sum, byte| sum * 10 + i16::from(byte - b'0'));
    let small = |from: usize| i8::try_from(number(from, from + 2)).ok();
    let nanoseconds = i32::from(number(20, 23)) * 1_000_000;
    let time = DateTime::new(number(0, 4), small(5)?, small(8)?, small(11)?, small(14)?, small(17)?, nanoseconds);
    Offset::UTC.to_timestamp(time.ok()?).ok()
}

impl Listing {
    /// The page as the caller gets it, or why the listing cannot be trusted to be complete.
    ///
    /// `after` is the key that the listing had to start behind.
    pub(super) fn into_page(mut self, after: Option<&str>) -> Result<ListPage, ListingError> {
        let last = self.objects.last().map(Listed::key).max(self.prefixes.last().map(String::as_str));
        let next = match (self.truncated, last) {
            (false, _) => None,
            (true, None) => return Err(ListingError::EmptyPage),
            // Behind a prefix the listing goes on after everything below it.
            (true, Some(last)) if self.prefixes.last().is_some_and(|prefix| prefix == last) => {
                Some(format!("{last}{LAST_CHAR}"))
            }
            (true, Some(last)) => Some(last.to_owned()),
        };
        let advances = ascends(after, self.objects.iter().map(Listed::key))
            && ascends(None, self.prefixes.iter().map(String::as_str))
            && next.as_deref().is_none_or(|next| Some(next) > after);
        if !advances {
            return Err(ListingError::DoesNotAdvance);
        }
        // Listed before, and listed again only for a key below it that sorts behind even the cursor.
        if let Some(after) = after {
            self.prefixes.retain(|prefix| prefix.as_str() > after || !after.ends_with(LAST_CHAR));
        }
        Ok(ListPage { objects: self.objects, prefixes: self.prefixes, next })
    }
}

#[cfg(test)]
mod tests;
