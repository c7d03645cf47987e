//! The largest body of a request.

/// The largest body of a route, in bytes. Attached to each request for the code that reads the body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct MaxBody(pub(super) usize);

impl MaxBody {
    /// Routes that take annotations, documents or label configs. An annotation with brush masks has several megabytes.
    pub(super) const LARGE: Self = Self(16 * 1024 * 1024);

    /// Other routes. Settings have a few hundred bytes, a list of 100,000 tasks to export has a megabyte.
    pub(super) const SMALL: Self = Self(4 * 1024 * 1024);

    /// The route that exchanges a token. Anyone may call it and no memory is reserved for it, but a token is short.
    pub(super) const TOKEN: Self = Self(8 * 1024);
}
