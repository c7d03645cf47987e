//! Exports of annotations.

use anyhow::{Result, ensure};
use serde_json::json;

use super::pair::Pair;
use super::syncs::compared;
use crate::figure::Figure;

const MEASURE: &str = "first export of annotations: Label Studio's seconds ÷ Longshore's";

pub(super) async fn measure(pair: &Pair<'_>, annotations: u64) -> Result<Vec<Figure>> {
    let result = json!([{"id": "r", "from_name": "label", "to_name": "image", "type": "choices",
        "value": {"choices": ["cat"]}}]);
    let file = |n: u64| {
        let data = json!({"image": format!("s3://images/images/{n:010}.jpg")});
        json!({"data": data, "annotations": [{"result": result, "completed_by": 1}]}).to_string()
    };
    pair.s3.put_many("annotated", (0..annotations).map(|n| (format!("{n:010}.json"), file(n))));
    pair.s3.create_bucket("exports");
    // A project for each: Label Studio keeps no links of a second target of a project.
    let mut targets = Vec::new();
    for prefix in ["theirs", "ours"] {
        let twin = pair.import("annotated", json!({})).await?;
        let ended = pair.sync_ours(twin).await?;
        ensure!(ended.count() == annotations, "{} of {annotations} annotated tasks", ended.count());
        targets.push(pair.export(twin.project, "exports", prefix).await?);
    }
    let fast = match pair.sync_ours(targets[1]).await {
        Ok(fast) => fast,
        Err(error) => return Ok(vec![Figure::without(5, MEASURE, format!("not run: {error:#}"))]),
    };
    let slow = pair.sync_theirs(targets[0]).await?;
    let objects = pair.s3.objects("exports");
    for prefix in ["theirs/", "ours/"] {
        let count = objects.iter().filter(|(key, ..)| key.starts_with(prefix)).count();
        ensure!(count as u64 == annotations, "{count} of {annotations} objects in {prefix}");
    }
    Ok(vec![compared(5, MEASURE, annotations, &slow, fast.seconds).at_least(30.0)])
}
