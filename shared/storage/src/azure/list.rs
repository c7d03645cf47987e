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
    /// Folders of an account with a hierarchical namespace, which are listed like blobs.
    folders: Vec<String>,
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
    NextMarker,
    Other,
}

/// The entry of the listing that is being read.
enum Entry {
    Blob { object: ObjectMeta, is_folder: bool, stands_for_folder: bool },
    Prefix { name: String },
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
    marker: Option<String>,
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
            marker: None,
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
                if name == "NextMarker" {
                    self.element = Element::NextMarker;
                }
            }
            3 if self.in_blobs => {
                self.entry = match name {
                    "Blob" => {
                        Some(Entry::Blob { object: ObjectMeta::default(), is_folder: false, stands_for_folder: false })
                    }
                    "BlobPrefix" => Some(Entry::Prefix { name: String::new() }),
                    _ => None,
                };
            }
            4 if self.entry.is_some() => {
                self.in_properties = name == "Properties";
                self.in_metadata = name == "Metadata";
                if name == "Name" {
                    self.element = Element::Name { encoded: scanner.attribute("Encoded") == Some("true") };
                }
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
            (Element::NextMarker, _) => self.marker = Some(text),
            (Element::Name { encoded }, Some(Entry::Blob { object, .. })) => object.key = name(text, encoded)?,
            (Element::Name { encoded }, Some(Entry::Prefix { name: prefix })) => *prefix = name(text, encoded)?,
            (Element::Size, Some(Entry::Blob { object, .. })) => {
                object.size = text.trim().parse().map_err(|_| ListingError::Lacks("size"))?;
            }
            (Element::ETag, Some(Entry::Blob { object, .. })) => object.etag = bare_etag(&text),
            (Element::LastModified, Some(Entry::Blob { object, .. })) => object.modified_at = http_date(&text),
            (Element::IsFolder, Some(Entry::Blob { stands_for_folder, .. })) => {
                *stands_for_folder = text.trim().eq_ignore_ascii_case("true");
            }
            (Element::ResourceType, entry) => {
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
            self.in_metadata = false;
        }
        Ok(())
    }

    fn finish(self) -> Result<Listing, ListingError> {
        // An empty body is also cut short: an empty listing has tags.
        if self.depth > 0 || !self.is_listing {
            return Err(ListingError::CutShort);
        }
        let marker = self.marker.ok_or(ListingError::Lacks("NextMarker"))?;
        Ok(Listing { marker: (!marker.is_empty()).then_some(marker), ..self.listing })
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
            Entry::Blob { object, is_folder: true, .. } => self.folders.push(object.key),
            Entry::Blob { object, stands_for_folder, .. } => {
                self.objects.push(ListedObject { is_folder: stands_for_folder, ..object.into() });
            }
            Entry::Prefix { name } if name.is_empty() => return Err(ListingError::Lacks("name")),
            Entry::Prefix { name } => self.prefixes.push(name),
        }
        Ok(())
    }

    /// Returns the page, plus the marker to continue with if the page is empty but the listing does not end here.
    pub(super) fn into_page(mut self, start: &Start) -> Result<(ListPage, Option<String>), ListingError> {
        let lasts = [
            self.objects.last().map(ListedObject::key),
            self.prefixes.last().map(String::as_str),
            self.folders.last().map(String::as_str),
        ];
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
