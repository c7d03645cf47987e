//! Imports of images (blob mode) and of task files, and imports again without new objects.

use anyhow::{Result, ensure};
use serde_json::{Value, json};

use super::copy::copy_seconds;
use super::pair::{EndedSync, Pair, Twin};
use crate::figure::{Figure, whole};

/// Imports of Longshore into new projects, whose median counts: one takes less than a second.
const ROUNDS: usize = 3;

/// How much larger the second size of a row is, and how much smaller the one below.
const LARGER: u64 = 10;
const SMALLER: u64 = 5;

const AGAIN: &str = "images again, nothing new: Label Studio's seconds ÷ Longshore's";
const SOON_AGAIN: &str = "the same, soon after: Label Studio's seconds ÷ Longshore's";

fn settings() -> Value {
    json!({"use_blob_urls": true, "recursive_scan": true, "prefix": "images"})
}

fn put_images(pair: &Pair<'_>, bucket: &str, objects: u64) {
    pair.s3.put_many(bucket, (0..objects).map(|n| (format!("images/{n:010}.jpg"), "x")));
}

/// An import of fewer images, to show how the ratio grows.
pub(super) async fn fewer_images(pair: &Pair<'_>, objects: u64) -> Result<Vec<Figure>> {
    let objects = objects / SMALLER;
    put_images(pair, "fewer", objects);
    let mut fast = Vec::new();
    for _ in 0..ROUNDS {
        fast.push(pair.sync_ours(pair.import("fewer", settings()).await?).await?.seconds);
    }
    let slow = pair.sync_theirs(pair.import("fewer", settings()).await?).await?;
    let measure = "import of fewer images: Label Studio's seconds ÷ Longshore's";
    Ok(vec![compared(1, measure, objects, &slow, median(fast))])
}

/// A second sync of more images than the rows before, which Longshore imports for both: the rows are the same.
pub(super) async fn more_images_again(pair: &Pair<'_>, objects: u64) -> Result<Vec<Figure>> {
    let objects = objects * LARGER;
    put_images(pair, "more", objects);
    let twins = [pair.import("more", settings()).await?, pair.import("more", settings()).await?];
    for twin in twins {
        let ended = pair.sync_ours(twin).await?;
        ensure!(ended.count() == objects, "{} of {objects} tasks", ended.count());
    }
    again(pair, twins, objects).await
}

/// Syncs twins of Longshore and of Label Studio again.
async fn again(pair: &Pair<'_>, [ours, theirs]: [Twin; 2], objects: u64) -> Result<Vec<Figure>> {
    let (slow, mut fast, mut working) = (pair.sync_theirs(theirs).await?, Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        let ended = pair.sync_ours(ours).await?;
        ensure!(ended.count() == 0 && slow.count() == 0, "new tasks in the second sync");
        fast.push(ended.seconds);
        working.push(pair.last_seconds().await?);
    }
    let (first, median_of_all) = (fast[0], median(fast));
    let cold = compared(3, AGAIN, objects, &slow, first)
        .at_least(30.0)
        .also("; ours asks Label Studio twice: who the user is, and for the storage");
    let warm = compared(3, SOON_AGAIN, objects, &slow, median_of_all).at_least(30.0).also(&format!(
        "; median of {ROUNDS} within half a minute, in which ours need not ask Label Studio; {:.3} s from the request to the end",
        median(working)
    ));
    Ok(vec![cold, warm])
}

pub(super) async fn images(pair: &Pair<'_>, objects: u64) -> Result<Vec<Figure>> {
    put_images(pair, "images", objects);
    let settings = settings();
    let (mut fast, mut working, mut copying) = (Vec::new(), Vec::new(), Vec::new());
    let mut ours = None;
    for _ in 0..ROUNDS {
        let twin = pair.import("images", settings.clone()).await?;
        let ended = pair.sync_ours(twin).await?;
        ensure!(ended.count() == objects, "{} of {objects} tasks", ended.count());
        fast.push(ended.seconds);
        working.push(pair.last_seconds().await?);
        copying.push(copy_seconds(pair, twin).await?);
        ours = Some(twin);
    }
    let theirs = pair.import("images", settings).await?;
    let slow = pair.sync_theirs(theirs).await?;
    ensure!(slow.count() == objects, "{} of {objects} tasks", slow.count());
    let (fast, working, copying) = (median(fast), median(working), median(copying));
    let rate = |seconds: f64| whole(objects as f64 / seconds);
    let mut figures = vec![
        compared(1, "import of images: Label Studio's seconds ÷ Longshore's", objects, &slow, fast).at_least(100.0),
        Figure::new(2, "import of images: tasks/s ÷ raw COPY into the same tables", copying / working)
            .at_least(0.6)
            .conditions(format!(
                "{} objects, medians of {ROUNDS}: {} tasks/s from the request to the end ({working:.2} s, and {fast:.2} s \
                 until the answer), COPY {} tasks with links/s on one connection ({copying:.2} s)",
                whole(objects as f64),
                rate(working),
                rate(copying)
            ))
            .raw("sync_seconds", working)
            .raw("answer_seconds", fast)
            .raw("copy_seconds", copying),
    ];
    if let Some(ours) = ours {
        figures.extend(again(pair, [ours, theirs], objects).await?);
    }
    Ok(figures)
}

pub(super) async fn files(pair: &Pair<'_>, objects: u64) -> Result<Vec<Figure>> {
    let text = "A line of text to label. ".repeat(30);
    let file = |n: u64| json!({"data": {"image": format!("s3://images/images/{n:010}.jpg"), "text": text}}).to_string();
    pair.s3.put_many("files", (0..objects).map(|n| (format!("{n:010}.json"), file(n))));
    let ours = pair.import("files", json!({})).await?;
    let theirs = pair.import("files", json!({})).await?;
    let fast = pair.sync_ours(ours).await?;
    let slow = pair.sync_theirs(theirs).await?;
    ensure!((fast.count(), slow.count()) == (objects, objects), "{} and {} tasks", fast.count(), slow.count());
    let measure = "import of task files of 0.8 KB: Label Studio's seconds ÷ Longshore's";
    Ok(vec![compared(4, measure, objects, &slow, fast.seconds).at_least(30.0)])
}

/// The ratio of two syncs, both from the request until its answer.
pub(super) fn compared(row: u8, measure: &str, objects: u64, slow: &EndedSync, fast: f64) -> Figure {
    let rate = |seconds: f64| whole(objects as f64 / seconds);
    Figure::new(row, measure, slow.seconds / fast)
        .conditions(format!(
            "{} objects: {:.1} s ({}/s) and {fast:.2} s ({}/s), both from the request until its answer",
            whole(objects as f64),
            slow.seconds,
            rate(slow.seconds),
            rate(fast)
        ))
        .raw("label_studio_seconds", slow.seconds)
        .raw("longshore_seconds", fast)
}

pub(super) fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
