//! Warnings: what is probably a mistake in the settings of a storage.

use std::sync::Arc;

use longshore_filter::{KeyFilter, Misreading, Skip, certain_glob, suggestions};
use longshore_items::preview;
use longshore_model::{StorageKind, StorageSettings};
use longshore_storage::filter_keys;
use serde::Serialize;
use utoipa::ToSchema;

use super::Subject;
use super::keys::Keys;
use crate::api::storages::names::foreign_fields;

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
pub(super) async fn of_keys(settings: &StorageSettings, filter: &Arc<KeyFilter>, keys: &Keys) -> Vec<StorageWarning> {
    let mut warnings = Vec::new();
    let expression = settings.regex_filter.as_deref().unwrap_or_default();
    let is_unmatched = keys.skipped_by(Skip::Regex) > 0 && keys.matched() == 0;
    if is_unmatched && let Some(warning) = meant_filter(expression, filter, keys).await {
        warnings.push(warning);
    } else if is_unmatched
        && settings.kind().data().filters_names
        && let Some(warning) = filter_with_folder(expression, filter, keys).await
    {
        warnings.push(warning);
    } else if let Some(glob) = certain_glob(expression) {
        warnings.push(glob_filter(expression, glob));
    }
    if keys.matched() == 0 {
        warnings.push(nothing_matches(settings, keys));
    }
    warnings.extend(wrong_mode(settings, keys));
    warnings
}

/// The warning of a filter that selects nothing, with one that selects some of the keys.
async fn meant_filter(expression: &str, filter: &Arc<KeyFilter>, keys: &Keys) -> Option<StorageWarning> {
    for suggestion in suggestions(expression) {
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
            Misreading::NotFromStart => {
                ("filter_not_from_start", "must match from the start of the key, and matches only later in it")
            }
            Misreading::Case => ("filter_case", "has other capitals than the keys"),
        };
        let detail = format!("The file filter `{expression}` {what}, so it skips every key. Write `{meant}`.");
        return Some(StorageWarning::new(code, Some("regex_filter"), detail).suggesting(meant));
    }
    None
}

/// The warning of a filter with folders where names alone are matched, if the rest of it selects some of the keys.
async fn filter_with_folder(expression: &str, filter: &Arc<KeyFilter>, keys: &Keys) -> Option<StorageWarning> {
    let (_, meant) = expression.rsplit_once('/')?;
    let other = filter.with_expression(meant).ok()?;
    let judged = filter_keys(&Arc::new(other), keys.samples().to_vec(), String::as_str).await;
    judged.iter().any(|(_, skip)| skip.is_none()).then(|| {
        let detail = format!(
            "The file filter `{expression}` has a folder in it, and is matched against the names of files alone, so it skips \
             every file. Write `{meant}`, and put the folder into `path`."
        );
        StorageWarning::new("filter_with_folder", Some("regex_filter"), detail).suggesting(meant.to_owned())
    })
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
fn wrong_mode(settings: &StorageSettings, keys: &Keys) -> Option<StorageWarning> {
    let is_most = |some: u64| some > 0 && some * 2 > keys.matched();
    let (code, detail) = match (settings.use_blob_urls, is_most(keys.media), is_most(keys.json)) {
        (false, true, _) => (
            "json_mode_on_media",
            "The objects are images or other media, and a sync would look for tasks in JSON inside of them. Switch on \
             `use_blob_urls` (\"Treat every bucket object as a source file\") to make one task of each.",
        ),
        (true, _, true) => (
            "blob_mode_on_json",
            "The objects are JSON files, and a sync would make one task of each file with its URI. Switch off \
             `use_blob_urls` (\"Treat every bucket object as a source file\") to read the tasks inside.",
        ),
        _ => return None,
    };
    Some(StorageWarning::new(code, Some("use_blob_urls"), detail.to_owned()))
}

/// The warning of a label config that names no data key for blob tasks. Without a known config there is none.
pub(super) fn of_data_key(settings: &StorageSettings, label_config: Option<&str>) -> Option<StorageWarning> {
    let (key, is_named) = preview::data_key(label_config?);
    (settings.use_blob_urls && !is_named).then(|| {
        let detail = format!(
            "The label config of the project has no tag with `name` and `value=\"$…\"`, so the tasks would hold their objects \
             under the key `{key}`, which no page shows. Set the label config before the first sync."
        );
        StorageWarning::new("undefined_data_key", None, detail)
    })
}
