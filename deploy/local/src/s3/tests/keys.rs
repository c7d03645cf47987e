//! Keys are exact bytes: in requests, in answers and in listings.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use proptest::prelude::{any, prop_assert, prop_assert_eq, proptest};

use super::server;
use crate::s3::encoding;

/// Characters that S3 clients escape in paths and signatures: all but the unreserved characters.
pub(super) const ESCAPED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');
const ESCAPED_IN_PATH: &AsciiSet = &ESCAPED.remove(b'/');

fn odd_keys() -> Vec<String> {
    let odd = [
        "a//b",
        "./x",
        "../y",
        "a/../b",
        "a/./b",
        "/lead",
        "//lead",
        "/",
        "dir/",
        "dir//",
        " outer spaces ",
        "a+b",
        "a b",
        "%2F",
        "a%2Fb",
        "a%20b",
        "?",
        "a?b=c&d",
        "#",
        "a#b",
        "*",
        "back\\slash",
        "new\nline",
        "tab\t",
        "quote\"",
        "it's",
        "<tag>&amp;",
        "]]>",
        "~tilde",
        "a:b@c;d=e,f$g!h(i)|^`{}[]",
        "\u{1F600}/emoji",
        "caf\u{e9}",
        "cafe\u{301}",
        "CASE",
        "case",
        "\u{7f}",
        "\u{1}",
        "cr\rlf\n",
        "http://host/x",
        ".",
        "..",
    ];
    let longest = ["k".repeat(1024), "\u{1F600}".repeat(256)];
    odd.into_iter().map(str::to_owned).chain(longest).collect()
}

fn path(key: &str) -> String {
    format!("/bucket/{}", utf8_percent_encode(key, ESCAPED_IN_PATH))
}

/// The names in `<Key>` elements, decoded as a client decodes `encoding-type=url`.
fn listed(document: &str) -> Vec<String> {
    let names = document.split("<Key>").skip(1).filter_map(|rest| rest.split_once("</Key>"));
    names.map(|(name, _)| decoded(name)).collect()
}

fn decoded(name: &str) -> String {
    percent_decode_str(&name.replace('+', " ")).decode_utf8().unwrap().into_owned()
}

#[tokio::test]
async fn odd_keys_are_written_listed_read_and_deleted_unchanged() {
    let (server, client) = server().await;
    let mut keys = odd_keys();
    for key in &keys {
        let answer = client.send("PUT", &path(key), &[], key.as_bytes()).await;
        assert_eq!(answer.status, 200, "{key:?}: {}", answer.text());
    }

    keys.sort();
    let stored: Vec<_> = server.objects("bucket").into_iter().map(|(key, _, _)| key).collect();
    assert_eq!(stored, keys);
    let listing = client.get("/bucket?list-type=2&encoding-type=url").await.text().into_owned();
    assert_eq!(listed(&listing), keys);

    for key in &keys {
        let answer = client.get(&path(key)).await;
        assert_eq!((answer.status, answer.body.as_slice()), (200, key.as_bytes()), "{key:?}");
        assert_eq!(client.send("HEAD", &path(key), &[], b"").await.status, 200, "{key:?}");
        assert_eq!(client.send("DELETE", &path(key), &[], b"").await.status, 204, "{key:?}");
    }
    assert!(server.objects("bucket").is_empty());
}

#[tokio::test]
async fn a_listing_continues_after_every_odd_key() {
    let (server, client) = server().await;
    let mut keys = odd_keys();
    keys.sort();
    server.put_many("bucket", keys.iter().map(|key| (key.as_str(), "")));

    for pair in keys.windows(2) {
        let after = utf8_percent_encode(&pair[0], ESCAPED);
        let target = format!("/bucket?list-type=2&encoding-type=url&max-keys=1&start-after={after}");
        assert_eq!(listed(&client.get(&target).await.text()), pair[1..]);
    }
}

#[tokio::test]
async fn without_an_encoding_names_are_escaped_as_xml() {
    let (server, client) = server().await;
    server.put("bucket", "<tag>&\"+%2F", "");
    let listing = client.get("/bucket?list-type=2").await.text().into_owned();
    assert!(listing.contains("<Key>&lt;tag&gt;&amp;&quot;+%2F</Key>"), "{listing}");
}

#[tokio::test]
async fn a_key_of_more_than_1024_bytes_is_refused() {
    let (_server, client) = server().await;
    let answer = client.send("PUT", &path(&"k".repeat(1025)), &[], b"").await;
    assert!(answer.text().contains("KeyTooLong"), "{}", answer.text());
}

#[test]
fn the_url_encoding_is_that_of_aws() {
    assert_eq!(encoding::url("test_file(3).png"), "test_file%283%29.png");
    assert_eq!(encoding::url("a b+c/d%e~f*g-h_i.j"), "a+b%2Bc/d%25e%7Ef*g-h_i.j");
    assert_eq!(encoding::url("\u{e4}\n"), "%C3%A4%0A");
}

proptest! {
    #[test]
    fn the_url_encoding_can_be_decoded(key in any::<String>()) {
        let encoded = encoding::url(&key);
        prop_assert!(encoded.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.*/+%".contains(&byte)));
        prop_assert_eq!(decoded(&encoded), key);
    }

    #[test]
    fn a_token_contains_the_name_it_continues_after(key in any::<String>()) {
        prop_assert_eq!(encoding::name_of(&encoding::token_after(&key)), Some(key));
    }
}
