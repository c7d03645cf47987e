//! Listings: pages, prefixes and common prefixes, compared with a simple model.

use std::collections::BTreeSet;

use proptest::prelude::{ProptestConfig, Strategy, prop, prop_assert, prop_assert_eq, proptest};

use super::server;
use crate::s3::buckets::Query;
use crate::s3::{Buckets, Object};

/// Reads all pages of a listing: all names in order, and the sizes of the pages.
fn list_all(buckets: &Buckets, prefix: &str, delimiter: Option<&str>, limit: usize) -> (Vec<String>, Vec<usize>) {
    let (mut names, mut sizes, mut after) = (Vec::new(), Vec::new(), None);
    loop {
        let query = Query { prefix, delimiter, after: after.as_deref(), limit };
        let page = buckets.list("bucket", query).unwrap();
        let mut found = page.common_prefixes;
        found.extend(page.objects.into_iter().map(|(key, _)| key));
        found.sort();
        sizes.push(found.len());
        names.append(&mut found);
        match page.next_after {
            Some(next) => {
                assert!(after.as_ref() < Some(&next), "the listing does not advance after {next:?}");
                after = Some(next);
            }
            None => return (names, sizes),
        }
    }
}

/// The expected names of a listing, from a check of every key.
fn expected(keys: &BTreeSet<String>, prefix: &str, delimiter: Option<&str>) -> Vec<String> {
    let matching = keys.iter().filter_map(|key| Some((key, key.strip_prefix(prefix)?)));
    let names =
        matching.map(|(key, rest)| match delimiter.and_then(|delimiter| Some((delimiter, rest.find(delimiter)?))) {
            Some((delimiter, at)) => key[..prefix.len() + at + delimiter.len()].to_owned(),
            None => key.clone(),
        });
    names.collect::<BTreeSet<_>>().into_iter().collect()
}

fn key() -> impl Strategy<Value = String> {
    // Few characters, so that keys share prefixes; the last character has no successor.
    prop::collection::vec(prop::sample::select(vec!['a', 'b', '/', '0', '\u{10ffff}']), 1..6)
        .prop_map(String::from_iter)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    #[test]
    fn pages_together_are_the_whole_listing(
        keys in prop::collection::btree_set(key(), 0..30),
        prefix in prop::sample::select(vec!["", "a", "a/", "/", "b/a", "\u{10ffff}"]),
        delimiter in prop::sample::select(vec![None, Some("/"), Some("\u{10ffff}"), Some("a/")]),
        limit in 1usize..5,
    ) {
        let buckets = Buckets::default();
        buckets.create("bucket");
        buckets.put_many("bucket", keys.iter().map(|key| (key.clone(), Object::new(""))));

        let (names, sizes) = list_all(&buckets, prefix, delimiter, limit);
        prop_assert_eq!(names, expected(&keys, prefix, delimiter));
        let (last, full) = sizes.split_last().unwrap();
        prop_assert!(full.iter().all(|size| *size == limit) && *last <= limit);
        prop_assert!(full.is_empty() || *last > 0);
    }
}

#[tokio::test]
async fn a_listing_continues_with_its_token() {
    let (server, client) = server().await;
    server.put_many("bucket", ["a~?>", "b", "d/1", "d/2", "e"].map(|key| (key, "")));
    let first = client.get("/bucket?list-type=2&delimiter=%2F&max-keys=3").await.text().into_owned();
    assert!(first.contains("<IsTruncated>true</IsTruncated>"), "{first}");
    assert!(first.contains("<KeyCount>3</KeyCount>"), "{first}");
    assert!(first.contains("<CommonPrefixes><Prefix>d/</Prefix></CommonPrefixes>"), "{first}");

    let token = first.split("NextContinuationToken>").nth(1).unwrap().trim_end_matches("</");
    let token = percent_encoding::utf8_percent_encode(token, super::keys::ESCAPED);
    let second = client.get(&format!("/bucket?list-type=2&delimiter=%2F&continuation-token={token}")).await;
    assert!(second.text().contains("<IsTruncated>false</IsTruncated>"), "{}", second.text());
    assert!(second.text().contains("<KeyCount>1</KeyCount>"), "{}", second.text());
    assert!(second.text().contains("<Key>e</Key>"), "{}", second.text());
    assert_eq!(server.calls()[1].start_after.as_deref(), Some("d/"));
}

#[tokio::test]
async fn a_made_up_token_is_refused() {
    let (_server, client) = server().await;
    let answer = client.get("/bucket?list-type=2&continuation-token=%21").await;
    assert_eq!(answer.status, 400);
    assert!(answer.text().contains("InvalidArgument"), "{}", answer.text());
}
