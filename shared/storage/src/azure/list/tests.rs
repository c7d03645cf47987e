//! Builds listing documents and reads them with the parser.

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use proptest::prelude::*;

use super::*;

fn escape(text: &str, numeric: bool) -> String {
    let mut out = String::new();
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            c if c.is_control() || (numeric && !c.is_ascii_alphanumeric()) => {
                out.push_str(&format!("&#x{:x};", u32::from(c)));
            }
            c => out.push(c),
        }
    }
    out
}

/// How a listing writes a name.
#[derive(Clone, Copy)]
enum Spelling {
    Text { numeric: bool },
    Encoded,
}

impl Spelling {
    fn element(self, name: &str) -> String {
        match self {
            Self::Text { numeric } => format!("<Name>{}</Name>", escape(name, numeric)),
            Self::Encoded => format!("<Name Encoded=\"true\">{}</Name>", utf8_percent_encode(name, NON_ALPHANUMERIC)),
        }
    }
}

fn document(names: &[String], prefixes: &[String], marker: &str, spelling: Spelling) -> String {
    let mut xml = String::from(
        "\u{FEFF}<?xml version=\"1.0\" encoding=\"utf-8\"?><EnumerationResults ServiceEndpoint=\"https://a/\" ContainerName=\"c\"><Prefix>p</Prefix><MaxResults>9</MaxResults><Blobs>",
    );
    for prefix in prefixes {
        xml.push_str(&format!("<BlobPrefix>{}</BlobPrefix>", spelling.element(prefix)));
    }
    for (n, name) in names.iter().enumerate() {
        xml.push_str(&format!(
            "<Blob>{}<Properties><Last-Modified>Fri, 26 Jun 2026 23:39:12 GMT</Last-Modified><Etag>0x{n}</Etag><Content-Length>{n}</Content-Length><Content-MD5 /><BlobType>BlockBlob</BlobType></Properties><OrMetadata><Name>x</Name></OrMetadata></Blob>",
            spelling.element(name)
        ));
    }
    xml.push_str(&format!("</Blobs><NextMarker>{marker}</NextMarker></EnumerationResults>"));
    xml
}

fn sorted(mut names: Vec<String>) -> Vec<String> {
    names.sort();
    names.dedup();
    names
}

fn owned(texts: &[&str]) -> Vec<String> {
    texts.iter().map(|&text| text.to_owned()).collect()
}

fn keys(page: &ListPage) -> Vec<&str> {
    page.objects.iter().map(|object| object.key()).collect()
}

const TEXT: Spelling = Spelling::Text { numeric: false };

proptest! {
    #[test]
    fn every_name_reads_back_from_every_spelling(
        names in prop::collection::vec("\\PC{1,40}|[\\x01-\\x7f]{1,40}|[ +%/&<]{1,9}", 0..20),
        folders in prop::collection::vec("[\\x20-\\x7e]{0,9}/", 0..5),
        numeric: bool,
    ) {
        let (names, folders) = (sorted(names), sorted(folders));
        for spelling in [Spelling::Text { numeric }, Spelling::Encoded] {
            let listing = parse(document(&names, &folders, "", spelling).as_bytes()).unwrap();
            let (page, more) = listing.into_page(&Start::Beginning).unwrap();
            prop_assert_eq!(keys(&page), names.iter().map(String::as_str).collect::<Vec<_>>());
            prop_assert_eq!(&page.prefixes, &folders);
            prop_assert_eq!((&page.next, more), (&None, None));
            for (n, object) in page.objects.iter().enumerate() {
                prop_assert_eq!(object.meta.size, n as u64);
                prop_assert_eq!(object.meta.etag.clone(), Some(format!("0x{n}")));
                prop_assert_eq!(object.meta.modified_at.unwrap().as_second(), 1_782_517_152);
            }
        }
    }

    #[test]
    fn a_listing_cut_anywhere_is_never_a_page(cut in 0.0..1.0f64) {
        let xml = document(&owned(&["a", "ü"]), &owned(&["c/"]), "m", Spelling::Encoded);
        let part = &xml.as_bytes()[..(xml.len() as f64 * cut) as usize];
        let error = parse(part).unwrap_err();
        prop_assert!(matches!(error, ListingError::CutShort | ListingError::NotAListing), "{error:?}");
    }

    #[test]
    fn no_input_makes_the_parser_panic(
        bytes in prop::collection::vec(any::<u8>(), 0..300),
        xml in "(<(/?)(EnumerationResults|Blobs|Blob|BlobPrefix|Name|Properties|NextMarker)( Encoded=\"true\")?(/?)>|&#?x?[0-9a-z]{0,4};|[a-z%]{1,3}){0,30}",
    ) {
        for bytes in [bytes.as_slice(), xml.as_bytes()] {
            let page = parse(bytes).and_then(|listing| listing.into_page(&Start::after(Some("m"), "", None)));
            if let Ok((page, _)) = page {
                prop_assert!(page.objects.iter().all(|object| !object.key().is_empty()));
            }
        }
    }
}

#[test]
fn only_names_marked_as_encoded_are_unescaped() {
    let name = |spelling: Spelling| {
        let listing = parse(document(&owned(&["a%20b+"]), &[], "", spelling).as_bytes()).unwrap();
        listing.into_page(&Start::Beginning).unwrap().0.objects.remove(0).meta.key
    };
    assert_eq!(name(TEXT), "a%20b+");
    assert_eq!(name(Spelling::Encoded), "a%20b+");
    let xml = document(&owned(&["x"]), &[], "", TEXT).replace("<Name>x<", "<Name Encoded=\"true\">a%0Ab%EF%BF%BE<");
    let (page, _) = parse(xml.as_bytes()).unwrap().into_page(&Start::Beginning).unwrap();
    assert_eq!(keys(&page), ["a\nb\u{FFFE}"]);
}

#[test]
fn outer_spaces_of_names_are_kept() {
    let listing = parse(document(&owned(&[" x "]), &[], "", TEXT).as_bytes()).unwrap();
    assert_eq!(keys(&listing.into_page(&Start::Beginning).unwrap().0), [" x "]);
}

fn page(
    names: &[&str],
    prefixes: &[&str],
    marker: &str,
    after: Option<&str>,
) -> Result<(ListPage, Option<String>), ListingError> {
    let xml = document(&owned(names), &owned(prefixes), marker, TEXT);
    parse(xml.as_bytes()).unwrap().into_page(&Start::after(after, "", Some("/")))
}

#[test]
fn the_cursor_is_the_last_name_of_a_page_that_is_not_the_last() {
    let next = |names: &[&str], prefixes: &[&str], marker| page(names, prefixes, marker, None).unwrap().0.next;
    assert_eq!(next(&["a", "b"], &[], ""), None);
    assert_eq!(next(&["a", "b"], &[], "2!8!MDAw"), Some("b".into()));
    assert_eq!(next(&["a", "z"], &["m/"], "more"), Some("z".into()));
    assert_eq!(next(&["a"], &["m/"], "more"), Some("m/".into()));
}

#[test]
fn the_name_in_the_cursor_is_not_listed_twice() {
    let (listed, more) = page(&["b", "c"], &[], "", Some("b")).unwrap();
    assert_eq!((keys(&listed), more), (vec!["c"], None));
    let (listed, _) = page(&["z"], &["m/", "n/"], "", Some("m/")).unwrap();
    assert_eq!(listed.prefixes, ["n/"]);
}

#[test]
fn a_page_without_new_names_continues_with_the_marker() {
    assert_eq!(page(&["b"], &[], "more", Some("b")).unwrap(), (ListPage::default(), Some("more".into())));
    assert_eq!(page(&[], &[], "more", None).unwrap(), (ListPage::default(), Some("more".into())));
    assert_eq!(page(&[], &[], "", None).unwrap(), (ListPage::default(), None));
}

#[test]
fn a_server_that_starts_from_the_beginning_again_is_refused() {
    assert_eq!(page(&["a", "b", "c"], &[], "more", Some("b")), Err(ListingError::IgnoresStart));
    assert_eq!(page(&["c"], &["a/"], "", Some("b")), Err(ListingError::IgnoresStart));
}

#[test]
fn a_page_is_in_byte_order_and_the_cursor_follows_the_servers_order() {
    // In UTF-16 order.
    let (listed, _) = page(&["😀", "\u{FF08}"], &[], "more", None).unwrap();
    assert_eq!(keys(&listed), ["\u{FF08}", "😀"]);
    assert_eq!(listed.next.as_deref(), Some("\u{FF08}"));
}

#[test]
fn folders_of_a_hierarchical_account_are_marked() {
    let xml = document(&owned(&["d", "d/x"]), &[], "more", TEXT);
    let kind = |kind| format!("<Content-Length>0</Content-Length><ResourceType>{kind}</ResourceType>");
    let xml = xml
        .replace("<Content-Length>0</Content-Length>", &kind("directory"))
        .replace("<Content-Length>1</Content-Length>", &kind("file"));
    let listing = parse(xml.as_bytes()).unwrap();
    assert!(listing.is_hierarchical);
    let (listed, _) = listing.into_page(&Start::Beginning).unwrap();
    assert_eq!((keys(&listed), listed.next.as_deref()), (vec!["d", "d/x"], Some("d/x")));
    let marked: Vec<bool> = listed.objects.iter().map(|object| object.is_folder).collect();
    assert_eq!(marked, [true, false]);
}

#[test]
fn what_is_not_the_current_blob_is_left_out() {
    let xml = document(&owned(&["a", "a", "b", "c", "d"]), &[], "", TEXT);
    let xml = xml
        .replacen("<Name>a</Name>", "<Name>a</Name><Snapshot>2026-06-26T23:39:12.0000000Z</Snapshot>", 1)
        .replace("<Name>b</Name>", "<Name>b</Name><Deleted>true</Deleted>")
        .replace("<Name>c</Name>", "<Name>c</Name><IsCurrentVersion>false</IsCurrentVersion>")
        .replace("<Name>d</Name>", "<Name>d</Name><Deleted>false</Deleted><IsCurrentVersion>true</IsCurrentVersion>");
    let (listed, _) = parse(xml.as_bytes()).unwrap().into_page(&Start::Beginning).unwrap();
    assert_eq!(keys(&listed), ["a", "d"]);
    assert_eq!(listed.objects[0].meta.size, 1, "the blob, not its snapshot");
}

#[test]
fn what_is_optional_may_be_missing() {
    let xml = "<EnumerationResults><Blobs><Blob><Name>a</Name></Blob><Blob><Name>b</Name><Properties><Content-Length/>\
               </Properties></Blob></Blobs></EnumerationResults>";
    let (listed, more) = parse(xml.as_bytes()).unwrap().into_page(&Start::Beginning).unwrap();
    assert_eq!((keys(&listed), &listed.next, more), (vec!["a", "b"], &None, None));
    assert!(listed.objects.iter().all(|object| object.meta.known_size().is_none()));
}

fn folders(names: &[&str], prefixes: &[&str], after: Option<&str>) -> Result<ListPage, ListingError> {
    let xml = document(&owned(names), &owned(prefixes), "more", TEXT);
    let xml = xml.replace("<BlobType>", "<ResourceType>file</ResourceType><BlobType>");
    parse(xml.as_bytes()).unwrap().into_page(&Start::after(after, "", Some("/"))).map(|(page, _)| page)
}

#[test]
fn the_cursor_of_a_hierarchical_account_is_the_last_name_folder_by_folder() {
    // By bytes `m-1` sorts first, but folder by folder it comes later.
    let next = |after| folders(&["m-1"], &["m/"], after).unwrap().next;
    assert_eq!(next(None).as_deref(), Some("m-1"));
    assert_eq!(next(Some("m/")).as_deref(), Some("m-1"));
}

#[test]
fn a_page_whose_cursor_is_where_it_began_is_refused() {
    assert_eq!(folders(&["m-1"], &["m/"], Some("m-1")), Err(ListingError::IgnoresStart));
    // This listing does not show that names are ordered folder by folder: an error is better than a loop.
    assert_eq!(page(&["m-1"], &["m/"], "more", Some("m/")), Err(ListingError::IgnoresStart));
}

#[test]
fn a_body_that_is_not_a_listing_is_distinguished_from_one_cut_short() {
    assert_eq!(parse(b""), Err(ListingError::CutShort));
    assert_eq!(parse(b"<html><body>hello</body></html>"), Err(ListingError::NotAListing));
    assert_eq!(parse(b"<EnumerationResults><Blobs/>"), Err(ListingError::CutShort));
    assert_eq!(parse(b"<EnumerationResults></EnumerationResults>"), Err(ListingError::Lacks("content")));
    assert_eq!(parse(b"<EnumerationResults><Blobs/></EnumerationResults>"), Ok(Listing::default()));
    assert_eq!(parse(b"\xff\xff<"), Err(ListingError::NotAListing));
    let nameless = "<EnumerationResults><Blobs><Blob></Blob></Blobs><NextMarker/></EnumerationResults>";
    assert_eq!(parse(nameless.as_bytes()), Err(ListingError::Lacks("name")));
}
