//! The limits on concurrent use of the API, and the answers to clients that reach one.

/// The most concurrent requests and event streams. Every field is a count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LoadLimits {
    /// Requests of all tokens.
    pub requests: usize,
    /// Requests of one token, and of the resolve links of one project.
    pub token_requests: usize,
    /// Event streams of all tokens.
    pub streams: usize,
    /// Event streams of one token.
    pub token_streams: usize,
}

impl LoadLimits {
    /// Lowers the limits to this number of sockets: half of them for requests and a quarter for streams. The last
    /// quarter remains for clients before authentication and for health checks.
    #[must_use]
    pub fn within(self, sockets: usize) -> Self {
        let (requests, streams) = (self.requests.min(sockets / 2).max(1), self.streams.min(sockets / 4).max(1));
        Self {
            requests,
            token_requests: self.token_requests.min(requests),
            streams,
            token_streams: self.token_streams.min(streams),
        }
    }
}

/// A limit that a request has reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Limit {
    Requests,
    TokenRequests,
    LinkRequests,
    Streams,
    TokenStreams,
    Deletions,
    TokenDatabase,
    Bytes,
    TokenBytes,
}

impl Limit {
    pub(crate) const ALL: &[Self] = &[
        Self::Requests,
        Self::TokenRequests,
        Self::LinkRequests,
        Self::Streams,
        Self::TokenStreams,
        Self::Deletions,
        Self::TokenDatabase,
        Self::Bytes,
        Self::TokenBytes,
    ];

    /// The value of label `limit` in metrics.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Requests => "requests",
            Self::TokenRequests => "token_requests",
            Self::LinkRequests => "link_requests",
            Self::Streams => "streams",
            Self::TokenStreams => "token_streams",
            Self::Deletions => "deletions",
            Self::TokenDatabase => "token_database",
            Self::Bytes => "bytes",
            Self::TokenBytes => "token_bytes",
        }
    }

    /// The error `code` in answers.
    pub(crate) const fn code(self) -> &'static str {
        match self {
            Self::Requests | Self::TokenRequests | Self::LinkRequests | Self::TokenDatabase => "too_many_requests",
            Self::Streams | Self::TokenStreams => "too_many_streams",
            Self::Deletions => "too_many_deletions",
            Self::Bytes => "too_busy",
            Self::TokenBytes => "too_many_bytes",
        }
    }

    /// What happened and what to do.
    pub(crate) const fn detail(self) -> &'static str {
        match self {
            Self::Requests => "Too many requests are being answered. Try again in a moment.",
            Self::TokenRequests => {
                "Too many requests of this token are being answered. Wait for their answers, then try again."
            }
            Self::LinkRequests => {
                "Too many objects of this project are being loaded through resolve links. Try again in a moment."
            }
            Self::Streams => "Too many event streams are open. Try again later, or poll `/api/syncs/{id}` instead.",
            Self::TokenStreams => "Too many event streams of this token are open. Close one, then try again.",
            Self::Deletions => "Other storages are being deleted. Wait until those deletions end, then try again.",
            Self::TokenDatabase => {
                "Other requests of this token use all of its database connections. Wait until they end, then try again."
            }
            Self::Bytes => "All memory for large answers and bodies is in use. Try again in a moment.",
            Self::TokenBytes => {
                "Large answers and bodies of this token use all of its memory. Read the open answers to their end, or try \
                 again in a moment."
            }
        }
    }

    /// How many seconds a client should wait: about as long as the current use usually lasts.
    pub(crate) const fn retry_after_seconds(self) -> u16 {
        match self {
            Self::Requests | Self::TokenRequests | Self::LinkRequests | Self::TokenDatabase => 1,
            // An answer of 16 MiB is sent in a second or two.
            Self::Bytes | Self::TokenBytes => 2,
            Self::Streams | Self::TokenStreams => 5,
            Self::Deletions => 10,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_sockets_lower_the_limits() {
        let limits = LoadLimits { requests: 512, token_requests: 128, streams: 256, token_streams: 64 };
        assert_eq!(limits.within(1_024), limits);
        let few = LoadLimits { requests: 50, token_requests: 50, streams: 25, token_streams: 25 };
        assert_eq!(limits.within(100), few);
    }
}
