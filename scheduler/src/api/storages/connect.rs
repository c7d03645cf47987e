//! Probes storages, and previews what a sync would import.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use longshore_filter::{KeyFilter, Skip};
use longshore_model::{Capabilities, Direction, FailureReason, Secrets, StorageSettings};
use longshore_storage::{
    ErrorKind, InvalidSetting, ListedObject, ListingFault, Op, Pages, Probe, Storage, StorageError, Stores,
    filter_keys, folder_markers,
};
use serde::Serialize;
use tokio::time::{Instant, timeout};
use utoipa::ToSchema;

use super::change::Draft;
use super::own_exports::OwnExports;
use crate::api::ApiState;
use crate::api::error::{ApiError, ApiResult};

/// Makes a storage of a project from its settings and secrets, without a request to it.
pub type OpenStorage = dyn Fn(i64, &StorageSettings, &Secrets) -> Result<Arc<dyn Storage>, StorageError> + Send + Sync;

/// Opens storages of the kinds that this build can reach.
pub(crate) fn open_storage(stores: Stores) -> Arc<OpenStorage> {
    Arc::new(move |project, settings, secrets| stores.open(project, settings, secrets))
}

/// Time limit of a probe. A user waits for it, and a storage that works answers in well under a second.
const PROBE_TIME: Duration = Duration::from_secs(10);

/// Time limit of a preview, the same as in Label Studio.
const PREVIEW_TIME: Duration = Duration::from_secs(30);

/// Skipped keys in a preview: enough to see how the rule works.
const MAX_SKIPPED: usize = 100;

/// Checks that a sync in this direction could work. Returns what the listings of an import storage can do; `None` for an
/// export, or if that is not known yet.
///
/// # Errors
/// The probe fails or takes too long, or a sync could list only the first page. The error has advice for the user.
pub(super) async fn probe(state: &ApiState, direction: Direction, draft: &Draft) -> ApiResult<Option<Capabilities>> {
    let settings = &draft.fields.settings;
    let failed = |error| failed(settings, error);
    let storage = (state.open)(draft.fields.project_id, settings, &draft.secrets).map_err(failed)?;
    let probe = async {
        match direction {
            Direction::Export => storage.probe(Probe::Write).await.map(|()| None),
            Direction::Import if storage.has_pages() => {
                storage.examine_listing(&settings.connection.prefix()).await.map(Some)
            }
            Direction::Import => storage.probe(Probe::Read).await.map(|()| None),
        }
    };
    timeout(PROBE_TIME, probe).await.unwrap_or_else(|_| Err(too_slow())).map_err(failed)
}

fn too_slow() -> StorageError {
    StorageError::new(Op::Connect, ErrorKind::Unavailable, FailureReason::Unavailable)
}

fn failed(settings: &StorageSettings, error: StorageError) -> ApiError {
    let setting = std::error::Error::source(&error).and_then(|cause| cause.downcast_ref::<InvalidSetting>());
    if let Some(InvalidSetting { field, message }) = setting {
        return ApiError::invalid(field, message.clone());
    }
    ApiError::connection(&settings.connection, error)
}

/// The keys that a sync would import or skip.
#[derive(Debug, Default, Serialize, ToSchema)]
pub(crate) struct Preview {
    /// Keys that a sync would import. If the last entry has only nulls, there may be more keys than the limit.
    files: Vec<PreviewFile>,
    /// Keys that a sync would skip, or quarantine without reading them, each with the rule. At most 100.
    skipped: Vec<PreviewSkip>,
    /// Whether all keys were listed.
    complete: bool,
}

#[derive(Debug, Default, Serialize, ToSchema)]
struct PreviewFile {
    key: Option<String>,
    #[serde(serialize_with = "longshore_model::time::serialize_option")]
    last_modified: Option<Timestamp>,
    size: Option<u64>,
}

#[derive(Debug, Serialize, ToSchema)]
struct PreviewSkip {
    key: String,
    rule: &'static str,
}

/// Lists keys as a sync would, up to `limit` keys or 30 seconds.
///
/// # Errors
/// The storage cannot be listed.
pub(super) async fn preview(state: &ApiState, draft: &Draft, limit: usize) -> ApiResult<Preview> {
    let settings = &draft.fields.settings;
    let failed = |error| failed(settings, error);
    let filter = KeyFilter::of(settings).map_err(|error| ApiError::invalid("regex_filter", error.to_string()))?;
    let storage = (state.open)(draft.fields.project_id, settings, &draft.secrets).map_err(failed)?;
    let own = OwnExports::of(state, draft).await;
    list(storage.as_ref(), &Arc::new(filter), &own, limit).await.map_err(failed)
}

async fn list(
    storage: &dyn Storage,
    filter: &Arc<KeyFilter>,
    own: &OwnExports<'_>,
    limit: usize,
) -> Result<Preview, StorageError> {
    let deadline = Instant::now() + PREVIEW_TIME;
    let mut preview = Preview::default();
    let mut pages = Pages::new(filter.prefix(), filter.delimiter());
    loop {
        let Ok(page) = tokio::time::timeout_at(deadline, pages.next(storage)).await else {
            return Ok(preview.timed_out());
        };
        let Some(page) = page? else {
            preview.complete = true;
            return Ok(preview);
        };
        let folders = folder_markers(storage, &page, filter, !pages.may_repeat(storage)).await?;
        for prefix in page.prefixes {
            preview.skip(prefix, Skip::TooDeep.as_str());
        }
        let exported = own.among(&page.objects).await;
        let judging = filter_keys(filter, page.objects, ListedObject::key);
        let Ok(judged) = tokio::time::timeout_at(deadline, judging).await else { return Ok(preview.timed_out()) };
        for (ListedObject { meta: object, fault, .. }, skip) in judged {
            let skip = if folders.contains(&object.key) { Some(Skip::Folder) } else { skip };
            let skip = skip.or_else(|| exported.contains(&object.key).then_some(Skip::Export));
            // The filter comes first, as in a sync: keys that it skips are not quarantined.
            match skip.map(Skip::as_str).or(fault.map(ListingFault::detail)) {
                Some(rule) => preview.skip(object.key, rule),
                None if preview.files.len() == limit => {
                    preview.files.push(PreviewFile::default());
                    return Ok(preview);
                }
                None => preview.files.push(PreviewFile {
                    size: object.known_size(),
                    key: Some(object.key),
                    last_modified: object.modified_at,
                }),
            }
        }
    }
}

impl Preview {
    /// The keys that were listed within the time limit, and a last entry that states the timeout.
    fn timed_out(mut self) -> Self {
        // Label Studio's words, which its own page shows.
        let key = Some("... storage scan timeout reached ...".to_owned());
        self.files.push(PreviewFile { key, ..PreviewFile::default() });
        self
    }

    fn skip(&mut self, key: String, rule: &'static str) {
        if self.skipped.len() < MAX_SKIPPED {
            self.skipped.push(PreviewSkip { key, rule });
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use longshore_model::{Connection, LocalfilesConnection, NoSecrets};
    use longshore_storage::{Operator, StorageMetrics, WireOptions};
    use prometheus::Registry;

    use super::*;

    #[tokio::test]
    async fn a_preview_skips_keys_that_a_sync_quarantines_unread_and_shows_the_rule() {
        let root = std::env::temp_dir().join(format!("longshore-preview-{}", std::process::id()));
        let folder = root.join("pics");
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join("good.png"), "pixels").unwrap();
        symlink(folder.join("nothing"), folder.join("broken.png")).unwrap();
        let path = folder.to_str().unwrap().to_owned();
        let connection = LocalfilesConnection { path: path.clone() };
        let settings = StorageSettings::new(Connection::Localfiles(connection));
        let operator = Operator {
            local_files_serving: true,
            local_files_root: root.to_str().and_then(|root| root.parse().ok()),
            ..Operator::default()
        };
        let metrics = StorageMetrics::register(&Registry::new()).unwrap();
        let stores = Stores::new(WireOptions::default(), operator, metrics).unwrap();
        let storage = stores.open(1, &settings, &Secrets::Localfiles(NoSecrets {})).unwrap();
        let preview = list(storage.as_ref(), &Arc::new(KeyFilter::of(&settings).unwrap()), &OwnExports::none(), 10)
            .await
            .unwrap();
        std::fs::remove_dir_all(&root).unwrap();

        let files: Vec<_> = preview.files.iter().filter_map(|file| file.key.clone()).collect();
        assert_eq!((files, preview.complete), (vec![format!("{path}/good.png")], true));
        let [skipped] = preview.skipped.as_slice() else { panic!("one key is skipped: {:?}", preview.skipped) };
        assert_eq!(
            (skipped.key.as_str(), skipped.rule),
            (format!("{path}/broken.png").as_str(), ListingFault::BrokenLink.detail())
        );
    }
}
