//! Input that costs far more than its size: objects, file filters and keys.

use std::io::Write;

use serde_json::json;

const MIB: usize = 1024 * 1024;

/// Maximum size of a zstd block in bytes. A run of one byte is stored as that byte.
const BLOCK: u32 = 128 * 1024;

/// Objects that are small in storage but large in memory: by zstd window, compression ratio or number of items. 48 of
/// the 72 contain tasks, [`HEAVY_TASKS`] in total; the others contain only spaces.
pub fn objects() -> Vec<(String, Vec<u8>)> {
    let mut objects = Vec::new();
    // Arrays with objects of about 200 bytes (4 MB each), and with objects of three bytes.
    let rows = json!(vec![json!({"text": "x".repeat(200), "n": 1}); 19_000]).to_string();
    objects.extend((0..16).map(|n| (format!("array-{n:02}.json"), rows.clone().into_bytes())));
    let tiny = format!("[{}{{}}]", "{},".repeat(99_000));
    objects.extend((0..16).map(|n| (format!("tiny-{n:02}.json"), tiny.clone().into_bytes())));
    let labels = format!("{{\"data\":{{}},\"annotations\":[{}{{}}]}}", "{},".repeat(3_000));
    objects.extend((0..16).map(|n| (format!("labels-{n:02}.json"), labels.clone().into_bytes())));
    // gzip with a compression ratio of 1,000.
    let blank = gzip(&vec![b' '; 60 * MIB]);
    objects.extend((0..8).map(|n| (format!("gzip-{n:02}.json.gz"), blank.clone())));
    // zstd as written with `--long=26`: a window of 64 MiB, and a single segment of the size of its content.
    for (name, frame) in [("window", zstd(&[0, 16 << 3], 480)), ("segment", zstd(&[0xa0, 0, 0, 0xc0, 3], 480))] {
        objects.extend((0..8).map(|n| (format!("{name}-{n:02}.json.zst"), frame.clone())));
    }
    objects
}

/// Number of tasks in [`objects`].
pub const HEAVY_TASKS: u64 = 16 * (19_000 + 99_001 + 1);

/// A zstd frame with a window of 128 MiB (`--long=27`), the largest that Longshore accepts, and 120 MiB of spaces.
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

/// Compresses bytes with the fastest level.
pub fn gzip(content: &[u8]) -> Vec<u8> {
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    packed.write_all(content).expect("writing to a vector does not fail");
    packed.finish().expect("writing to a vector does not fail")
}

/// A JSON array of this many numbers. Each has eight bytes here, and 131 kB when the database prints it.
pub fn numbers(count: usize) -> String {
    format!("[{}0]", "1e131071,".repeat(count))
}

/// File filters that ran for minutes before their programs had a limit. Some are accepted and slow, others are refused
/// when they are saved.
pub const FILTERS: [&str; 5] = [
    "(?:[0-9a-z]{0,60}){0,60}!",
    r"(?:\w\w?){300}$",
    "[01]*1[01]{900}x",
    r"(?:(?=(?:(?=(?:(?=.).)*).)*).)*x",
    r"(?=(?:[0-9a-z]{0,30}){0,30}!)x",
];

/// Keys of 1,004 random bytes `0` and `1`, so that the cache of a regex automaton does not help.
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
