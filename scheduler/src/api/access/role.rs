//! The roles of tokens.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// The role of a token. Each role includes the permissions of the ones before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(in crate::api) enum Role {
    /// Read everything except tokens.
    Read,
    /// Start, cancel and retry syncs; replay and discard quarantined objects; write annotations.
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

    /// Parses the role of a token row; `None` if it is unknown.
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
