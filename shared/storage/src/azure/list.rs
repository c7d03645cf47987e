//! `List Blobs`: its answer read event by event, and the key that continues it.
//!
//! The cursor is the last name of a page, given back as `startFrom`, which includes it. A marker
//! would be good for some time and one server only; a name is good for ever and for any process.

mod start;

use chrono::{DateTime, Utc};
use percent_encoding::percent_decode_str;
use quick_xml::Reader;
use quick_xml::events::{BytesStart, Event};

use crate::cloud::{ListingError, bare_etag};
use crate::{ListPage, Listed, ObjectMeta};
pub(super) use start::{Start, is_unambiguous};

/// What a listing's answer says.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Listing {
    objects: Vec<Listed>,
    prefixes: Vec<String>,
    /// Folders of an account with a hierarchical namespace, which are listed like blobs.
    folders: Vec<String>,
    /// Whether the account has such a namespace: names then come folder by folder.
    pub(super) is_hierarchical: bool,
    /// Where the listing goes on; names nothing that could be kept.
    marker: Option<String>,
}

/// The elements that are read; all others are passed over.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Leaf {
    Name { encoded: bool },
    Size,
    ETag,
    LastModified,
    ResourceType,
    NextMarker,
    Other,
}

/// Which entry of the listing is open.
enum Entry {
    Blob { object: ObjectMeta, is_folder: bool },
    Prefix { name: String },
}

/// Reads a whole answer. One without its last closing tag is [`ListingError::CutShort`], never a short page.
pub(super) fn parse(body: &[u8]) -> Result<Listing, ListingError> {
    let text = match std::str::from_utf8(body) {
        Ok(text) => text,
        Err(error) if error.error_len().is_none() => return Err(ListingError::CutShort),
        Err(_) => return Err(ListingError::NotAListing),
    };
    // Azure begins with a byte order mark.
    let mut reader = Reader::from_str(text.trim_start_matches('\u{FEFF}'));
    reader.config_mut().expand_empty_elements = true;
    let mut parser = Parser::default();
    loop {
        // Whatever is wrong with the grammar after a listing's first tag came with the transport.
        match reader.read_event().map_err(|_| parser.broken())? {
            Event::Start(element) => parser.open(&element)?,
            Event::End(_) => parser.close()?,
            Event::Text(text) if parser.leaf != Leaf::Other => parser.text.push_str(&text),
            Event::CData(text) if parser.leaf != Leaf::Other => parser.text.push_str(&text),
            Event::GeneralRef(name) if parser.leaf != Leaf::Other => match name.resolve_char_ref() {
                Ok(Some(character)) => parser.text.push(character),
                Ok(None) => {
                    let entity = quick_xml::escape::resolve_xml_entity(&name).ok_or(ListingError::Lacks("entity"))?;
                    parser.text.push_str(entity);
                }
                Err(_) => return Err(ListingError::Lacks("character")),
            },
            Event::Eof => return parser.finish(),
            _ => {}
        }
    }
}

struct Parser {
    depth: usize,
    in_blobs: bool,
    in_properties: bool,
    leaf: Leaf,
    text: String,
    listing: Listing,
    entry: Option<Entry>,
    is_listing: bool,
    marker: Option<String>,
}

impl Default for Parser {
    fn default() -> Self {
        Self {
            depth: 0,
            in_blobs: false,
            in_properties: false,
            leaf: Leaf::Other,
            text: String::new(),
            listing: Listing::default(),
            entry: None,
            is_listing: false,
            marker: None,
        }
    }
}

impl Parser {
    fn broken(&self) -> ListingError {
        if self.is_listing { ListingError::CutShort } else { ListingError::NotAListing }
    }

    fn open(&mut self, element: &BytesStart<'_>) -> Result<(), ListingError> {
        self.depth += 1;
        self.leaf = Leaf::Other;
        self.text.clear();
        let name = element.local_name();
        let name: &str = name.as_ref();
        match self.depth {
            1 if name == "EnumerationResults" => self.is_listing = true,
            1 => return Err(ListingError::NotAListing),
            2 => {
                self.in_blobs = name == "Blobs";
                if name == "NextMarker" {
                    self.leaf = Leaf::NextMarker;
                }
            }
            3 if self.in_blobs => {
                self.entry = match name {
                    "Blob" => Some(Entry::Blob { object: ObjectMeta::default(), is_folder: false }),
                    "BlobPrefix" => Some(Entry::Prefix { name: String::new() }),
                    _ => None,
                };
            }
            4 if self.entry.is_some() => {
                self.in_properties = name == "Properties";
                if name == "Name" {
                    self.leaf = Leaf::Name { encoded: is_encoded(element) };
                }
            }
            5 if self.in_properties => {
                self.leaf = match name {
                    "Content-Length" => Leaf::Size,
                    "Etag" => Leaf::ETag,
                    "Last-Modified" => Leaf::LastModified,
                    "ResourceType" => Leaf::ResourceType,
                    _ => Leaf::Other,
                };
            }
            _ => {}
        }
        Ok(())
    }

    fn close(&mut self) -> Result<(), ListingError> {
        let text = std::mem::take(&mut self.text);
        match (std::mem::replace(&mut self.leaf, Leaf::Other), &mut self.entry) {
            (Leaf::NextMarker, _) => self.marker = Some(text),
            (Leaf::Name { encoded }, Some(Entry::Blob { object, .. })) => object.key = name(text, encoded)?,
            (Leaf::Name { encoded }, Some(Entry::Prefix { name: prefix })) => *prefix = name(text, encoded)?,
            (Leaf::Size, Some(Entry::Blob { object, .. })) => {
                object.size = text.trim().parse().map_err(|_| ListingError::Lacks("size"))?;
            }
            (Leaf::ETag, Some(Entry::Blob { object, .. })) => object.etag = bare_etag(&text),
            (Leaf::LastModified, Some(Entry::Blob { object, .. })) => object.modified_at = time(&text),
            (Leaf::ResourceType, entry) => {
                self.listing.is_hierarchical = true;
                if let Some(Entry::Blob { is_folder, .. }) = entry {
                    *is_folder = text.trim() == "directory";
                }
            }
            _ => {}
        }
        self.depth -= 1;
        if self.depth == 2
            && let Some(entry) = self.entry.take()
        {
            self.listing.push(entry)?;
        }
        if self.depth == 3 {
            self.in_properties = false;
        }
        Ok(())
    }

    fn finish(self) -> Result<Listing, ListingError> {
        // An empty body is a cut one too: a listing of nothing has tags.
        if self.depth > 0 || !self.is_listing {
            return Err(ListingError::CutShort);
        }
        let marker = self.marker.ok_or(ListingError::Lacks("NextMarker"))?;
        Ok(Listing { marker: (!marker.is_empty()).then_some(marker), ..self.listing })
    }
}

/// Whether the name is escaped, as those are that XML cannot hold.
fn is_encoded(element: &BytesStart<'_>) -> bool {
    element.attributes().flatten().any(|attribute| {
        let (name, value): (&str, &str) = (attribute.key.as_ref(), attribute.value.as_ref());
        name == "Encoded" && value == "true"
    })
}

fn name(text: String, encoded: bool) -> Result<String, ListingError> {
    let name = if encoded {
        percent_decode_str(&text).decode_utf8().map_err(|_| ListingError::Lacks("name"))?.into_owned()
    } else {
        text
    };
    if name.is_empty() { Err(ListingError::Lacks("name")) } else { Ok(name) }
}

fn time(text: &str) -> Option<DateTime<Utc>> {
    DateTime::parse_from_rfc2822(text.trim()).ok().map(|time| time.to_utc())
}

impl Listing {
    fn push(&mut self, entry: Entry) -> Result<(), ListingError> {
        match entry {
            Entry::Blob { object, .. } if object.key.is_empty() => return Err(ListingError::Lacks("name")),
            Entry::Blob { object, is_folder: true } => self.folders.push(object.key),
            Entry::Blob { object, is_folder: false } => self.objects.push(object.into()),
            Entry::Prefix { name } if name.is_empty() => return Err(ListingError::Lacks("name")),
            Entry::Prefix { name } => self.prefixes.push(name),
        }
        Ok(())
    }

    /// The page as the caller gets it, and the marker to go on with where the page holds nothing but
    /// the listing does not end.
    pub(super) fn into_page(mut self, start: &Start) -> Result<(ListPage, Option<String>), ListingError> {
        let lasts = [
            self.objects.last().map(Listed::key),
            self.prefixes.last().map(String::as_str),
            self.folders.last().map(String::as_str),
        ];
        let lasts = lasts.into_iter().flatten();
        let last = if self.is_hierarchical {
            // All of `m/` comes before `m-1`.
            lasts.max_by(|a, b| a.split('/').cmp(b.split('/')))
        } else {
            lasts.max()
        };
        let next = self.marker.as_ref().and(last).map(str::to_owned);
        self.objects.retain(|object| !start.is_done(object.key()));
        self.prefixes.retain(|prefix| !start.is_done(prefix));
        let objects = self.objects.iter().map(Listed::key);
        if objects.chain(self.prefixes.iter().map(String::as_str)).any(|name| start.lies_behind(name)) {
            return Err(ListingError::IgnoresStart);
        }
        if self.objects.is_empty() && self.prefixes.is_empty() {
            return Ok((ListPage::default(), self.marker));
        }
        // Azure does not say which order its names are in; within a page it is made that of their bytes.
        self.objects.sort_unstable_by(|a, b| a.key().cmp(b.key()));
        self.prefixes.sort_unstable();
        // Who goes on where the page began gets the same page for ever.
        if next.as_deref().is_some_and(|next| start.is_done(next)) {
            return Err(ListingError::IgnoresStart);
        }
        Ok((ListPage { objects: self.objects, prefixes: self.prefixes, next }, None))
    }
}

#[cfg(test)]
mod tests;
