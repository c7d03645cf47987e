//! Checks a storage step by step, and says for each step whether it works and, if not, what to paste to fix it.
//!
//! It makes the same calls as syncs and browsers: through the address guard, with the storage's credentials, and
//! without credentials for a presigned URL. It removes what it wrote, if it may.

mod browser;
mod paging;
mod reach;
mod snippet;
mod step;

use longshore_telemetry::error_chain;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use longshore_filter::{KeyFilter, Skip};
use longshore_model::{Direction, FailureReason, Secrets, StorageSettings};
use tokio::time::timeout;

use crate::wire::Wire;
use crate::{
    ErrorKind, ListedObject, ObjectMeta, Op, Pages, PutOptions, Range, Storage, StorageError, Stores, explain,
    filter_keys,
};
use snippet::Need;
pub use snippet::Snippet;
pub use step::{Check, Outcome, Step};

/// Time limit of one step; a slower step fails. A person waits for all steps, and some steps make two calls.
const STEP_TIME: Duration = Duration::from_secs(8);

/// Limit for reading the first byte from a server that ignores the range and sends the whole object.
const LARGEST_READ: u64 = 16 * 1024 * 1024;

impl Stores {
    /// Runs the doctor on a storage. The result has every step of the direction, in order; a step that could not be
    /// tried is `Skipped`.
    ///
    /// `project` is the storage's project. `origin` is the origin of the pages that will fetch presigned URLs, such as `https://labels.example.com`.
    pub async fn examine(
        &self,
        project: i64,
        settings: &StorageSettings,
        secrets: &Secrets,
        direction: Direction,
        origin: Option<&str>,
    ) -> Vec<Step> {
        let mut examination = Examination { wire: self.wire(), settings, direction, origin, steps: Vec::new() };
        match self.open(project, settings, secrets) {
            Ok(storage) => {
                examination.pass(Check::Settings, "are valid");
                if examination.reach(storage.as_ref()).await {
                    match direction {
                        Direction::Import => examination.read(storage.as_ref()).await,
                        Direction::Export => examination.write(storage.as_ref()).await,
                    }
                }
            }
            Err(error) => examination.fail(Check::Settings, &error),
        }
        examination.finish()
    }
}

/// The state of a running examination.
struct Examination<'a> {
    wire: &'a Arc<Wire>,
    settings: &'a StorageSettings,
    direction: Direction,
    origin: Option<&'a str>,
    steps: Vec<Step>,
}

impl Examination<'_> {
    /// Checks what an import and the URLs of its tasks need.
    async fn read(&mut self, storage: &dyn Storage) {
        let Some(object) = self.list(storage).await else { return };
        self.page(storage).await;
        if let Some(object) = &object {
            self.get(storage, object).await;
        } else {
            self.skip(Check::Get, "the first page has no object with content");
        }
        self.sign(storage, object.as_ref()).await;
    }

    /// Lists as a sync would. `None` if that failed; otherwise an object with content, if there is one.
    async fn list(&mut self, storage: &dyn Storage) -> Option<Option<ObjectMeta>> {
        let filter = match KeyFilter::of(self.settings) {
            Ok(filter) => Arc::new(filter),
            Err(error) => {
                let error =
                    StorageError::with_source(Op::List, ErrorKind::Invalid, FailureReason::InvalidSettings, error);
                self.fail(Check::List, &error);
                return None;
            }
        };
        let mut pages = Pages::new(filter.prefix(), filter.delimiter());
        let listed = in_time(Op::List, async { pages.next(storage).await.map(Option::unwrap_or_default) }).await;
        self.judge_credentials(&listed);
        let page = match listed {
            Ok(page) => page,
            Err(error) => {
                if !self.has_failed(Check::Credentials) {
                    self.fail(Check::List, &error);
                }
                return None;
            }
        };
        let listed = page.objects.len();
        let judging = filter_keys(&filter, page.objects, ListedObject::key);
        let Ok(judged) = timeout(STEP_TIME, judging).await else {
            let code = FailureReason::InvalidSettings.as_str();
            let advice = "Simplify the file filter: it takes too long to match one page of keys.".to_owned();
            self.fail_as(Check::List, code, advice, None);
            return None;
        };
        let taken = judged.iter().filter(|(_, skip)| skip.is_none()).count();
        let more = if page.next.is_some() { "; more pages follow" } else { "" };
        let undecided = match judged.iter().filter(|(_, skip)| *skip == Some(Skip::RegexTooSlow)).count() {
            0 => String::new(),
            count => format!(", and quarantines {count} because the file filter takes too many steps on them"),
        };
        self.pass(
            Check::List,
            format!("{listed} keys on the first page; a sync takes {taken} of them{undecided}{more}"),
        );
        let usable = |listed: &&ListedObject| listed.meta.known_size() != Some(0) && listed.fault.is_none();
        let first = |taken: bool| {
            let of_kind = judged.iter().filter(|(_, skip)| !taken || skip.is_none());
            of_kind.map(|(listed, _)| listed).find(usable).map(|listed| &listed.meta)
        };
        Some(first(true).or_else(|| first(false)).cloned())
    }

    /// Finds out how a listing of more than one page is continued.
    async fn page(&mut self, storage: &dyn Storage) {
        if !storage.has_pages() {
            return self.skip(Check::Paging, "Longshore itself makes the pages of this kind");
        }
        match in_time(Op::List, storage.examine_listing(&self.settings.connection.prefix())).await {
            Ok(found) => self.pass(Check::Paging, paging::note(&found)),
            Err(error) => self.fail(Check::Paging, &error),
        }
    }

    async fn get(&mut self, storage: &dyn Storage, object: &ObjectMeta) {
        let first_byte = Some(Range { first: 0, last: Some(0) });
        match in_time(Op::Get, storage.get(&object.key, first_byte, LARGEST_READ)).await {
            Ok(_) => self.pass(Check::Get, "an object could be read"),
            Err(error) if error.kind == ErrorKind::NotFound => {
                self.skip(Check::Get, "the object was deleted during the check; try again");
            }
            Err(error) => self.fail(Check::Get, &error),
        }
    }

    /// Checks what an export needs: writes a small object and deletes it.
    async fn write(&mut self, storage: &dyn Storage) {
        let prefix = self.settings.connection.prefix();
        let key = format!("{prefix}.longshore-doctor-{:016x}", rand::random::<u64>());
        let kms_key_id = self.settings.connection.kms_key_id().map(str::trim).filter(|id| !id.is_empty());
        let options = PutOptions { content_type: Some("application/json"), kms_key_id: kms_key_id.map(str::to_owned) };
        let body = Bytes::from_static(b"{\"longshore\": \"checks that it may write here\"}");
        let put = in_time(Op::Put, storage.put(&key, body, &options)).await;
        self.judge_credentials(&put);
        if let Err(error) = put {
            if !self.has_failed(Check::Credentials) {
                self.fail(Check::Put, &error);
            }
            return;
        }
        self.pass(Check::Put, "a test object could be written");
        let must_delete = self.settings.can_delete_objects.unwrap_or_default();
        match in_time(Op::Delete, storage.delete(&key)).await {
            Ok(()) => self.pass(Check::Delete, "the test object could be deleted"),
            Err(error) if error.kind == ErrorKind::Denied && !must_delete => {
                self.pass(
                    Check::Delete,
                    "not allowed, but needed only for \"can delete objects\"; a small test object was left behind",
                );
            }
            Err(error) => self.fail(Check::Delete, &error),
        }
    }

    /// Judges the credentials by the result of the first call that used them.
    fn judge_credentials<T>(&mut self, called: &Result<T, StorageError>) {
        match called {
            Ok(_) => self.pass(Check::Credentials, "are accepted"),
            Err(error) if step::is_about_credentials(error.reason) => self.fail(Check::Credentials, error),
            Err(error) if matches!(error.reason, FailureReason::AccessDenied | FailureReason::NoSuchBucket) => {
                self.pass(Check::Credentials, "are known");
            }
            Err(_) => self.skip(Check::Credentials, "not checked: the storage failed before it checked them"),
        }
    }

    fn pass(&mut self, check: Check, note: impl Into<String>) {
        self.steps.push(Step { check, outcome: Outcome::Ok { note: note.into() } });
    }

    fn skip(&mut self, check: Check, why: &'static str) {
        self.steps.push(Step { check, outcome: Outcome::Skipped { why } });
    }

    fn warn(&mut self, check: Check, code: &'static str, advice: &'static str) {
        self.steps.push(Step { check, outcome: Outcome::Warning { code, advice } });
    }

    fn fail(&mut self, check: Check, error: &StorageError) {
        tracing::info!(
            event = "doctor_check_failed",
            step = check.as_str(),
            reason = error.reason.as_str(),
            error = error_chain(error),
            "doctor check failed"
        );
        let need = Need::of(check, error.reason);
        let advice = explain(&self.settings.connection, error).text;
        self.fail_as(check, error.reason.as_str(), advice, need);
    }

    fn fail_as(&mut self, check: Check, code: &'static str, advice: String, need: Option<Need>) {
        let write =
            |need| snippet::write(&self.settings.connection, need, self.settings.can_delete_objects, self.origin);
        let snippets = need.map(write).unwrap_or_default();
        self.steps.push(Step { check, outcome: Outcome::Failed { code, advice, snippets } });
    }

    fn has_failed(&self, check: Check) -> bool {
        self.steps.iter().any(|step| step.check == check && matches!(step.outcome, Outcome::Failed { .. }))
    }

    /// Returns all steps in order; those that were not reached are skipped.
    fn finish(self) -> Vec<Step> {
        let mut steps = self.steps;
        Check::all(self.direction)
            .iter()
            .map(|check| {
                let tried = steps.iter().position(|step| step.check == *check).map(|at| steps.swap_remove(at));
                let why = "an earlier step failed";
                tried.unwrap_or(Step { check: *check, outcome: Outcome::Skipped { why } })
            })
            .collect()
    }
}

/// Limits the time of a call.
async fn in_time<T>(op: Op, call: impl Future<Output = Result<T, StorageError>>) -> Result<T, StorageError> {
    timeout(STEP_TIME, call).await.unwrap_or_else(|late| {
        Err(StorageError::with_source(op, ErrorKind::Unavailable, FailureReason::Unavailable, late))
    })
}
