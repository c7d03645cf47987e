//! Listings as Google writes them, and as broken servers do.

use serde_json::json;

use super::*;

fn listing(keys: &[&str], prefixes: &[&str], token: Option<&str>) -> Listing {
    let items: Vec<_> = keys.iter().map(|key| json!({"name": key, "size": "1", "generation": "7"})).collect();
    let mut body = json!({"kind": "storage#objects", "items": items, "prefixes": prefixes});
    if let Some(token) = token {
        body["nextPageToken"] = token.into();
    }
    parse(body.to_string().as_bytes()).unwrap()
}

fn names(page: &ListPage) -> (Vec<&str>, Vec<&str>) {
    let keys = page.objects.iter().map(|object| object.key()).collect();
    (keys, page.prefixes.iter().map(String::as_str).collect())
}

fn page(listing: Listing, after: Option<&str>, limit: usize) -> ListPage {
    match listing.into_page(after, limit).unwrap() {
        ListingAnswer::Page(page) => page,
        ListingAnswer::More(token) => panic!("a page, not the token {token}"),
    }
}

#[test]
fn googles_answer_is_read() {
    let body = r#"{"kind": "storage#objects", "nextPageToken": "CgRi", "prefixes": ["a/"], "items": [
        {"name": "a \"b\"\n\u00e9\ud83d\ude00", "size": "18446744073709551615", "generation": "1795370466369321",
         "updated": "2026-11-22T18:01:06.369273Z", "md5Hash": "x", "acl": [{"entity": "e"}]}]}"#;
    let page = page(parse(body.as_bytes()).unwrap(), None, 10);
    let [object] = page.objects.as_slice() else { panic!("one object") };
    assert_eq!((object.key(), object.meta.size), ("a \"b\"\né😀", u64::MAX));
    assert_eq!(object.meta.etag.as_deref(), Some("1795370466369321"));
    assert_eq!(object.meta.modified_at.unwrap().as_microsecond(), 1_795_370_466_369_273);
    assert_eq!(page.next.as_deref(), Some("a/\u{10FFFF}"));
}

#[test]
fn an_empty_answer_is_a_page_only_if_its_kind_is_a_listing() {
    assert_eq!(page(parse(br#"{"kind":"storage#objects"}"#).unwrap(), None, 1), ListPage::default());
    for body in ["{}", "[]", "null", r#"{"kind":"storage#object"}"#, r#"{"items":[]}"#, "<html>", "\u{1}"] {
        assert_eq!(parse(body.as_bytes()).err(), Some(ListingError::NotAListing), "{body}");
    }
    let whole = r#"{"kind":"storage#objects","items":[{"name":"a","size":"1"}]}"#;
    for end in 0..whole.len() {
        assert_eq!(parse(&whole.as_bytes()[..end]).err(), Some(ListingError::CutShort), "{}", &whole[..end]);
    }
    for item in [r#"{"size":"1"}"#, r#"{"name":"a","size":"-1"}"#, r#"{"name":5,"size":"1"}"#] {
        let body = format!(r#"{{"kind":"storage#objects","items":[{item}]}}"#);
        assert_eq!(parse(body.as_bytes()).err(), Some(ListingError::NotAListing), "{item}");
    }
}

#[test]
fn the_start_key_is_dropped_and_one_more_entry_is_requested() {
    assert_eq!(limits(2, None), (2, 2));
    assert_eq!(limits(2, Some("b")), (2, 3));
    assert_eq!(limits(1_000, Some("b")), (999, 1_000));
    assert_eq!(limits(0, None), (1, 1));

    let found = page(listing(&["b", "c", "d"], &[], Some("t")), Some("b"), 2);
    assert_eq!((names(&found).0, found.next.as_deref()), (vec!["c", "d"], Some("d")));
    // The start key was deleted meanwhile: the extra entry is left for the next page.
    let found = page(listing(&["ba", "c", "d"], &[], None), Some("b"), 2);
    assert_eq!((names(&found).0, found.next.as_deref()), (vec!["ba", "c"], Some("c")));
}

#[test]
fn a_page_over_its_limit_is_cut_in_the_order_of_keys_and_prefixes() {
    for (limit, keys, prefixes, next) in [
        (1, vec!["a"], vec![], Some("a")),
        (2, vec!["a"], vec!["b/"], Some("b/\u{10FFFF}")),
        (3, vec!["a", "b0"], vec!["b/"], Some("b0")),
        (4, vec!["a", "b0"], vec!["b/", "d/"], Some("d/\u{10FFFF}")),
        (5, vec!["a", "b0", "e"], vec!["b/", "d/"], None),
    ] {
        let found = page(listing(&["a", "b0", "e"], &["b/", "d/"], None), None, limit);
        assert_eq!((names(&found), found.next.as_deref()), ((keys, prefixes), next), "{limit}");
    }
}

#[test]
fn an_empty_page_continues_with_its_token() {
    assert_eq!(listing(&[], &[], Some("t")).into_page(None, 1), Ok(ListingAnswer::More("t".into())));
    assert_eq!(listing(&["b"], &[], Some("t")).into_page(Some("b"), 1), Ok(ListingAnswer::More("t".into())));
    assert_eq!(page(listing(&["b"], &[], None), Some("b"), 1), ListPage::default());
}

#[test]
fn a_listing_that_does_not_advance_is_refused() {
    for (keys, prefixes, after) in [
        (vec!["b", "a"], vec![], None),
        (vec!["a", "a"], vec![], None),
        (vec!["a"], vec![], Some("b")),
        (vec!["b", "b"], vec![], Some("b")),
        (vec![], vec!["b/", "a/"], None),
    ] {
        let read = listing(&keys, &prefixes, Some("t")).into_page(after, 10);
        assert_eq!(read, Err(ListingError::DoesNotAdvance), "{keys:?} {prefixes:?} after {after:?}");
    }
}

#[test]
fn a_prefix_that_was_listed_is_not_listed_again() {
    let after = Some("m/\u{10FFFF}");
    let found = page(listing(&["n"], &["m/", "o/"], None), after, 10);
    assert_eq!(names(&found), (vec!["n"], vec!["o/"]));
    // The prefix is listed if the range begins inside it.
    let found = page(listing(&["n"], &["m/"], None), Some("m/5"), 10);
    assert_eq!(names(&found), (vec!["n"], vec!["m/"]));
}

#[test]
fn what_is_optional_may_be_missing_or_of_another_type() {
    let read = |body: serde_json::Value| parse(body.to_string().as_bytes()).map(|listing| page(listing, None, 10));
    let found = read(json!({"items": [
        {"name": "a"},
        {"name": "b", "size": 7, "generation": 12, "updated": "yesterday"},
        {"name": "c", "size": null, "generation": null, "updated": null},
    ], "nextPageToken": ""}))
    .unwrap();
    let sizes: Vec<Option<u64>> = found.objects.iter().map(|object| object.meta.known_size()).collect();
    assert_eq!((sizes, found.next), (vec![None, Some(7), None], None));
    assert_eq!(found.objects[1].meta.etag.as_deref(), Some("12"));
    assert_eq!(read(json!({})).unwrap_err(), ListingError::NotAListing);
    assert_eq!(read(json!({"kind": "storage#buckets", "items": []})).unwrap_err(), ListingError::NotAListing);
    assert_eq!(read(json!({"kind": "storage#objects"})), Ok(ListPage::default()));
}
