//! Adds to the document what handlers do not describe themselves.

use serde_json::Value;

use super::{answers, events, examples, flat, headers, kinds, refusals, unused};

/// The document as it is served.
pub(super) fn completed(document: &utoipa::openapi::OpenApi) -> serde_json::Result<Value> {
    let mut document = serde_json::to_value(document)?;
    refusals::add(&mut document);
    answers::describe(&mut document);
    headers::add(&mut document);
    events::add(&mut document);
    // After the steps that read path parameters: until here `{kind}` is one.
    kinds::expand(&mut document);
    flat::flatten(&mut document);
    examples::add(&mut document)?;
    unused::remove(&mut document);
    Ok(document)
}
