//! A case: what a bucket holds, how the storage and its project are set, and where both syncs differ on purpose.

use serde_json::{Value, json};

use crate::label_studio::CONFIG;

/// A key and its content. The content has `$SIDE` where both projects need different texts.
pub(crate) type Object = (String, Vec<u8>);

/// A bucket that both sync twice, and what is expected of it.
pub(crate) struct Case {
    /// Name of the bucket.
    pub(crate) name: String,
    pub(crate) objects: Vec<Object>,
    /// Stored after the first sync.
    pub(crate) later: Vec<Object>,
    /// Keys whose tasks are deleted in Label Studio after the first sync.
    pub(crate) deleted: Vec<&'static str>,
    /// Settings of the storage.
    pub(crate) settings: Value,
    /// Settings of the project.
    pub(crate) project: Value,
    /// Where both syncs differ. Nothing else may differ.
    pub(crate) differences: Vec<Difference>,
    /// Whether Label Studio chooses at random which tasks have more overlap.
    pub(crate) has_cohort: bool,
    /// Whether both list objects in an order.
    pub(crate) is_ordered: bool,
}

/// Where both syncs differ, and why.
pub(crate) struct Difference {
    /// Name of the entry in `deploy/label-studio/differences.md`.
    pub(crate) entry: &'static str,
    /// What differs, such as `1 storage` or `2 task a.json`: the number is that of the sync.
    pub(crate) at: String,
    pub(crate) theirs: Value,
    /// More values that Label Studio may have, where its value depends on an order that it does not set.
    pub(crate) or_theirs: Vec<Value>,
    pub(crate) ours: Value,
}

impl Case {
    /// An empty bucket with default settings, in a project with images and one choice.
    pub(crate) fn new(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            objects: Vec::new(),
            later: Vec::new(),
            deleted: Vec::new(),
            settings: json!({}),
            project: json!({"label_config": CONFIG}),
            differences: Vec::new(),
            has_cohort: false,
            is_ordered: true,
        }
    }

    /// The same in blob mode.
    pub(crate) fn blobs(name: &str) -> Self {
        Self::new(name).settings(json!({"use_blob_urls": true}))
    }

    pub(crate) fn object(mut self, key: &str, content: impl AsRef<[u8]>) -> Self {
        self.objects.push((key.to_owned(), content.as_ref().to_vec()));
        self
    }

    /// Objects of which only the keys matter.
    pub(crate) fn keys(self, keys: &[&str]) -> Self {
        keys.iter().fold(self, |case, key| case.object(key, "x"))
    }

    pub(crate) fn later(mut self, key: &str, content: impl AsRef<[u8]>) -> Self {
        self.later.push((key.to_owned(), content.as_ref().to_vec()));
        self
    }

    pub(crate) fn deleted(mut self, keys: &[&'static str]) -> Self {
        self.deleted.extend(keys);
        self
    }

    /// Adds settings of the storage.
    pub(crate) fn settings(mut self, settings: Value) -> Self {
        extend(&mut self.settings, settings);
        self
    }

    /// Adds settings of the project.
    pub(crate) fn project(mut self, settings: Value) -> Self {
        extend(&mut self.project, settings);
        self
    }

    pub(crate) fn config(self, label_config: &str) -> Self {
        self.project(json!({"label_config": label_config}))
    }

    pub(crate) fn with_cohort(mut self) -> Self {
        self.has_cohort = true;
        self
    }

    /// The server lists keys in any order.
    pub(crate) fn unordered(mut self) -> Self {
        self.is_ordered = false;
        self
    }

    /// A difference at one place.
    pub(crate) fn differs(mut self, entry: &'static str, at: &str, theirs: Value, ours: Value) -> Self {
        self.differences.push(Difference { entry, at: at.to_owned(), theirs, or_theirs: Vec::new(), ours });
        self
    }

    /// Label Studio's value of the difference that was added last may be one of these as well.
    pub(crate) fn or_theirs(mut self, values: impl IntoIterator<Item = Value>) -> Self {
        self.differences.last_mut().expect("a difference").or_theirs.extend(values);
        self
    }

    /// The storage's row differs after the first and the second sync: `[theirs, ours]` of each.
    pub(crate) fn ends(self, entry: &'static str, first: [&str; 2], second: [&str; 2]) -> Self {
        let row = |case: Self, at: &str, [theirs, ours]: [&str; 2]| {
            if theirs == ours { case } else { case.differs(entry, at, json!(theirs), json!(ours)) }
        };
        row(row(self, "1 storage", first), "2 storage", second)
    }

    /// A task differs after both syncs.
    pub(crate) fn task(self, entry: &'static str, key: &str, theirs: Value, ours: Value) -> Self {
        let first = self.differs(entry, &format!("1 task {key}"), theirs.clone(), ours.clone());
        first.differs(entry, &format!("2 task {key}"), theirs, ours)
    }

    /// A part of the summary differs.
    pub(crate) fn summary(self, entry: &'static str, part: &str, theirs: Value, ours: Value) -> Self {
        self.differs(entry, &format!("summary {part}"), theirs, ours)
    }
}

fn extend(settings: &mut Value, more: Value) {
    let (Some(all), Value::Object(more)) = (settings.as_object_mut(), more) else { panic!("settings are an object") };
    all.extend(more);
}
