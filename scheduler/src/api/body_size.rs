//! How large a body may be.

/// The largest body of a route, in bytes. Attached to each request, for what reads its body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct MaxBody(pub(super) usize);

impl MaxBody {
    /// Routes that take annotations, documents or label configs: an annotation with brush masks takes some megabytes.
    pub(super) const LARGE: Self = Self(16 * 1024 * 1024);

    /// Other routes: settings take a few hundred bytes, a list of 100,000 tasks to export takes a megabyte.
    pub(super) const SMALL: Self = Self(4 * 1024 * 1024);

    /// The body that asks for a token: anyone may send one, no memory is reserved for it, and a token is short.
    pub(super) const TOKEN: Self = Self(8 * 1024);
}
