//! Builds listing documents and reads them with the parser.

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

fn url(text: &str) -> String {
    percent_encoding::utf8_percent_encode(text, percent_encoding::NON_ALPHANUMERIC).to_string().replace("%20", "+")
}

fn document(
    keys: &[String],
    prefixes: &[String],
    truncated: bool,
    write: impl Fn(&str) -> String,
    encoding: &str,
) -> String {
    let mut xml = String::from(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<ListBucketResult xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"><Name>b</Name><Prefix>p</Prefix>",
    );
    xml.push_str(&format!("<IsTruncated>{truncated}</IsTruncated>"));
    for (n, key) in keys.iter().enumerate() {
        xml.push_str(&format!("\n  <Contents><Key>{}</Key><LastModified>2026-01-02T03:04:05.678Z</LastModified><ETag>&quot;e{n}&quot;</ETag><Size>{n}</Size><Owner><ID>Key</ID><DisplayName/></Owner></Contents>", write(key)));
    }
    for prefix in prefixes {
        xml.push_str(&format!("<CommonPrefixes><Prefix>{}</Prefix></CommonPrefixes>", write(prefix)));
    }
    xml.push_str(encoding);
    xml.push_str("</ListBucketResult>\n");
    xml
}

fn sorted(mut keys: Vec<String>) -> Vec<String> {
    keys.sort();
    keys.dedup();
    keys
}

fn keys(page: &ListPage) -> Vec<String> {
    page.objects.iter().map(|object| object.key().to_owned()).collect()
}

const URL: &str = "<EncodingType>url</EncodingType>";

proptest! {
    #[test]
    fn every_key_reads_back_from_every_spelling(
        names in prop::collection::vec("\\PC{1,40}|[\\x01-\\x7f]{1,40}|[ +%/&<]{1,9}", 0..20),
        folders in prop::collection::vec("[\\x20-\\x7e]{0,9}/", 0..5),
        numeric: bool,
    ) {
        let (names, folders) = (sorted(names), sorted(folders));
        for xml in [
            document(&names, &folders, false, |key| escape(key, numeric), ""),
            document(&names, &folders, false, url, URL),
        ] {
            let page = read_listing(xml.as_bytes()).unwrap();
            prop_assert_eq!(keys(&page), names.clone());
            prop_assert_eq!(&page.prefixes, &folders);
            for (n, object) in page.objects.iter().enumerate() {
                prop_assert_eq!(object.meta.size, n as u64);
                prop_assert_eq!(object.meta.etag.clone(), Some(format!("e{n}")));
                prop_assert_eq!(object.meta.modified_at.unwrap().as_millisecond(), 1_767_323_045_678);
            }
        }
    }

    #[test]
    fn a_listing_cut_anywhere_is_never_a_page(cut in 0.0..1.0f64) {
        let xml = document(&["a".into(), "ü".into()], &["c/".into()], false, url, URL);
        let whole = xml.trim_end().len() as f64;
        let part = &xml.as_bytes()[..(whole * cut) as usize];
        let error = parse(part, None).unwrap_err();
        prop_assert!(matches!(error, ListingError::CutShort | ListingError::NotAListing), "{error:?}");
    }
}

#[test]
fn plus_signs_are_spaces_only_if_the_answer_is_marked_as_encoded() {
    let xml = |encoding| document(&["a+b%20c".into()], &[], false, str::to_owned, encoding);
    let key = |encoding| keys(&read_listing(xml(encoding).as_bytes()).unwrap()).remove(0);
    assert_eq!(key(URL), "a b c");
    assert_eq!(key(""), "a+b%20c");
}

#[test]
fn outer_spaces_of_keys_are_kept() {
    let xml = document(&[" x ".into()], &[], false, str::to_owned, "");
    assert_eq!(keys(&read_listing(xml.as_bytes()).unwrap()), [" x "]);
}

fn page(names: &[&str], folders: &[&str], truncated: bool, after: Option<&str>) -> Result<ListPage, ListingError> {
    let owned = |texts: &[&str]| texts.iter().map(|&text| text.to_owned()).collect::<Vec<_>>();
    let xml = document(&owned(names), &owned(folders), truncated, url, URL);
    let request = ListRequest { after, limit: 1_000, delimiter: Some("/"), ..ListRequest::default() };
    parse(xml.as_bytes(), None).unwrap().into_page(&request).map(|answer| answer.page().expect("a page"))
}

#[test]
fn the_cursor_is_the_last_key_or_the_end_of_the_last_prefix() {
    assert_eq!(page(&["a", "b"], &[], false, None).unwrap().next, None);
    assert_eq!(page(&["a", "b"], &[], true, None).unwrap().next.as_deref(), Some("b"));
    assert_eq!(page(&["a", "z"], &["m/"], true, None).unwrap().next.as_deref(), Some("z"));
    assert_eq!(page(&["a"], &["m/"], true, None).unwrap().next.as_deref(), Some("m/\u{10FFFF}"));
    assert!("m/\u{10FFFF}" > "m/zzz" && "m/\u{10FFFF}" < "m0");
}

#[test]
fn a_listing_that_does_not_advance_is_refused() {
    assert_eq!(page(&["a", "b"], &[], true, Some("b")), Err(ListingError::DoesNotAdvance));
    assert_eq!(page(&["b", "c"], &[], true, Some("b")), Err(ListingError::IncludesStart));
    assert_eq!(page(&["a", "b"], &[], false, Some("a")), Err(ListingError::IncludesStart));
    assert_eq!(page(&["b", "a"], &[], false, None), Err(ListingError::DoesNotAdvance));
    assert_eq!(page(&[], &["m/"], true, Some("m/\u{10FFFF}")), Err(ListingError::DoesNotAdvance));
    assert_eq!(page(&[], &[], true, None), Err(ListingError::EmptyPage));
    assert!(page(&["c"], &[], true, Some("b")).is_ok());
}

#[test]
fn a_prefix_is_listed_once() {
    let after = Some("m/\u{10FFFF}");
    assert_eq!(page(&["z"], &["m/", "n/"], false, after).unwrap().prefixes, ["n/"]);
}

#[test]
fn a_body_that_is_not_a_listing_is_distinguished_from_one_cut_short() {
    assert_eq!(parse(b"", None), Err(ListingError::CutShort));
    assert_eq!(parse(b"<html><body>hello</body></html>", None), Err(ListingError::NotAListing));
    assert_eq!(parse(b"<ListBucketResult><IsTruncated>false</IsTruncated>", None), Err(ListingError::CutShort));
    assert_eq!(parse(b"<ListBucketResult></ListBucketResult>", None), Err(ListingError::Lacks("content")));
    assert_eq!(parse(b"<Error><Code>SlowDown</Code></Error>", None), Err(ListingError::Refused("SlowDown".into())));
    assert_eq!(parse(b"\xff\xff<", None), Err(ListingError::NotAListing));
}
