//! The rows that an item becomes.

use longshore_db::host::{NewAnnotation, NewPrediction, NewTask};

use crate::{Item, PredictionItem};

/// The task of an item, with its annotations and predictions.
pub fn new_task<'a>(key: &'a str, item: &'a Item) -> NewTask<'a> {
    NewTask {
        key,
        row_index: item.is_numbered.then_some(item.row_index),
        data: &item.data,
        meta: item.meta(),
        allow_skip: item.allow_skip(),
        annotations: item
            .annotations()
            .iter()
            .map(|annotation| NewAnnotation {
                result: annotation.result.as_deref(),
                was_cancelled: annotation.was_cancelled,
                ground_truth: annotation.ground_truth,
                lead_time: annotation.lead_time,
                completed_by: annotation.completed_by,
                details: annotation.details.as_deref(),
            })
            .collect(),
        predictions: item.predictions().iter().map(new_prediction).collect(),
    }
}

fn new_prediction(prediction: &PredictionItem) -> NewPrediction<'_> {
    let details = prediction.details.as_deref();
    NewPrediction {
        result: prediction.result.as_deref(),
        score: prediction.score,
        model_version: prediction.model_version.as_deref(),
        cluster: details.and_then(|details| details.cluster),
        neighbors: details.and_then(|details| details.neighbors.as_deref()),
        mislabeling: details.map_or(0.0, |details| details.mislabeling),
        model: details.and_then(|details| details.model),
        model_run: details.and_then(|details| details.model_run),
    }
}
