//! Limits for the sockets of a listener.

/// How many sockets clients may have open on one listener.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ConnectionLimits {
    /// The limit for all clients together.
    pub total: usize,
    /// The limit for one address, if it is lower. IPv6 clients count by their /64 network.
    pub per_peer: usize,
}

impl ConnectionLimits {
    /// `total` sockets, or half of the process's open files if that is less: the other half is for the database, the
    /// broker and storages.
    ///
    /// One address may have `per_peer` of them, by default three quarters. A proxy sends all users' requests from one
    /// address, so the default exceeds the API's limit of concurrent requests; use a lower value for listeners that
    /// clients reach directly.
    pub fn new(total: usize, per_peer: Option<usize>, open_files: usize) -> Self {
        let total = total.min(open_files / 2).max(1);
        let per_peer = per_peer.unwrap_or(total / 4 * 3).clamp(1, total);
        Self { total, per_peer }
    }

    /// Whether an address with this many sockets has reached its limit. An address that may have all sockets can only
    /// find the listener full.
    pub(crate) fn is_reached_by(self, of_peer: usize) -> bool {
        self.per_peer < self.total && of_peer >= self.per_peer
    }

    /// Whether nearly all sockets are in use: then slow clients get less time.
    pub(crate) fn is_nearly_full(self, open: usize) -> bool {
        open >= self.total / 4 * 3
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_of_the_open_files_stays_for_other_connections() {
        assert_eq!(ConnectionLimits::new(1_024, None, 20_000), ConnectionLimits { total: 1_024, per_peer: 768 });
        assert_eq!(ConnectionLimits::new(1_024, Some(2_000), 1_024), ConnectionLimits { total: 512, per_peer: 512 });
        assert_eq!(ConnectionLimits::new(0, Some(0), 0), ConnectionLimits { total: 1, per_peer: 1 });
    }
}
