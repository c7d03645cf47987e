//! What a tenant may send that costs much more than its size: objects, file filters and keys.

use std::io::Write;

use serde_json::json;

const MIB: usize = 1024 * 1024;

/// A zstd block is this long at most; runs of one byte are stored as that byte.
const BLOCK: u32 = 128 * 1024;

/// Objects that are small as stored, but not once they are read: by window, by ratio, by the number of their items.
/// 48 of the 72 hold tasks, [`HEAVY_TASKS`] in all; the others are blank.
pub fn objects() -> Vec<(String, Vec<u8>)> {
    let mut objects = Vec::new();
    // Arrays of 4 MB with objects of some 200 bytes, and with ones of three bytes.
    let rows = json!(vec![json!({"text": "x".repeat(200), "n": 1}); 19_000]).to_string();
    objects.extend((0..16).map(|n| (format!("array-{n:02}.json"), rows.clone().into_bytes())));
    let tiny = format!("[{}{{}}]", "{},".repeat(99_000));
    objects.extend((0..16).map(|n| (format!("tiny-{n:02}.json"), tiny.clone().into_bytes())));
    let labels = format!("{{\"data\":{{}},\"annotations\":[{}{{}}]}}", "{},".repeat(3_000));
    objects.extend((0..16).map(|n| (format!("labels-{n:02}.json"), labels.clone().into_bytes())));
    // A thousandfold gzip.
    let blank = gzip(&vec![b' '; 60 * MIB]);
    objects.extend((0..8).map(|n| (format!("gzip-{n:02}.json.gz"), blank.clone())));
    // zstd as of `--long=26`: a window of 64 MiB, and a single segment of as many bytes as it holds.
    for (name, frame) in [("window", zstd(&[0, 16 << 3], 480)), ("segment", zstd(&[0xa0, 0, 0, 0xc0, 3], 480))] {
        objects.extend((0..8).map(|n| (format!("{name}-{n:02}.json.zst"), frame.clone())));
    }
    objects
}

/// How many tasks [`objects`] become.
pub const HEAVY_TASKS: u64 = 16 * (19_000 + 99_001 + 1);

/// A zstd frame with a window of 128 MiB, as of `--long=27`, and 120 MiB of spaces: the largest that is taken.
pub fn largest_window() -> Vec<u8> {
    zstd(&[0, 17 << 3], 960)
}

/// A zstd frame with this header and this many blocks of spaces.
fn zstd(header: &[u8], blocks: u32) -> Vec<u8> {
    let mut frame = [b"\x28\xb5\x2f\xfd", header].concat();
    for block in 0..blocks {
        let head = BLOCK << 3 | 0b10 | u32::from(block + 1 == blocks);
        frame.extend_from_slice(&head.to_le_bytes()[..3]);
        frame.push(b' ');
    }
    frame
}

/// Packs bytes, quickly.
pub fn gzip(content: &[u8]) -> Vec<u8> {
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    packed.write_all(content).expect("a vector takes all");
    packed.finish().expect("a vector takes all")
}

/// A JSON array of this many numbers that take eight bytes each, and 131 kB each once the database prints them.
pub fn numbers(count: usize) -> String {
    format!("[{}0]", "1e131071,".repeat(count))
}

/// File filters that took a machine for minutes when their programs were not bounded: the first as it was seen in an
/// attack. Some are accepted and slow, others are refused when they are saved.
pub const FILTERS: [&str; 5] = [
    "(?:[0-9a-z]{0,60}){0,60}!",
    r"(?:\w\w?){300}$",
    "[01]*1[01]{900}x",
    r"(?:(?=(?:(?=(?:(?=.).)*).)*).)*x",
    r"(?=(?:[0-9a-z]{0,30}){0,30}!)x",
];

/// Keys of 1,004 bytes of 0 and 1, no two of which look alike to an automaton.
pub fn keys(count: u64) -> Vec<String> {
    (1..=count)
        .map(|seed| {
            let mut bits = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15);
            let mut next = || {
                bits ^= bits << 13;
                bits ^= bits >> 7;
                bits ^= bits << 17;
                if bits & 1 == 1 { '1' } else { '0' }
            };
            (0..1_004).map(|_| next()).collect()
        })
        .collect()
}
