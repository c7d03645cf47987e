//! Warnings: what is probably a mistake in the settings of a storage.

use std::sync::Arc;

use longshore_filter::{KeyFilter, Matched, Misreading, Skip, certain_glob, suggestions};
use longshore_items::preview;
use longshore_model::{StorageKind, StorageSettings};
use longshore_storage::filter_keys;
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use super::Subject;
use super::keys::Keys;
use super::task::FirstObject;
use crate::api::storages::names::foreign_fields;

/// How many names a warning shows.
const SHOWN: usize = 5;

/// The longest name in a warning, in characters.
const LONGEST_NAME: usize = 64;

/// Something in the settings that is probably a mistake. The storage is saved all the same, unless `strict` refuses it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub(in crate::api) struct StorageWarning {
    /// A stable code for programs.
    #[schema(example = "filter_not_from_start")]
    code: &'static str,
    /// The field to change; null if there is no single one.
    field: Option<&'static str>,
    /// What happened and what to do, as text for users.
    detail: String,
    /// The value of the field that was probably meant; null if none is known.
    suggestion: Option<String>,
}

impl StorageWarning {
    pub(super) fn new(code: &'static str, field: Option<&'static str>, detail: String) -> Self {
        Self { code, field, detail, suggestion: None }
    }

    pub(super) fn suggesting(self, suggestion: String) -> Self {
        Self { suggestion: Some(suggestion), ..self }
    }

    pub(super) fn field(&self) -> Option<&'static str> {
        self.field
    }

    pub(super) fn into_text(self) -> String {
        self.detail
    }
}

/// What the names of the sent fields show.
pub(super) fn of_fields(subject: &Subject<'_>) -> Vec<StorageWarning> {
    let kind = subject.kind();
    let ignored = |name: String| {
        let detail = format!("Storages of kind `{kind}` have no field `{name}`, so it has no effect. Leave it out.");
        StorageWarning::new("ignored_field", None, detail)
    };
    foreign_fields(kind, subject.sent).into_iter().map(ignored).collect()
}

/// What the keys show: nothing matches, or what matches does not fit the mode.
pub(super) async fn of_keys(
    settings: &StorageSettings,
    filter: &Arc<KeyFilter>,
    keys: &Keys,
    label_config: Option<&str>,
) -> Vec<StorageWarning> {
    let mut warnings = Vec::new();
    let expression = settings.regex_filter.as_deref().unwrap_or_default();
    let is_unmatched = keys.skipped_by(Skip::Regex) > 0 && keys.matched() == 0;
    if is_unmatched && let Some(warning) = meant_filter(settings, filter, keys).await {
        warnings.push(warning);
    } else if let Some(glob) = certain_glob(expression) {
        warnings.push(glob_filter(expression, glob));
    }
    if keys.matched() == 0 {
        warnings.push(nothing_matches(settings, keys));
    }
    warnings.extend(wrong_mode(settings, keys, label_config).or_else(|| all_refused(keys)));
    warnings
}

/// The warning of a filter that selects nothing, with one that selects some of the keys.
async fn meant_filter(settings: &StorageSettings, filter: &Arc<KeyFilter>, keys: &Keys) -> Option<StorageWarning> {
    let expression = settings.regex_filter.as_deref().unwrap_or_default();
    let (matched, part) = match settings.kind().data().filters_names {
        true => (Matched::Name, "file's name"),
        false => (Matched::Key, "key"),
    };
    for suggestion in suggestions(expression, &settings.connection.bucket(), matched) {
        let Ok(other) = filter.with_expression(&suggestion.expression) else { continue };
        let judged = filter_keys(&Arc::new(other), keys.samples().to_vec(), String::as_str).await;
        if judged.iter().all(|(_, skip)| skip.is_some()) {
            continue;
        }
        let meant = suggestion.expression;
        let (code, what) = match suggestion.misreading {
            Misreading::Glob => return Some(glob_filter(expression, meant)),
            Misreading::Blanks => ("filter_blanks", "has blanks at its ends, which count"),
            Misreading::LeadingSlash => ("filter_leading_slash", "begins with a slash, and keys do not"),
            Misreading::DoubledBackslash => (
                "filter_doubled_backslash",
                "has doubled backslashes, and each pair stands for one backslash in the key",
            ),
            Misreading::NotFromStart => ("filter_not_from_start", "must match from the start, and matches only later"),
            Misreading::Bucket => ("filter_with_bucket", "names the bucket, and keys begin after it"),
            Misreading::Folder => {
                ("filter_with_folder", "names folders, and here it is matched against the file's name alone")
            }
            Misreading::Case => ("filter_case", "has other capitals than the keys"),
        };
        let detail = format!("The file filter `{expression}` {what}, so it skips every {part}. Write `{meant}`.");
        return Some(StorageWarning::new(code, Some("regex_filter"), detail).suggesting(meant));
    }
    None
}

fn glob_filter(expression: &str, meant: String) -> StorageWarning {
    let detail = format!(
        "The file filter `{expression}` is a glob, and an expression is needed: `*` repeats the character before it. Write \
         `{meant}`."
    );
    StorageWarning::new("glob_filter", Some("regex_filter"), detail).suggesting(meant)
}

fn nothing_matches(settings: &StorageSettings, keys: &Keys) -> StorageWarning {
    let data = settings.kind().data();
    let detail = if keys.is_nothing() {
        let prefix = settings.connection.prefix();
        let place = if settings.kind() == StorageKind::Localfiles {
            format!("There is no file in the folder `{prefix}`")
        } else if prefix.is_empty() {
            "The storage holds no keys".to_owned()
        } else {
            format!("No key begins with `{prefix}`")
        };
        return StorageWarning::new("nothing_matches", None, format!("{place}, so a sync would import nothing now."));
    } else if keys.looked_at() == 0 {
        "All keys lie in sub-folders, and recursive scan is off. Switch it on to import them.".to_owned()
    } else {
        let looked = keys.looked_at();
        let looked = if keys.is_complete() { format!("all {looked} keys") } else { format!("the first {looked} keys") };
        format!("A sync would skip {looked}: `skipped` in the report has the rules.")
    };
    let is_deep = keys.skipped_by(Skip::TooDeep) > 0 && keys.skipped_by(Skip::Regex) == 0;
    let field = match (is_deep && data.has_folders(), keys.skipped_by(Skip::Regex) > 0) {
        (true, _) => Some("recursive_scan"),
        (false, true) => Some("regex_filter"),
        (false, false) => None,
    };
    StorageWarning::new("nothing_matches", field, detail)
}

/// The warning of objects that do not fit the mode: most of them are of the other one.
fn wrong_mode(settings: &StorageSettings, keys: &Keys, label_config: Option<&str>) -> Option<StorageWarning> {
    let is_most = |some: u64| some > 0 && some * 2 > keys.matched();
    // Such tags load the object that the URI names.
    let is_loaded = label_config.is_some_and(|config| config.contains("<TimeSeries") || config.contains("valueType"));
    let (code, detail) = match settings.use_blob_urls {
        false if is_most(keys.media) => (
            "json_mode_on_media",
            "The objects are images or other media, and a sync would look for tasks in JSON inside of them. Switch on \
             `use_blob_urls` (\"Treat every bucket object as a source file\") to make one task of each.",
        ),
        false if is_most(keys.tables) => (
            "json_mode_on_tables",
            "The objects are tables such as CSV, and a sync would look for tasks in JSON inside of them. Convert them to JSON or \
             JSON Lines, or switch on `use_blob_urls` (\"Treat every bucket object as a source file\") to make one task of each \
             file.",
        ),
        true if is_most(keys.json) && !is_loaded => (
            "blob_mode_on_json",
            "The objects are JSON files, and a sync would make one task of each file with its URI. Switch off \
             `use_blob_urls` (\"Treat every bucket object as a source file\") to read the tasks inside.",
        ),
        true if is_most(keys.tables) && !is_loaded => (
            "blob_mode_on_tables",
            "The objects are tables such as CSV, and a sync would make one task of each file with its URI, not of each row. To \
             make a task of each row, convert them to JSON or JSON Lines and switch off `use_blob_urls` (\"Treat every bucket \
             object as a source file\").",
        ),
        _ => return None,
    };
    Some(StorageWarning::new(code, Some("use_blob_urls"), detail.to_owned()))
}

/// The warning of objects that match, and of which a sync would import none.
fn all_refused(keys: &Keys) -> Option<StorageWarning> {
    let (refused, most) = keys.refused();
    let most = most.filter(|_| refused > 0 && refused == keys.matched())?;
    let (examples, detail) = (most.examples.join("`, `"), &most.detail);
    let text = format!("A sync would put every key that matches into quarantine, such as `{examples}`: {detail}");
    Some(StorageWarning::new("all_refused", None, text))
}

/// The warning of a first object that a sync would put into quarantine.
pub(super) fn of_first(object: &FirstObject) -> Option<StorageWarning> {
    object.reason?;
    let (key, detail) = (&object.key, object.detail.as_deref().unwrap_or_default());
    let text = format!("A sync would put `{key}` into quarantine: {detail}");
    Some(StorageWarning::new("first_object_unusable", None, text))
}

/// What the label config shows that the tasks would lack. Without a known config there is no warning. `first_task` is the JSON
/// text of the first task.
pub(super) fn of_label_config(
    settings: &StorageSettings,
    label_config: Option<&str>,
    first_task: Option<&str>,
) -> Option<StorageWarning> {
    let shown = preview::data_keys(label_config?);
    let names = |keys: &[String]| keys.iter().take(SHOWN).map(|key| format!("`{key}`")).collect::<Vec<_>>().join(", ");
    let (code, detail) = match (settings.use_blob_urls, shown.as_slice()) {
        (true, []) => (
            "undefined_data_key",
            format!(
                "The label config of the project has no tag with `name` and `value=\"$…\"`, so the tasks would hold their objects \
                 under the key `{}`, which no page shows. Set the label config before the first sync.",
                preview::data_key(label_config?).0
            ),
        ),
        (true, [_]) => return None,
        (true, [own, others @ ..]) => (
            "several_data_keys",
            format!(
                "The tasks would hold their objects under `{own}`, and the label config also shows {}, which they would lack. Use \
                 one tag with `value=\"$…\"`, or import tasks in JSON.",
                names(others)
            ),
        ),
        (false, _) => {
            let task: Value = serde_json::from_str(first_task?).ok()?;
            let data = task.get("data")?.as_object()?;
            let missing: Vec<String> = shown.into_iter().filter(|key| !data.contains_key(key)).collect();
            let own: Vec<String> = data.keys().map(|key| key.chars().take(LONGEST_NAME).collect()).collect();
            if missing.is_empty() {
                return None;
            }
            let detail = format!(
                "The label config shows {}, which the first task lacks: it has {}. Change the label config or the files.",
                names(&missing),
                if own.is_empty() { "nothing".to_owned() } else { names(&own) }
            );
            ("missing_data_key", detail)
        }
    };
    Some(StorageWarning::new(code, None, detail))
}
