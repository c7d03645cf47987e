//! The version of the listing that a server understands.

use std::sync::atomic::{AtomicU8, Ordering};

use longshore_model::FailureReason;

use crate::StorageError;
use crate::wire::Refusal;

const UNKNOWN: u8 = 0;
const SECOND: u8 = 1;
/// The second version was refused, and the first one is being tried.
const TRYING_FIRST: u8 = 2;
const FIRST: u8 = 3;

/// Which version of the listing to ask for: the second one, unless the server refuses it and answers the first.
#[derive(Debug, Default)]
pub(super) struct ListVersion(AtomicU8);

impl ListVersion {
    pub(super) fn is_first(&self) -> bool {
        matches!(self.0.load(Ordering::Relaxed), TRYING_FIRST | FIRST)
    }

    /// Begins to try the first version after such a refusal, unless the server has answered a listing before.
    pub(super) fn begin_fallback(&self, error: &StorageError) -> bool {
        let is_possible = error.cause::<Refusal>().is_some_and(|refusal| match error.reason {
            FailureReason::InvalidSettings => true,
            // A server that denies access, or has no such bucket, says so with a code.
            FailureReason::AccessDenied | FailureReason::NoSuchBucket => !refusal.has_code(),
            _ => false,
        });
        is_possible && self.replace(UNKNOWN, TRYING_FIRST)
    }

    /// Ends the try of the first version: it was answered, refused, or neither.
    pub(super) fn end_fallback(&self, is_answered: Option<bool>) {
        let found = match is_answered {
            Some(true) => FIRST,
            Some(false) => SECOND,
            None => UNKNOWN,
        };
        self.replace(TRYING_FIRST, found);
    }

    /// Stays with the second version, because the server answers it.
    pub(super) fn settle(&self) {
        self.replace(UNKNOWN, SECOND);
    }

    /// Returns whether it was `from`. Another listing may have found out more at the same time.
    fn replace(&self, from: u8, to: u8) -> bool {
        self.0.compare_exchange(from, to, Ordering::Relaxed, Ordering::Relaxed).is_ok()
    }
}
