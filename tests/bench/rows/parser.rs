//! Row 11: the listing parser, compared with copying the same bytes, and its allocations.

use std::hint::black_box;

use anyhow::{Context, Result, ensure};
use stats_alloc::Region;
use tokio::time::Instant;

use crate::ALLOCATOR;
use crate::bed::TestBed;
use crate::figure::{Figure, whole};
use crate::server::bucket::{Bucket, Form};
use crate::server::listing::{Query, answer};

const KEYS: usize = 1_000;

/// Long enough that the clock and the first runs do not show.
const SECONDS: f64 = 1.0;

pub async fn measure(_: &TestBed) -> Result<Vec<Figure>> {
    let bucket = Bucket::new(Form::Flat, 1_000_000);
    let (body, _) = answer(&bucket, &bucket.to_string(), &Query::read("list-type=2&encoding-type=url"));
    let page = longshore_storage::read_listing(&body).context("a page that can be read")?;
    ensure!(page.objects.len() == KEYS, "{} of {KEYS} keys", page.objects.len());
    drop(page);

    let mut copy = vec![0; body.len()];
    // In turns, so that a slow moment of the machine hits both.
    let (mut parsing, mut copying, mut pages) = (0.0, 0.0, 0_u32);
    while parsing < SECONDS {
        let started = Instant::now();
        black_box(longshore_storage::read_listing(black_box(&body)));
        parsing += started.elapsed().as_secs_f64();
        let started = Instant::now();
        for _ in 0..COPIES {
            copy.copy_from_slice(black_box(&body));
            black_box(&mut copy);
        }
        copying += started.elapsed().as_secs_f64() / f64::from(COPIES);
        pages += 1;
    }
    let region = Region::new(ALLOCATOR);
    let page = longshore_storage::read_listing(&body);
    let used = region.change();
    drop(page);

    let rate = |seconds: f64| body.len() as f64 * f64::from(pages) / seconds;
    let (parsed, copied) = (rate(parsing), rate(copying));
    let mib = |bytes: f64| whole(bytes / f64::from(1 << 20));
    Ok(vec![
        Figure::new(11, "listing parser: bytes/s ÷ copying the same bytes", parsed / copied)
            .conditions(format!(
                "a page of {KEYS} keys, {} bytes, one thread: {} MiB/s or {} keys/s; copied {} MiB/s",
                whole(body.len() as f64),
                mib(parsed),
                whole(f64::from(pages) * KEYS as f64 / parsing),
                mib(copied)
            ))
            .raw("parsed_bytes_per_second", parsed)
            .raw("copied_bytes_per_second", copied),
        Figure::new(11, "listing parser: allocations per key", used.allocations as f64 / KEYS as f64)
            .conditions(format!(
                "and {} reallocations per page; {} bytes allocated per key",
                used.reallocations,
                used.bytes_allocated / KEYS
            ))
            .raw("reallocations_per_page", used.reallocations)
            .raw("bytes_per_key", used.bytes_allocated / KEYS),
    ])
}

/// Copies per measurement, because one copy is too fast for the clock.
const COPIES: u32 = 16;
