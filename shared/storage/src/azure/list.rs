//! Reads the answer to `List Blobs` token by token, and computes the cursor of the next page.
//!
//! The cursor is the last name of a page, sent as `startFrom`, which includes it. A marker is valid for a limited
//! time and for one server; a name is valid at any time and for any process.

mod start;

use percent_encoding::percent_decode_str;

use crate::cloud::{ListingAnswer, ListingError, bare_etag, listing_text};
use crate::wire::{Scanner, Token, http_date, resolve};
use crate::{ListPage, ListedObject, ObjectMeta};
pub(super) use start::{Start, is_unambiguous};

/// The content of a listing's answer.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Listing {
    objects: Vec<ListedObject>,
    prefixes: Vec<String>,
    /// Whether the account has a hierarchical namespace: names are then ordered folder by folder.
    pub(super) is_hierarchical: bool,
    /// Marker of the rest of the listing; too short-lived to be a cursor.
    marker: Option<String>,
}

/// The elements that are read; all others are skipped.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Element {
    Name { encoded: bool },
    Size,
    ETag,
    LastModified,
    ResourceType,
    IsFolder,
    Snapshot,
    Deleted,
    IsCurrent,
    NextMarker,
    Other,
}

/// The entry of the listing that is being read.
enum Entry {
    /// `is_past`: deleted, a snapshot or an older version. Only other clients ask for these, but some servers list them.
    Blob {
        object: ObjectMeta,
        is_folder: bool,
        is_past: bool,
    },
    Prefix {
        name: String,
    },
}

/// Reads a whole answer. One without its last closing tag is [`ListingError::CutShort`], never a short page.
pub(super) fn parse(body: &[u8]) -> Result<Listing, ListingError> {
    let text = listing_text(body)?;
    // Azure's answers begin with a byte order mark.
    let mut scanner = Scanner::new(text.trim_start_matches('\u{FEFF}'));
    let mut parser = Parser::default();
    // Once the first tag has shown a listing, a grammar error means that the transport cut the answer.
    while let Some(token) = scanner.next().map_err(|_| parser.grammar_error())? {
        match token {
            Token::Open(name) => parser.open(name, &scanner)?,
            Token::Close => parser.close()?,
            Token::Text(_) | Token::Literal(_) if parser.element == Element::Other => {}
            Token::Text(text) => resolve(text, &mut parser.text).map_err(|_| parser.grammar_error())?,
            Token::Literal(text) => parser.text.push_str(text),
        }
    }
    parser.finish()
}

struct Parser {
    depth: usize,
    in_blobs: bool,
    in_properties: bool,
    in_metadata: bool,
    element: Element,
    text: String,
    listing: Listing,
    entry: Option<Entry>,
    is_listing: bool,
    has_content: bool,
}

impl Default for Parser {
    fn default() -> Self {
        Self {
            depth: 0,
            in_blobs: false,
            in_properties: false,
            in_metadata: false,
            element: Element::Other,
            text: String::new(),
            listing: Listing::default(),
            entry: None,
            is_listing: false,
            has_content: false,
        }
    }
}

impl Parser {
    fn grammar_error(&self) -> ListingError {
        if self.is_listing { ListingError::CutShort } else { ListingError::NotAListing }
    }

    fn open(&mut self, name: &str, scanner: &Scanner<'_>) -> Result<(), ListingError> {
        self.depth += 1;
        self.element = Element::Other;
        self.text.clear();
        match self.depth {
            1 if name == "EnumerationResults" => self.is_listing = true,
            1 => return Err(ListingError::NotAListing),
            2 => {
                self.in_blobs = name == "Blobs";
                self.has_content |= matches!(name, "Blobs" | "NextMarker");
                if name == "NextMarker" {
                    self.element = Element::NextMarker;
                }
            }
            3 if self.in_blobs => {
                self.entry = match name {
                    "Blob" => {
                        let object = ObjectMeta { lacks_size: true, ..ObjectMeta::default() };
                        Some(Entry::Blob { object, is_folder: false, is_past: false })
                    }
                    "BlobPrefix" => Some(Entry::Prefix { name: String::new() }),
                    _ => None,
                };
            }
            4 if self.entry.is_some() => {
                self.in_properties = name == "Properties";
                self.in_metadata = name == "Metadata";
                self.element = match name {
                    "Name" => Element::Name { encoded: scanner.attribute("Encoded") == Some("true") },
                    "Snapshot" => Element::Snapshot,
                    "Deleted" => Element::Deleted,
                    "IsCurrentVersion" => Element::IsCurrent,
                    _ => Element::Other,
                };
            }
            // Data Lake, AzCopy and the portal mark empty blobs so that stand for folders.
            5 if self.in_metadata && name.eq_ignore_ascii_case("hdi_isfolder") => self.element = Element::IsFolder,
            5 if self.in_properties => {
                self.element = match name {
                    "Content-Length" => Element::Size,
                    "Etag" => Element::ETag,
                    "Last-Modified" => Element::LastModified,
                    "ResourceType" => Element::ResourceType,
                    _ => Element::Other,
                };
            }
            _ => {}
        }
        Ok(())
    }

    fn close(&mut self) -> Result<(), ListingError> {
        let text = std::mem::take(&mut self.text);
        match (std::mem::replace(&mut self.element, Element::Other), &mut self.entry) {
            (Element::NextMarker, _) => {
                self.listing.marker = Some(text.trim().to_owned()).filter(|text| !text.is_empty())
            }
            (Element::Name { encoded }, Some(Entry::Blob { object, .. })) => object.key = name(text, encoded)?,
            (Element::Name { encoded }, Some(Entry::Prefix { name: prefix })) => *prefix = name(text, encoded)?,
            (Element::Size, Some(Entry::Blob { object, .. })) if !text.trim().is_empty() => {
                object.size = text.trim().parse().map_err(|_| ListingError::Lacks("size"))?;
                object.lacks_size = false;
            }
            (Element::ETag, Some(Entry::Blob { object, .. })) => object.etag = bare_etag(&text),
            (Element::LastModified, Some(Entry::Blob { object, .. })) => object.modified_at = http_date(&text),
            (Element::IsFolder, Some(Entry::Blob { is_folder, .. })) => {
                *is_folder |= text.trim().eq_ignore_ascii_case("true");
            }
            (Element::Snapshot, Some(Entry::Blob { is_past, .. })) => *is_past |= !text.trim().is_empty(),
            (Element::Deleted, Some(Entry::Blob { is_past, .. })) => *is_past |= text.trim() == "true",
            (Element::IsCurrent, Some(Entry::Blob { is_past, .. })) => *is_past |= text.trim() == "false",
            (Element::ResourceType, entry) => {
                self.listing.is_hierarchical = true;
                if let Some(Entry::Blob { object, is_folder, .. }) = entry
                    && text.trim() == "directory"
                {
                    *is_folder = true;
                    object.lacks_size = false;
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
            self.in_metadata = false;
        }
        Ok(())
    }

    fn finish(self) -> Result<Listing, ListingError> {
        // An empty body is also cut short: an empty listing has tags.
        if self.depth > 0 || !self.is_listing {
            return Err(ListingError::CutShort);
        }
        // Otherwise any document with this root would look like an empty container.
        if self.has_content { Ok(self.listing) } else { Err(ListingError::Lacks("content")) }
    }
}

/// Reads a name, which Azure percent-encodes if XML cannot hold it.
fn name(text: String, encoded: bool) -> Result<String, ListingError> {
    let name = if encoded {
        percent_decode_str(&text).decode_utf8().map_err(|_| ListingError::Lacks("name"))?.into_owned()
    } else {
        text
    };
    if name.is_empty() { Err(ListingError::Lacks("name")) } else { Ok(name) }
}

impl Listing {
    fn push(&mut self, entry: Entry) -> Result<(), ListingError> {
        match entry {
            Entry::Blob { object, .. } if object.key.is_empty() => return Err(ListingError::Lacks("name")),
            Entry::Blob { is_past: true, .. } => {}
            Entry::Blob { object, is_folder, .. } => {
                self.objects.push(ListedObject { is_folder, ..object.into() });
            }
            Entry::Prefix { name } if name.is_empty() => return Err(ListingError::Lacks("name")),
            Entry::Prefix { name } => self.prefixes.push(name),
        }
        Ok(())
    }

    /// Returns the page, plus the marker to continue with if the page is empty but the listing does not end here.
    pub(super) fn into_page(mut self, start: &Start) -> Result<(ListPage, Option<String>), ListingError> {
        let lasts = [self.objects.last().map(ListedObject::key), self.prefixes.last().map(String::as_str)];
        let lasts = lasts.into_iter().flatten();
        let last = if self.is_hierarchical {
            // Folder by folder, all of `m/` comes before `m-1`.
            lasts.max_by(|a, b| a.split('/').cmp(b.split('/')))
        } else {
            lasts.max()
        };
        let next = self.marker.as_ref().and(last).map(str::to_owned);
        self.objects.retain(|object| !start.is_done(object.key()));
        self.prefixes.retain(|prefix| !start.is_done(prefix));
        let objects = self.objects.iter().map(ListedObject::key);
        if objects.chain(self.prefixes.iter().map(String::as_str)).any(|name| start.is_before_start(name)) {
            return Err(ListingError::IgnoresStart);
        }
        if self.objects.is_empty() && self.prefixes.is_empty() {
            return Ok((ListPage::default(), self.marker));
        }
        // Azure does not document its order; within a page we sort by bytes.
        self.objects.sort_unstable_by(|a, b| a.key().cmp(b.key()));
        self.objects.dedup_by(|a, b| a.key() == b.key());
        self.prefixes.sort_unstable();
        // Continuing from where this page began would list the same page again and again.
        if next.as_deref().is_some_and(|next| start.is_done(next)) {
            return Err(ListingError::IgnoresStart);
        }
        let (objects, prefixes) = (self.objects, self.prefixes);
        Ok((ListPage { objects, prefixes, next, ..ListPage::default() }, None))
    }

    /// The page as the server gave it, continued with its marker.
    pub(super) fn into_followed_page(self) -> ListingAnswer {
        match self.marker {
            Some(marker) if self.objects.is_empty() && self.prefixes.is_empty() => ListingAnswer::More(marker),
            next => {
                let (objects, prefixes) = (self.objects, self.prefixes);
                ListingAnswer::Page(ListPage { objects, prefixes, next, ..ListPage::default() })
            }
        }
    }
}

#[cfg(test)]
mod tests;
