//! What a token may do.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// What a token may do; each role includes the ones before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(in crate::api) enum Role {
    /// Read everything except tokens.
    Read,
    /// Start, cancel and retry syncs, decide about quarantine, annotate.
    Sync,
    /// Configure projects, storages and tokens.
    Admin,
}

impl Role {
    pub(in crate::api) const fn as_str(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Sync => "sync",
            Self::Admin => "admin",
        }
    }

    /// Reads the word that the table has; `None` if it is another one.
    pub(super) fn of(word: &str) -> Option<Self> {
        [Self::Read, Self::Sync, Self::Admin].into_iter().find(|role| role.as_str() == word)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_role_includes_the_ones_before_it() {
        assert!(Role::Read < Role::Sync && Role::Sync < Role::Admin);
        assert_eq!((Role::of("sync"), Role::of("owner")), (Some(Role::Sync), None));
    }
}
