//! The closed sets of words (kinds, directions, states), each with one spelling for tables, JSON, logs and labels.

use serde::{Deserialize, Serialize};

/// A text that is not one of the words of its set.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("\"{word}\" is not one of: {expected}")]
pub struct UnknownWord {
    /// The text that was read.
    pub word: String,
    /// The words of the set, comma-separated.
    pub expected: String,
}

/// Declares an enum whose variants have one spelling for tables, JSON, logs and labels.
macro_rules! words {
    ($(#[$meta:meta])* $name:ident { $($(#[$vmeta:meta])* $variant:ident = $text:tt,)+ }) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
        pub enum $name { $($(#[$vmeta])* #[serde(rename = $text)] $variant,)+ }

        impl $name {
            /// Every word of the set, in the order of declaration.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// The spelling in tables, JSON, logs and labels.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text),+ }
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result { f.write_str(self.as_str()) }
        }

        impl std::str::FromStr for $name {
            type Err = $crate::word::UnknownWord;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                Self::ALL.iter().copied().find(|word| word.as_str() == text).ok_or_else(|| {
                    $crate::word::UnknownWord {
                        word: text.to_owned(),
                        expected: Self::ALL.iter().map(|word| word.as_str()).collect::<Vec<_>>().join(", "),
                    }
                })
            }
        }
    };
}
pub(crate) use words;

words! {
    /// Which way a storage moves data: objects to tasks, or annotations to objects.
    Direction {
        Import = "import",
        Export = "export",
    }
}

words! {
    /// What one job does with its range.
    JobKind {
        /// Makes tasks from the objects of a key range.
        Import = "import",
        /// Writes the annotations of an ID range as objects.
        Export = "export",
        /// Deletes the objects of annotations that were deleted.
        Delete = "delete",
    }
}

words! {
    /// The state of a job; `shared/db/README.md` has the chart of transitions.
    JobState {
        /// Waits for a worker.
        Available = "available",
        /// A worker holds its lease.
        Running = "running",
        /// Waits out its back-off after a transient failure.
        Retryable = "retryable",
        /// Its whole range is done.
        Completed = "completed",
        /// Given up with a reason; its sync has failed.
        Discarded = "discarded",
        /// Stopped by a user, or because another job of the sync was discarded.
        Cancelled = "cancelled",
    }
}

impl JobState {
    /// Whether the job has ended: nothing changes it any more.
    pub const fn is_final(self) -> bool {
        match self {
            Self::Available | Self::Running | Self::Retryable => false,
            Self::Completed | Self::Discarded | Self::Cancelled => true,
        }
    }
}

words! {
    /// What a live sync waits for. `deploy/operations/waiting.md` explains each word.
    WaitingFor {
        /// The storage: it cannot be reached, fails, or does not answer.
        Storage = "storage",
        /// `RabbitMQ`: it is not connected, blocks publishers, or has not confirmed the message of a job.
        Broker = "broker",
        /// Postgres: it cannot be reached, is read-only, or refuses writes, for example because its disk is full.
        Database = "database",
        /// A worker: none is running, or none has taken the job although slots are free.
        Worker = "worker",
        /// The end of a pause that the storage asked for (`Retry-After`).
        Pause = "pause",
        /// A limit: all slots of the workers, all permits for requests to the storage or all memory for objects are in
        /// use, or the storage limits the request rate.
        Limit = "limit",
    }
}

words! {
    /// The status of a sync, or of a storage's latest sync. The spellings are Label Studio's.
    SyncStatus {
        /// The storage was never synced.
        Initialized = "initialized",
        /// No job was claimed yet.
        Queued = "queued",
        /// At least one job was claimed.
        InProgress = "in_progress",
        /// All jobs completed, and none met an object or annotation in quarantine.
        Completed = "completed",
        /// All jobs completed, but some objects or annotations are in quarantine.
        CompletedWithErrors = "completed_with_errors",
        /// A job was discarded.
        Failed = "failed",
        /// A user stopped the sync.
        Cancelled = "cancelled",
    }
}

impl SyncStatus {
    /// Whether a sync with this status still has work to do.
    pub const fn is_live(self) -> bool {
        match self {
            Self::Queued | Self::InProgress => true,
            Self::Initialized | Self::Completed | Self::CompletedWithErrors | Self::Failed | Self::Cancelled => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_word_reads_back_as_itself() {
        for state in JobState::ALL {
            assert_eq!(state.as_str().parse::<JobState>().as_ref(), Ok(state));
        }
        for kind in crate::StorageKind::ALL {
            assert_eq!(serde_json::to_string(kind).unwrap(), format!("\"{kind}\""));
        }
    }

    #[test]
    fn an_unknown_word_names_the_known_ones() {
        let error = "sideways".parse::<Direction>().unwrap_err();
        assert_eq!(error.to_string(), "\"sideways\" is not one of: import, export");
    }
}
