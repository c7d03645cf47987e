//! Each field of annotations and predictions with many values, one object for each: Label Studio itself decides which are
//! stored, and how.
//!
//! If it drops the labels of a task or leaves out the task, Longshore leaves out the value, the prediction, or the object.

mod rows;
mod table;

use std::collections::BTreeMap;

use longshore_rig::label_studio::Version;
use serde_json::{Value, json};

use super::case::Case;
use super::compare::Places;
use super::run;
use super::store::Store;
use crate::label_studio::Twins;
use table::{Field, Outcome, Refused};

/// Rating beside choices, so that results that are texts and numbers become regions.
const CONFIG: &str = r#"<View><Image name="image" value="$image"/><Rating name="stars" toName="image"/>
    <Choices name="label" toName="image"><Choice value="cat"/><Choice value="dog"/></Choices></View>"#;

/// What Longshore did with an object, beside what Label Studio did.
struct Object {
    field: &'static Field,
    value: &'static str,
}

impl Object {
    fn key(&self, number: usize) -> String {
        format!("{number:03}-{}.json", self.field.name)
    }

    /// A task with one annotation or prediction, which has the value.
    fn text(&self) -> String {
        let Field { labels, name, .. } = self.field;
        let result = if *name == "result" { "" } else { r#""result": [], "# };
        format!(r#"{{"data": {{"image": "s3://x/1.jpg"}}, "{labels}": [{{{result}"{name}": {}}}]}}"#, self.value)
    }

    /// What differs without being listed, if anything does.
    fn fault(&self, theirs: &Value, ours: &Value) -> Option<String> {
        let is_stored = |task: &Value| task.get(self.field.labels).is_some();
        let listed = self.field.differing.iter().find(|(value, _)| *value == self.value).map(|(_, outcome)| *outcome);
        let is_so = match listed {
            None if is_stored(theirs) => theirs == ours,
            None => match self.field.refused {
                Refused::Value => is_stored(ours),
                Refused::Prediction => !ours.is_null() && !is_stored(ours),
                Refused::Object => ours.is_null(),
            },
            Some(Outcome::OursStores) => !is_stored(theirs) && is_stored(ours),
            Some(Outcome::OursLeavesOut) => is_stored(theirs) && is_stored(ours) && theirs != ours,
            Some(Outcome::TheirsCountsTwice) => {
                let mut counted = ours.clone();
                counted["cancelled_annotations"] = json!(1.0);
                is_stored(theirs) && *theirs == counted
            }
        };
        let Field { labels, name, .. } = self.field;
        let fault = || format!("{labels} {name} {}\n    theirs {theirs}\n    ours   {ours}", self.value);
        (!is_so).then(fault)
    }
}

/// All values of the table.
fn objects() -> Vec<Object> {
    let values = |field: &'static Field| {
        let differing = field.differing.iter().map(|(value, _)| *value);
        field.values.iter().copied().chain(differing).map(move |value| Object { field, value })
    };
    table::FIELDS.iter().flat_map(values).collect()
}

/// Goal: a value is stored, changed or refused as Label Studio's serializers do. Method: one bucket with an object for
/// each value, twin projects, each synced twice.
async fn compare(version: Version) {
    let twins = Twins::of_version(version, &[], |options| options.env("LONGSHORE_LEASE_SECONDS", "60")).await;
    rows::insert(&twins).await;
    let objects = objects();
    let bucket = Case::new("fields").config(CONFIG);
    let bucket = objects
        .iter()
        .enumerate()
        .fold(bucket, |bucket, (number, object)| bucket.object(&object.key(number), object.text()));
    let [theirs, ours] = run::places(&twins, &Store::S3, &bucket).await;

    let mut faults = Vec::new();
    let mut counts: BTreeMap<(bool, bool), usize> = BTreeMap::new();
    for round in 1..=2 {
        let task = |places: &Places, key: &str| places.get(&format!("{round} task {key}")).cloned().unwrap_or_default();
        for (number, object) in objects.iter().enumerate() {
            let key = object.key(number);
            let (theirs, ours) = (task(&theirs, &key), task(&ours, &key));
            *counts.entry((theirs.get(object.field.labels).is_some(), ours.is_null())).or_default() += 1;
            faults.extend(object.fault(&theirs, &ours).map(|fault| format!("sync {round}: {fault}")));
        }
    }
    assert!(faults.is_empty(), "{} faults:\n{}", faults.len(), faults.join("\n"));
    let count = |stored, refused| counts.get(&(stored, refused)).copied().unwrap_or_default() / 2;
    assert!(count(true, false) > 100 && count(false, false) > 100 && count(false, true) > 5, "{counts:?}");
    let refused = count(true, true) + count(false, true);
    let status = ours["1 storage"].as_str().unwrap_or_default();
    assert!(status.contains(&format!(", {refused} invalid")), "all others are in quarantine: {status}");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "starts Label Studio: make test-label-studio"]
async fn each_field_has_the_values_that_label_studio_stores() {
    compare(Version::Newest).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "starts Label Studio: make test-label-studio"]
async fn each_field_has_the_values_that_the_oldest_label_studio_stores() {
    compare(Version::Oldest).await;
}

/// Goal: results of predictions become regions in a project from before Label Studio stored parsed configs, too. Method:
/// take it away.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "starts Label Studio: make test-label-studio"]
async fn a_project_whose_config_is_not_parsed_gets_the_same_regions() {
    let twins = Twins::start().await;
    let results = [r#""cat""#, "4", r#"{"choices": ["dog"]}"#, r#"{"other": 1}"#]
        .map(|result| format!(r#"{{"result": {result}}}"#));
    let text = format!(r#"{{"data": {{"image": "i"}}, "predictions": [{}]}}"#, results.join(", "));
    twins.rig.s3.create_bucket("unparsed");
    twins.rig.s3.put("unparsed", "1.json", text.into_bytes());
    let [theirs, ours] = [twins.import("unparsed", json!({})).await, twins.import("unparsed", json!({})).await];
    for twin in [&theirs, &ours] {
        let config = Some(&json!({"label_config": CONFIG})).cloned();
        twins.studio.send("PATCH", &format!("/api/projects/{}/", twin.project), config.as_ref()).await;
    }
    let db = twins.rig.database().await;
    db.batch_execute("UPDATE public.project SET parsed_label_config = NULL").await.expect("an update");
    twins.sync_theirs(&theirs).await;
    twins.sync_ours(&ours).await;
    let unparsed = "SELECT parsed_label_config IS NULL FROM public.project WHERE id = $1::bigint";
    assert!(db.query_one(unparsed, &[&ours.project]).await.expect("a project").get::<_, bool>(0), "still not parsed");
    let [theirs, ours] = [twins.rows(&theirs).await, twins.rows(&ours).await];
    let predictions = &theirs["tasks"][0]["predictions"];
    assert!(predictions[0]["result"][0]["value"] == json!({"choices": ["cat"]}), "{predictions}");
    assert_eq!(ours["tasks"], theirs["tasks"]);
}
