//! Files of this machine, below the one folder that the operator enables.
//!
//! Keys are absolute paths. A file or folder is opened first and its real path is checked then, so no symlink leads
//! out of the root, not even one created during the check.

mod failure;
mod file;
mod folder;
mod object;
mod root;
mod walk;

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::{self, StreamExt};
use longshore_model::{FailureReason, LocalfilesConnection, Secret, StorageKind};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use crate::wire::Wire;
use crate::{
    ErrorKind, InvalidSetting, ListPage, ListRequest, ObjectBody, ObjectMeta, ObjectStream, Op, Operator, Probe,
    PutOptions, Range, Storage, StorageError,
};
use folder::Folder;
pub use root::{DocumentRoot, InvalidRoot};
use walk::Walk;

/// Bytes per piece of a stream.
const PIECE: u64 = 256 * 1024;

/// Characters that Label Studio does not escape in such a URI: those of Python's `urllib.parse.quote`.
const UNESCAPED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'_').remove(b'.').remove(b'-').remove(b'~').remove(b'/');

/// One folder.
pub(crate) struct LocalFiles {
    folder: Arc<Folder>,
    /// The walk after the last page, so that the next page need not read large folders again.
    walk: Arc<Mutex<Option<Walk>>>,
    wire: Arc<Wire>,
    /// What URIs begin with.
    host: String,
}

/// Checks the settings as far as possible without the disk.
pub(crate) fn check(connection: &LocalfilesConnection) -> Result<(), InvalidSetting> {
    folder::normalize(&connection.path).map(drop)
}

impl LocalFiles {
    /// Opens a storage; does not access the disk yet.
    pub(crate) fn new(
        project: i64,
        connection: &LocalfilesConnection,
        operator: &Operator,
        wire: Arc<Wire>,
    ) -> Result<Self, InvalidSetting> {
        let folder = Arc::new(Folder::new(project, connection, operator)?);
        Ok(Self { folder, walk: Arc::default(), wire, host: operator.label_studio_host.clone() })
    }

    /// Does file work on a blocking thread, and counts it in the metrics.
    async fn run<T: Send + 'static>(
        &self,
        op: Op,
        work: impl FnOnce(&Folder) -> Result<T, StorageError> + Send + 'static,
    ) -> Result<T, StorageError> {
        let timer = self.wire.metrics().start(StorageKind::Localfiles, op);
        let folder = Arc::clone(&self.folder);
        let result = run_blocking(op, move || work(&folder)).await;
        timer.finish(&result);
        result
    }
}

/// Runs blocking work on a blocking thread.
async fn run_blocking<T: Send + 'static>(
    op: Op,
    work: impl FnOnce() -> Result<T, StorageError> + Send + 'static,
) -> Result<T, StorageError> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(error) => match error.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            Err(_) => Err(StorageError::new(op, ErrorKind::Cancelled, FailureReason::Internal)),
        },
    }
}

#[async_trait]
impl Storage for LocalFiles {
    async fn list_page(&self, request: ListRequest<'_>) -> Result<ListPage, StorageError> {
        let wanted = walk::PageRequest::of(request);
        let cache = Arc::clone(&self.walk);
        self.run(Op::List, move |folder| {
            let cached_walk = || cache.lock().unwrap_or_else(PoisonError::into_inner);
            let walk = if wanted.is_continuation() { cached_walk().take() } else { None };
            let mut walk = match walk.filter(|walk| walk.continues_at(&wanted)) {
                Some(walk) => walk,
                None => Walk::begin(folder, &wanted)?,
            };
            let page = walk.page(folder, wanted.limit)?;
            if page.next.is_some() && wanted.limit > 1 {
                *cached_walk() = Some(walk);
            }
            Ok(page)
        })
        .await
    }

    async fn get(&self, key: &str, range: Option<Range>, max_bytes: u64) -> Result<ObjectBody, StorageError> {
        let (path, content_type) = (key.to_owned(), content_type(key));
        let (bytes, file) = self
            .run(Op::Get, move |folder| {
                let file = folder.open(Op::Get, &path)?;
                let (first, end) = range.map_or(Ok((0, file.size)), |range| part(range, file.size))?;
                if end - first > max_bytes {
                    return Err(StorageError::new(Op::Get, ErrorKind::Invalid, FailureReason::TooLarge));
                }
                let bytes = file.read(first, end - first)?;
                // Another process wrote the file meanwhile, so we may have parts of two versions.
                if bytes.len() as u64 != end - first || file.etag_now()? != file.etag {
                    return Err(StorageError::new(Op::Get, ErrorKind::Unavailable, FailureReason::BadAnswer));
                }
                Ok((bytes, file))
            })
            .await?;
        self.wire.metrics().add_received(bytes.len() as u64);
        Ok(ObjectBody {
            bytes,
            stored_size: file.size,
            etag: Some(file.etag),
            content_type,
            modified_at: file.modified_at,
            ..ObjectBody::default()
        })
    }

    async fn stream(&self, key: &str, range: Option<Range>) -> Result<ObjectStream, StorageError> {
        let path = key.to_owned();
        let file = Arc::new(self.run(Op::Get, move |folder| folder.open(Op::Get, &path)).await?);
        let (first, end) = range.map_or(Ok((0, file.size)), |range| part(range, file.size))?;
        let (size, etag, modified_at) = (file.size, Some(file.etag.clone()), file.modified_at);
        let metrics = self.wire.metrics().clone();
        let body = stream::try_unfold(first, move |at| {
            let (file, metrics) = (Arc::clone(&file), metrics.clone());
            async move {
                if at >= end {
                    return Ok(None);
                }
                let bytes = run_blocking(Op::Get, move || file.read(at, PIECE.min(end - at))).await?;
                if bytes.is_empty() {
                    return Err(StorageError::new(Op::Get, ErrorKind::Unavailable, FailureReason::BadAnswer));
                }
                let length = bytes.len() as u64;
                metrics.add_received(length);
                Ok(Some((bytes, at + length)))
            }
        });
        Ok(ObjectStream {
            size,
            part: range.map(|_| (first, end - 1)),
            etag,
            content_type: content_type(key),
            content_encoding: None,
            modified_at,
            body: body.boxed(),
        })
    }

    async fn put(&self, key: &str, body: Bytes, _: &PutOptions) -> Result<Option<String>, StorageError> {
        let path = key.to_owned();
        self.wire.metrics().add_sent(body.len() as u64);
        self.run(Op::Put, move |folder| folder.put(&path, &body)).await.map(Some)
    }

    async fn delete(&self, key: &str) -> Result<(), StorageError> {
        let path = key.to_owned();
        self.run(Op::Delete, move |folder| folder.delete(&path)).await
    }

    async fn head(&self, key: &str) -> Result<ObjectMeta, StorageError> {
        let path = key.to_owned();
        self.run(Op::Head, move |folder| {
            let file = folder.open(Op::Head, &path)?;
            Ok(ObjectMeta {
                key: path,
                size: file.size,
                etag: Some(file.etag),
                modified_at: file.modified_at,
                ..ObjectMeta::default()
            })
        })
        .await
    }

    async fn probe(&self, probe: Probe) -> Result<(), StorageError> {
        self.run(Op::Connect, move |folder| match probe {
            Probe::Read => folder.check_read(),
            Probe::Write => {
                let key = format!("{}.longshore-probe-{:016x}", folder.prefix(), rand::random::<u64>());
                folder.put(&key, b"Longshore checks that it may write here.\n")?;
                folder.delete(&key)
            }
        })
        .await
    }

    async fn presign(&self, _: &str, _: Duration) -> Result<Secret, StorageError> {
        Err(StorageError::new(Op::Presign, ErrorKind::Invalid, FailureReason::NoSignedUrls))
    }

    fn uri(&self, key: &str) -> String {
        let below = key.strip_prefix(self.folder.base()).unwrap_or(key).trim_start_matches('/');
        format!("{}/data/local-files/?d={}", self.host, utf8_percent_encode(below, UNESCAPED))
    }
}

/// The first byte of a range, and the first byte after it.
fn part(range: Range, size: u64) -> Result<(u64, u64), StorageError> {
    if range.first >= size || range.last.is_some_and(|last| last < range.first) {
        return Err(StorageError::new(Op::Get, ErrorKind::Invalid, FailureReason::NoSuchRange));
    }
    Ok((range.first, range.last.map_or(size, |last| last.saturating_add(1).min(size))))
}

/// The content type by the file's name, with the guesses of Label Studio.
fn content_type(key: &str) -> Option<String> {
    mime_guess::from_path(Path::new(key)).first_raw().map(str::to_owned)
}
