//! How many sockets a listener holds.

/// How many sockets clients may hold at once on one listener.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ConnectionLimits {
    /// Sockets in all.
    pub total: usize,
    /// Sockets of one address, if that is less. An IPv6 client counts by its network of 64 bits.
    pub per_peer: usize,
}

impl ConnectionLimits {
    /// This many sockets, or half of what the process may open if that is less: the other half is for the
    /// database, the broker and storages.
    ///
    /// One address may hold `per_peer` of them, by default three quarters. A proxy in front sends everybody's
    /// requests from one address, so the default is more than an API lets in at once; a lower limit is for
    /// listeners that clients reach by themselves.
    pub fn new(total: usize, per_peer: Option<usize>, open_files: usize) -> Self {
        let total = total.min(open_files / 2).max(1);
        let per_peer = per_peer.unwrap_or(total / 4 * 3).clamp(1, total);
        Self { total, per_peer }
    }

    /// Whether an address with this many sockets may have no more. One that may have all of them only finds the
    /// listener full.
    pub(crate) fn is_reached_by(self, of_peer: usize) -> bool {
        self.per_peer < self.total && of_peer >= self.per_peer
    }

    /// Whether this many sockets are nearly all: from here on slow clients get less time.
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
