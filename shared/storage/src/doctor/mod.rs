//! Goes the whole way to a storage, step by step, and says at each what is well, what is not, and what
//! to paste where something is missing.
//!
//! It asks as syncs and browsers do: through the address guard, with the storage's own credentials, and
//! for a signed URL without any. It leaves nothing behind that it could remove.

mod browser;
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
    ErrorKind, ListRequest, Listed, ObjectMeta, Op, PutOptions, Range, Storage, StorageError, Stores, filtered,
};
use snippet::Need;
pub use snippet::Snippet;
pub use step::{Check, Outcome, Step};

/// A step that takes longer is a failure: a person waits for all of them, and some wait twice.
const STEP_TIME: Duration = Duration::from_secs(8);

/// What one read of the first byte may bring where a server ignores the range.
const LARGEST_READ: u64 = 16 * 1024 * 1024;

impl Stores {
    /// Examines a storage. Every step that belongs to the direction is in the answer, those that could
    /// not be tried as skipped.
    ///
    /// `origin` is whose pages are to fetch signed URLs, such as `https://labels.example.com`.
    pub async fn examine(
        &self,
        settings: &StorageSettings,
        secrets: &Secrets,
        direction: Direction,
        origin: Option<&str>,
    ) -> Vec<Step> {
        let mut examination = Examination { wire: self.wire(), settings, direction, origin, steps: Vec::new() };
        match self.open(settings, secrets) {
            Ok(storage) => {
                examination.ok(Check::Settings, "can be understood");
                if examination.reach(storage.as_ref()).await {
                    match direction {
                        Direction::Import => examination.read(storage.as_ref()).await,
                        Direction::Export => examination.write(storage.as_ref()).await,
                    }
                }
            }
            Err(error) => examination.failed(Check::Settings, &error),
        }
        examination.finish()
    }
}

/// An examination on its way.
struct Examination<'a> {
    wire: &'a Arc<Wire>,
    settings: &'a StorageSettings,
    direction: Direction,
    origin: Option<&'a str>,
    steps: Vec<Step>,
}

impl Examination<'_> {
    /// What an import and the URLs of its tasks need.
    async fn read(&mut self, storage: &dyn Storage) {
        let Some(object) = self.list(storage).await else { return };
        if let Some(object) = &object {
            self.get(storage, object).await;
        } else {
            self.skipped(Check::Get, "there is no object with content on the first page");
        }
        self.sign(storage, object.as_ref()).await;
    }

    /// Lists as a sync would. `None` if that failed; else an object with content, if there is one.
    async fn list(&mut self, storage: &dyn Storage) -> Option<Option<ObjectMeta>> {
        let filter = match KeyFilter::of(self.settings) {
            Ok(filter) => Arc::new(filter),
            Err(error) => {
                let error = StorageError::caused(Op::List, ErrorKind::Invalid, FailureReason::InvalidSettings, error);
                self.failed(Check::List, &error);
                return None;
            }
        };
        let request = ListRequest {
            prefix: filter.prefix(),
            delimiter: filter.delimiter(),
            limit: 1_000,
            ..ListRequest::default()
        };
        let listed = in_time(Op::List, storage.list_page(request)).await;
        self.judge_credentials(&listed);
        let page = match listed {
            Ok(page) => page,
            Err(error) => {
                if !self.has_failed(Check::Credentials) {
                    self.failed(Check::List, &error);
                }
                return None;
            }
        };
        let listed = page.objects.len();
        let judging = filtered(&filter, page.objects, Listed::key);
        let Ok(judged) = timeout(STEP_TIME, judging).await else {
            let code = FailureReason::InvalidSettings.as_str();
            let advice = "Simplify the file filter: matching one page of keys takes too long.".to_owned();
            self.failed_as(Check::List, code, advice, None);
            return None;
        };
        let taken = judged.iter().filter(|(_, skip)| skip.is_none()).count();
        let more = if page.next.is_some() { ", and there are more pages" } else { "" };
        let undecided = match judged.iter().filter(|(_, skip)| *skip == Some(Skip::RegexTooSlow)).count() {
            0 => String::new(),
            count => format!(", and quarantines {count}, on which the file filter takes too many steps"),
        };
        self.ok(Check::List, format!("{listed} keys on the first page, a sync takes {taken} of them{undecided}{more}"));
        let usable = |listed: &&Listed| listed.meta.size > 0 && listed.fault.is_none();
        let first = |taken: bool| {
            let of_kind = judged.iter().filter(|(_, skip)| !taken || skip.is_none());
            of_kind.map(|(listed, _)| listed).find(usable).map(|listed| &listed.meta)
        };
        Some(first(true).or_else(|| first(false)).cloned())
    }

    async fn get(&mut self, storage: &dyn Storage, object: &ObjectMeta) {
        let first_byte = Some(Range { first: 0, last: Some(0) });
        match in_time(Op::Get, storage.get(&object.key, first_byte, LARGEST_READ)).await {
            Ok(_) => self.ok(Check::Get, "an object can be read"),
            Err(error) if error.kind == ErrorKind::NotFound => {
                self.skipped(Check::Get, "the object was removed meanwhile; try again");
            }
            Err(error) => self.failed(Check::Get, &error),
        }
    }

    /// What an export needs: a small object comes and goes.
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
                self.failed(Check::Put, &error);
            }
            return;
        }
        self.ok(Check::Put, "an object can be written");
        let must = self.settings.can_delete_objects.unwrap_or_default();
        match in_time(Op::Delete, storage.delete(&key)).await {
            Ok(()) => self.ok(Check::Delete, "and deleted"),
            Err(error) if error.kind == ErrorKind::Denied && !must => {
                self.ok(
                    Check::Delete,
                    "not allowed, and not needed: only \"can delete objects\" would; a small object stays",
                );
            }
            Err(error) => self.failed(Check::Delete, &error),
        }
    }

    /// Says from the first call that needed them what is to be said of the credentials.
    fn judge_credentials<T>(&mut self, called: &Result<T, StorageError>) {
        match called {
            Ok(_) => self.ok(Check::Credentials, "are accepted"),
            Err(error) if step::is_about_credentials(error.reason) => self.failed(Check::Credentials, error),
            Err(error) if matches!(error.reason, FailureReason::AccessDenied | FailureReason::NoSuchBucket) => {
                self.ok(Check::Credentials, "are known");
            }
            Err(_) => self.skipped(Check::Credentials, "the storage did not get so far as to judge them"),
        }
    }

    fn ok(&mut self, check: Check, note: impl Into<String>) {
        self.steps.push(Step { check, outcome: Outcome::Ok { note: note.into() } });
    }

    fn skipped(&mut self, check: Check, why: &'static str) {
        self.steps.push(Step { check, outcome: Outcome::Skipped { why } });
    }

    fn failed(&mut self, check: Check, error: &StorageError) {
        tracing::info!(
            event = "doctor_check_failed",
            step = check.as_str(),
            reason = error.reason.as_str(),
            error = error_chain(error),
            "doctor check failed"
        );
        let need = Need::of(check, error.reason);
        self.failed_as(check, error.reason.as_str(), error.advice(), need);
    }

    fn failed_as(&mut self, check: Check, code: &'static str, advice: String, need: Option<Need>) {
        let write =
            |need| snippet::write(&self.settings.connection, need, self.settings.can_delete_objects, self.origin);
        let snippets = need.map(write).unwrap_or_default();
        self.steps.push(Step { check, outcome: Outcome::Failed { code, advice, snippets } });
    }

    fn has_failed(&self, check: Check) -> bool {
        self.steps.iter().any(|step| step.check == check && matches!(step.outcome, Outcome::Failed { .. }))
    }

    /// All steps in order, those that were not reached as skipped.
    fn finish(self) -> Vec<Step> {
        let mut steps = self.steps;
        Check::all(self.direction)
            .iter()
            .map(|check| {
                let tried = steps.iter().position(|step| step.check == *check).map(|at| steps.swap_remove(at));
                let why = "a step before it has failed";
                tried.unwrap_or(Step { check: *check, outcome: Outcome::Skipped { why } })
            })
            .collect()
    }
}

/// Waits for a call, but not longer than a person would.
async fn in_time<T>(op: Op, call: impl Future<Output = Result<T, StorageError>>) -> Result<T, StorageError> {
    timeout(STEP_TIME, call)
        .await
        .unwrap_or_else(|late| Err(StorageError::caused(op, ErrorKind::Unavailable, FailureReason::Unavailable, late)))
}
