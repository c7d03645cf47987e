//! What an import would make of single objects, for reports before a sync. Pure functions: nothing is read or written.

use std::sync::Arc;

use bytes::Bytes;
use longshore_db::host::{ControlTags, NewTask, TaskFormat};
use serde_json::{Map, Value};
use tokio_util::sync::CancellationToken;

use crate::data_key::variables;
use crate::new_task::new_task;
use crate::{Budget, Contents, DataKey, Limits, Unusable, check, read};

/// The tasks of one object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObjectTasks {
    /// How many there are.
    pub count: usize,
    /// JSON text of the first one: `data`, and `meta` if it has one. `None` if there is none.
    pub first: Option<String>,
}

/// The data key of blob tasks with this label config, and whether the config names it.
pub fn data_key(label_config: &str) -> (String, bool) {
    let key = DataKey::of(label_config);
    (key.as_str().to_owned(), !key.is_undefined())
}

/// The most data keys of a label config that are read. Configs have a few.
const MOST_DATA_KEYS: usize = 20;

/// The keys of tasks that a label config shows, in its order. Of a path such as `$a.b` or `$a[0]` it is the first name.
pub fn data_keys(label_config: &str) -> Vec<String> {
    let mut keys = Vec::new();
    for variable in variables(label_config, MOST_DATA_KEYS) {
        let name = variable.split(['.', '[']).next().unwrap_or_default().to_owned();
        if !keys.contains(&name) {
            keys.push(name);
        }
    }
    keys
}

/// JSON text of the blob task of an object with this URI.
pub fn blob_task(data_key: &str, uri: &str) -> String {
    let data = Map::from_iter([(data_key.to_owned(), Value::from(uri))]);
    Value::Object(Map::from_iter([("data".to_owned(), Value::Object(data))])).to_string()
}

/// Why an import in JSON mode would quarantine an object unread, by its key and size; `None` if it would read it.
pub fn refused_unread(key: &str, size: u64) -> Option<Unusable> {
    check(key, size, &Limits::default(), u64::MAX).err()
}

/// Whether the name of an object says that it holds JSON, plain or compressed.
pub fn is_named_json(key: &str) -> bool {
    crate::is_named_json(key)
}

/// The tasks that an import in JSON mode would make of an object, in a project with this label config.
///
/// # Errors
/// It would quarantine the object, or this many bytes of memory are too few to say.
pub fn tasks_of(key: &str, bytes: Bytes, label_config: Option<&str>, memory: usize) -> Result<ObjectTasks, Unusable> {
    let mut budget = Budget::new(memory, CancellationToken::new());
    let format = native(label_config);
    let contents = read(key, bytes, &format, &Limits::default(), &mut budget)?;
    let first = contents.items.first().map(|item| match item.meta() {
        Some(meta) => format!("{{\"data\":{},\"meta\":{meta}}}", &*item.data),
        None => format!("{{\"data\":{}}}", &*item.data),
    });
    Ok(ObjectTasks { count: contents.items.len(), first })
}

/// Tasks that a user sent, read as an import reads them from an object.
pub struct SentTasks(Contents);

impl SentTasks {
    /// Reads a list of tasks, one task, or JSON Lines.
    ///
    /// # Errors
    /// An import would quarantine such an object, or this many bytes of memory are too few.
    pub fn read(bytes: Bytes, label_config: Option<&str>, memory: usize) -> Result<Self, Unusable> {
        let mut budget = Budget::new(memory, CancellationToken::new());
        let format = native(label_config);
        Ok(Self(read("tasks.json", bytes, &format, &Limits::default(), &mut budget)?))
    }

    /// The tasks with their annotations and predictions, in order.
    pub fn tasks(&self) -> Vec<NewTask<'_>> {
        self.0.items.iter().map(|item| new_task("", item)).collect()
    }
}

/// The native format of a project with this label config.
fn native(label_config: Option<&str>) -> TaskFormat {
    TaskFormat::Native(Arc::new(label_config.map(ControlTags::of_config).unwrap_or_default()))
}

#[cfg(test)]
mod tests {
    use longshore_model::QuarantineReason;

    use super::*;

    #[test]
    fn a_report_shows_the_task_that_an_import_makes() {
        let tasks = |key, text: &str| tasks_of(key, Bytes::copy_from_slice(text.as_bytes()), None, 1024 * 1024);
        let list = tasks("a.json", r#"[{"data": {"n": 1.10}, "meta": {"a": 1}}, {"text": "b"}]"#).unwrap();
        assert_eq!((list.count, list.first.as_deref()), (2, Some(r#"{"data":{"n": 1.10},"meta":{"a": 1}}"#)));
        assert_eq!(tasks("a.json", "[]").unwrap(), ObjectTasks { count: 0, first: None });
        assert_eq!(tasks("a.json", "{").unwrap_err().reason, QuarantineReason::InvalidJson);
        let flat = r#"{"image": "i", "label": "Cat", "annotator": 1, "annotation_id": 2}"#;
        let config = r#"<View><Image name="image" value="$image"/><Choices name="label" toName="image"/></View>"#;
        let first = |config| tasks_of("a.json", flat.into(), config, 1024 * 1024).unwrap().first;
        assert_eq!(first(Some(config)).as_deref(), Some(r#"{"data":{"image":"i"}}"#));
        assert_eq!(first(None), Some(format!(r#"{{"data":{flat}}}"#)));
        assert!(refused_unread("a.png", 10).is_some() && refused_unread("a.json", 10).is_none());
        assert_eq!(blob_task("image", "s3://b/a"), r#"{"data":{"image":"s3://b/a"}}"#);
        assert_eq!(data_key(r#"<View><Image name="i" value="$pic"/></View>"#), ("pic".to_owned(), true));
        let config =
            r#"<View><Image name="i" value="$a.b"/><Text name="t" value="$a"/><Text name="u" value="$c[0]"/></View>"#;
        assert_eq!(data_keys(config), ["a", "c"]);
        assert_eq!(data_key("<View/>"), ("$undefined$".to_owned(), false));
    }
}
