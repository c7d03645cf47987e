//! `ListObjectsV2`: its answer read token by token, and the cursor that continues it.
//!
//! The cursor is the last key of a page, given back as `start-after`. A continuation token would
//! bind a job to one server and a few hours; a key is good for ever and for any process.

mod scan;

use std::borrow::Cow;

use chrono::{DateTime, NaiveDate, Utc};
use percent_encoding::percent_decode_str;

use crate::cloud::{ListingError, bare_etag};
use crate::{ListPage, Listed, ObjectMeta};
use scan::{Scanner, Token, resolve};

/// About as much of an answer as goes to one object, so that a page grows its list once or never.
const BYTES_PER_OBJECT: usize = 200;

/// Sorts after every key below a prefix, since no character is greater.
const LAST_CHAR: char = '\u{10FFFF}';

/// What a listing's answer says.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Listing {
    objects: Vec<Listed>,
    prefixes: Vec<String>,
    truncated: bool,
}

/// The elements that are read; all others are passed over.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Leaf {
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
    let text = match std::str::from_utf8(body) {
        Ok(text) => text,
        Err(error) if error.error_len().is_none() => return Err(ListingError::CutShort),
        Err(_) => return Err(ListingError::NotAListing),
    };
    let mut scanner = Scanner::new(text);
    let mut parser = Parser::default();
    parser.listing.objects.reserve(text.len() / BYTES_PER_OBJECT);
    // Whatever is wrong with the grammar after a listing's first tag came with the transport.
    while let Some(token) = scanner.next().map_err(|_| parser.broken())? {
        match token {
            Token::Open(name) => parser.open(name)?,
            Token::Close => parser.close()?,
            Token::Text(_) | Token::Literal(_) if parser.leaf == Leaf::Other => {}
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
    leaf: Leaf,
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
            leaf: Leaf::Other,
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
        self.leaf = Leaf::Other;
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
                    "IsTruncated" => self.leaf = Leaf::IsTruncated,
                    "EncodingType" => self.leaf = Leaf::EncodingType,
                    "Code" => self.leaf = Leaf::ErrorCode,
                    _ => {}
                }
            }
            (3, Section::Object) => {
                self.leaf = match name {
                    "Key" => Leaf::Key,
                    "Size" => Leaf::Size,
                    "ETag" => Leaf::ETag,
                    "LastModified" => Leaf::LastModified,
                    _ => Leaf::Other,
                };
            }
            (3, Section::Prefixes) if name == "Prefix" => self.leaf = Leaf::Prefix,
            _ => {}
        }
        Ok(())
    }

    fn close(&mut self) -> Result<(), ListingError> {
        let text = self.text.as_str();
        match (self.leaf, self.object.as_mut()) {
            (Leaf::Key, Some(object)) => object.key.push_str(text),
            (Leaf::Size, Some(object)) => object.size = text.trim().parse().map_err(|_| ListingError::Lacks("size"))?,
            (Leaf::ETag, Some(object)) => object.etag = bare_etag(text),
            (Leaf::LastModified, Some(object)) => object.modified_at = time(text),
            (Leaf::Prefix, _) => self.listing.prefixes.push(text.to_owned()),
            (Leaf::IsTruncated, _) => self.truncated = text.trim().parse().ok(),
            (Leaf::EncodingType, _) => self.url_encoded = text.trim() == "url",
            (Leaf::ErrorCode, _) => self.code.push_str(text),
            _ => {}
        }
        self.leaf = Leaf::Other;
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

fn time(text: &str) -> Option<DateTime<Utc>> {
    let text = text.trim();
    usual_time(text).or_else(|| DateTime::parse_from_rfc3339(text).ok().map(|time| time.to_utc()))
}

/// The one way in which S3 and nearly all servers write a time: `2026-01-02T03:04:05.678Z`.
fn usual_time(text: &str) -> Option<DateTime<Utc>> {
    let text: &[u8; 24] = text.as_bytes().try_into().ok()?;
    let mut layout = b"0000-00-00T00:00:00.000Z".iter().zip(text);
    if !layout.all(|(sign, byte)| if *sign == b'0' { byte.is_ascii_digit() } else { sign == byte }) {
        return None;
    }
    let number = |from: usize, to: usize| text[from..to].iter().fold(0, |sum, byte| sum * 10 + u32::from(byte - b'0'));
    let date = NaiveDate::from_ymd_opt(i32::try_from(number(0, 4)).ok()?, number(5, 7), number(8, 10))?;
    Some(date.and_hms_milli_opt(number(11, 13), number(14, 16), number(17, 19), number(20, 23))?.and_utc())
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

/// Whether each key is greater than the one before it, byte by byte.
fn ascends<'a>(after: Option<&'a str>, mut keys: impl Iterator<Item = &'a str>) -> bool {
    let mut before = after;
    keys.all(|key| Some(key) > before.replace(key))
}

#[cfg(test)]
mod tests;
