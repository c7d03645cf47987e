//! Extensions and compression.

use std::io::Write;

use flate2::Compression;
use flate2::write::GzEncoder;

use super::super::{Item, Limits, Unusable, read};
use super::place;

/// `{"text": "sea"}` and a line feed, by `gzip`.
const SEA_GZ: &[u8] = b"\x1f\x8b\x08\0\0\0\0\0\0\x03\xab\x56\x2a\x49\xad\x28\x51\xb2\x52\x50\x2a\x4e\x4d\x54\xaa\xe5\x02\0\xcb\x67\x77\x8a\x10\0\0\0";
/// The same by `zstd --check`.
const SEA_ZST: &[u8] = b"\x28\xb5\x2f\xfd\x04\x68\x81\0\0{\"text\": \"sea\"}\n\xa7\x22\x84\xbb";
/// `{"text": "land"}` and a line feed by `zstd --no-check`.
const LAND_ZST: &[u8] = b"\x28\xb5\x2f\xfd\0\x58\x89\0\0{\"text\": \"land\"}\n";
/// A frame that says nothing, as tools append for their indexes.
const SKIPPED_ZST: &[u8] = b"\x50\x2a\x4d\x18\x03\0\0\0abc";

fn get(key: &str, bytes: &[u8]) -> Result<Vec<Item>, Unusable> {
    read(key, bytes, &Limits::default())
}

fn data(key: &str, bytes: &[u8]) -> Vec<String> {
    get(key, bytes).unwrap().into_iter().map(|item| item.data).collect()
}

pub(super) fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

#[test]
fn the_extension_decides_what_is_read() {
    for key in ["a", "a.json", "A.JSON", "a.b.jsonl", "x.y/a.ndjson", "x.png/a", ".json", "a.", "a\n.json"] {
        assert_eq!(data(key, b"{}"), ["{}"], "{key}");
    }
    for key in ["a.png", "a.json.txt", "a.parquet", "a.json.bz2", "a.csv.gz", "a.txt.zst", "a.gz.gz", ".DS_Store"] {
        let unusable = get(key, b"{}").unwrap_err();
        assert_eq!(unusable.reason.as_str(), "unsupported_extension", "{key}");
        assert!(unusable.detail.contains("\"Treat every bucket object as a source file\""));
    }
}

#[test]
fn compressed_objects_are_unpacked_by_extension() {
    for key in ["a.json.gz", "a.jsonl.gz", "a.ndjson.GZ", "a.gz", ".gz"] {
        assert_eq!(data(key, SEA_GZ), [r#"{"text": "sea"}"#], "{key}");
    }
    for key in ["a.json.zst", "a.jsonl.zst", "a.zst"] {
        assert_eq!(data(key, SEA_ZST), [r#"{"text": "sea"}"#], "{key}");
    }
}

#[test]
fn compressed_objects_under_a_plain_name_are_known_by_their_first_bytes() {
    assert_eq!(data("a.json", SEA_GZ), [r#"{"text": "sea"}"#]);
    assert_eq!(data("a", SEA_ZST), [r#"{"text": "sea"}"#]);
}

#[test]
fn members_and_frames_follow_each_other() {
    assert_eq!(data("a.gz", &[SEA_GZ, SEA_GZ].concat()).len(), 2);
    let frames = [SEA_ZST, SKIPPED_ZST, LAND_ZST, SEA_ZST, SKIPPED_ZST].concat();
    assert_eq!(data("a.zst", &frames), [r#"{"text": "sea"}"#, r#"{"text": "land"}"#, r#"{"text": "sea"}"#]);
}

#[test]
fn damage_is_corrupt_compression() {
    for (key, whole) in [("a.gz", SEA_GZ), ("a.zst", SEA_ZST)] {
        for end in 1..whole.len() {
            assert_eq!(place(get(key, &whole[..end])).0, "corrupt_compression", "{key} cut at {end}");
        }
        assert_eq!(place(get(key, &[whole, b"x"].concat())).0, "corrupt_compression", "{key} with more");
        assert_eq!(place(get(key, b"{}")), ("corrupt_compression", None, None));
        assert_eq!(place(get(key, b"")).0, "empty");
    }
    let mut sea = SEA_ZST.to_vec();
    sea[14] ^= 1;
    assert_eq!(place(get("a.zst", &sea)).0, "corrupt_compression");
    let mut sea = SEA_GZ.to_vec();
    sea[30] ^= 1;
    assert_eq!(place(get("a.gz", &sea)).0, "corrupt_compression");
    let cut = &SKIPPED_ZST[..SKIPPED_ZST.len() - 1];
    assert_eq!(place(get("a.zst", cut)).0, "corrupt_compression");
}

#[test]
fn a_bomb_is_too_large_and_not_unpacked() {
    let limits = Limits { max_unpacked_bytes: 1000, ..Limits::default() };
    let full = vec![b' '; 1000];
    let zstd = |bytes: &[u8]| ruzstd::encoding::compress_to_vec(bytes, ruzstd::encoding::CompressionLevel::Fastest);
    assert_eq!(place(read("a.gz", &gzip(&full), &limits)).0, "empty");
    assert_eq!(place(read("a.zst", &zstd(&full), &limits)).0, "empty");
    let bomb = vec![b' '; 10_000_000];
    // What comes after the limit is not even looked at.
    let bombs = [("a.gz", [gzip(&bomb), b"x".to_vec()].concat()), ("a.zst", [zstd(&bomb), b"x".to_vec()].concat())];
    for (key, bytes) in bombs {
        assert_eq!(place(read(key, &bytes, &limits)), ("too_large", None, None));
    }
}

#[test]
fn a_fault_in_a_packed_object_is_placed_in_the_unpacked_text() {
    let unusable = get("a.json.gz", &gzip(b"{\"a\": oops}")).unwrap_err();
    assert_eq!((unusable.byte_offset, unusable.excerpt.as_deref()), (Some(6), Some("{\"a\": oops}")));
}
