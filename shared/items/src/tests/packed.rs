//! Extensions and compression.

use std::io::Write;

use flate2::Compression;
use flate2::write::GzEncoder;

use super::super::{Item, Limits, Unusable};
use super::{place, read, read_within};

/// `{"text": "sea"}` and a line feed, by `gzip`.
const SEA_GZ: &[u8] = b"\x1f\x8b\x08\0\0\0\0\0\0\x03\xab\x56\x2a\x49\xad\x28\x51\xb2\x52\x50\x2a\x4e\x4d\x54\xaa\xe5\x02\0\xcb\x67\x77\x8a\x10\0\0\0";
/// The same by `zstd --check`.
const SEA_ZST: &[u8] = b"\x28\xb5\x2f\xfd\x04\x68\x81\0\0{\"text\": \"sea\"}\n\xa7\x22\x84\xbb";
/// `{"text": "land"}` and a line feed by `zstd --no-check`.
const LAND_ZST: &[u8] = b"\x28\xb5\x2f\xfd\0\x58\x89\0\0{\"text\": \"land\"}\n";
/// A skippable frame, which tools append for their indexes.
const SKIPPED_ZST: &[u8] = b"\x50\x2a\x4d\x18\x03\0\0\0abc";

fn get(key: &str, bytes: &[u8]) -> Result<Vec<Item>, Unusable> {
    read(key, bytes, &Limits::default())
}

fn data(key: &str, bytes: &[u8]) -> Vec<String> {
    get(key, bytes).unwrap().into_iter().map(|item| item.data.to_string()).collect()
}

pub(in super::super) fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

#[test]
fn names_of_other_formats_are_refused_and_the_content_decides_about_the_rest() {
    let json = [
        "a",
        "a.json",
        "A.JSON",
        "a.b.jsonl",
        "x.y/a.ndjson",
        "x.png/a",
        ".json",
        "a.",
        "a\n.json",
        "a.jl",
        "a.ldjson",
    ];
    let unknown = ["export_2024.11.05", "task-v1.2", "a.json.bak", "a.json.txt", "img.png:meta", "a.gz", "a.json.zst"];
    for key in json.iter().chain(&unknown) {
        assert_eq!(data(key, b"{}"), ["{}"], "{key}");
    }
    for key in ["a.png", "a.parquet", "a.json.bz2", "a.csv.gz", "a.JPG.zst", "a.tar.gz"] {
        let unusable = get(key, b"{}").unwrap_err();
        assert_eq!(unusable.reason.as_str(), "unsupported_extension", "{key}");
        assert!(unusable.detail.contains("\"Treat every bucket object as a source file\""));
    }
    for key in ["export_2024.11.05", "notes.txt"] {
        for content in [&b"hello"[..], b"\x89PNG", &gzip(b"hello")] {
            assert_eq!(place(get(key, content)).0, "unsupported_extension", "{key}");
        }
        assert_eq!(place(get(key, b"{oops}")).0, "invalid_json", "it begins like JSON");
    }
}

/// Goal: what tools pack again or unpack on the way is read. Method: each way of packing under each kind of name.
#[test]
fn packed_and_plain_objects_under_any_name_are_read_by_their_content() {
    let zstd = |bytes: &[u8]| ruzstd::encoding::compress_to_vec(bytes, ruzstd::encoding::CompressionLevel::Fastest);
    let sea: &[u8] = b"{\"text\": \"sea\"}";
    let contents =
        [sea.to_vec(), gzip(sea), zstd(sea), gzip(&gzip(sea)), zstd(&gzip(sea)), gzip(&zstd(&gzip(&zstd(sea))))];
    for key in ["a.json", "a.json.gz", "a.json.zst", "a.jsonl.gz.gz", "a", "2024.05"] {
        for content in &contents {
            assert_eq!(data(key, content), [r#"{"text": "sea"}"#], "{key}");
        }
    }
    let often = (0..5).fold(sea.to_vec(), |packed, _| gzip(&packed));
    let unusable = get("a.json", &often).unwrap_err();
    assert!(unusable.reason.as_str() == "corrupt_compression" && unusable.detail.contains("4 times"), "{unusable}");
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
        assert_eq!(place(get(key, b"oops")), ("corrupt_compression", None, None));
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
    // Bytes after the limit are not read.
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

/// A zstd frame of one-byte runs: the header, then blocks of up to 128 KiB of spaces.
fn frame(header: &[u8], bytes: usize) -> Vec<u8> {
    const BLOCK: usize = 128 * 1024;
    let mut frame = [b"\x28\xb5\x2f\xfd", header].concat();
    let mut left = bytes;
    while left > 0 {
        let size = left.min(BLOCK);
        left -= size;
        let block = (size << 3) | 0b10 | usize::from(left == 0);
        frame.extend_from_slice(&(block as u32).to_le_bytes()[..3]);
        frame.push(b' ');
    }
    frame
}

const MIB: usize = 1024 * 1024;

/// The header of a frame of unstated size, with a window of 2 MiB that is doubled this many times.
fn windowed(doublings: u8) -> Vec<u8> {
    vec![0, (11 + doublings) << 3]
}

/// The header of a frame whose window is its content, of this many bytes.
fn single_segment(bytes: usize) -> Vec<u8> {
    [&[0xa0][..], &(bytes as u32).to_le_bytes()].concat()
}

/// Goal: the window counts as memory, even if the stored object is small. Method: frames as `zstd --long=26` makes
/// them, whose window holds the whole content, with budgets for one copy of the content but not for two.
#[test]
fn the_window_of_a_zstd_frame_is_counted_before_it_is_filled() {
    let limits = Limits::default();
    for frame in [frame(&windowed(5), 60 * MIB), frame(&single_segment(60 * MIB), 60 * MIB)] {
        assert!(frame.len() < 2_000);
        assert_eq!(place(read_within(1 << 30, "a.zst", &frame, &limits)).0, "empty");
        let unusable = read_within(70 * MIB, "a.zst", &frame, &limits).unwrap_err();
        assert!(unusable.for_memory, "{unusable:?}");
    }
    // A large window that a small frame does not fill takes no memory.
    assert_eq!(place(read_within(4 * MIB, "a.zst", &frame(&windowed(6), MIB), &limits)).0, "empty");
}

#[test]
fn the_header_of_a_zstd_frame_is_checked_before_the_frame() {
    let limits = Limits::default();
    let truncated = frame(&single_segment(300 * MIB), MIB);
    let unusable = read("a.zst", &truncated, &limits).unwrap_err();
    assert_eq!((unusable.reason.as_str(), unusable.for_memory), ("too_large", false), "{unusable}");
    let window = read("a.zst", &frame(&windowed(8), MIB), &limits).unwrap_err();
    assert!(window.reason.as_str() == "too_large" && window.detail.contains("--long"), "{window}");
    let dictionary = read("a.zst", &frame(&[0b01, 11 << 3, 7], MIB), &limits).unwrap_err();
    assert!(dictionary.reason.as_str() == "corrupt_compression" && dictionary.detail.contains("dictionary"));
    // Stated sizes that are too small or too large are noticed when the frame is unpacked.
    for size in [10, 200 * MIB] {
        let lying = [frame(&single_segment(size), MIB), SEA_ZST.to_vec()].concat();
        assert!(read("a.zst", &lying, &limits).is_err(), "{size}");
    }
}

#[test]
fn a_million_frames_and_members_take_no_more_memory_than_one() {
    let limits = Limits::default();
    let frames = SKIPPED_ZST.repeat(300_000);
    assert_eq!(place(read_within(4 * MIB, "a.zst", &frames, &limits)).0, "empty");
    let tiny = frame(&[0x20, 1], 1).repeat(100_000);
    assert_eq!(place(read_within(2 * MIB, "a.zst", &tiny, &limits)).0, "empty");
    // Each has a large window, which a decoder that is used again would allocate immediately.
    let wide = frame(&windowed(6), 10).repeat(1_000);
    assert_eq!(place(read_within(MIB, "a.zst", &wide, &limits)).0, "empty");
    let members = gzip(b"").repeat(1_000);
    assert_eq!(place(read_within(MIB, "a.gz", &members, &limits)).0, "empty");
    let members = gzip(b"").repeat(100_001);
    assert_eq!(place(read_within(8 * MIB, "a.gz", &members, &limits)).0, "too_large");
}

#[test]
fn a_thousandfold_gzip_is_unpacked_only_as_far_as_memory_is_reserved() {
    let limits = Limits::default();
    let packed = gzip(&vec![b' '; 20 * MIB]);
    assert_eq!(place(read_within(21 * MIB, "a.gz", &packed, &limits)).0, "empty", "its length says what it takes");
    let unusable = read_within(10 * MIB, "a.gz", &packed, &limits).unwrap_err();
    assert!(unusable.for_memory, "{unusable:?}");
    let two = [packed.clone(), gzip(b" ")].concat();
    assert!(read_within(21 * MIB, "a.gz", &two, &limits).unwrap_err().for_memory);
    assert_eq!(place(read_within(64 * MIB, "a.gz", &two, &limits)).0, "empty");
}
