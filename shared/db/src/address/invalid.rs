//! Why a URL is no address.

/// Why a URL is no address. Completes a sentence that begins with `DATABASE_URL`, and never has the URL.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct InvalidAddress(String);

impl InvalidAddress {
    pub(super) fn new(reason: impl Into<String>) -> Self {
        Self(reason.into())
    }
}
