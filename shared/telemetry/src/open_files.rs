//! The process's limit of open files, which includes sockets.

use crate::error_chain;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use tracing::{info, warn};

/// Raises this process's limit of open files to the highest that the system allows, and returns the limit in effect.
///
/// Service managers start programs with a limit of 1,024, for old programs that use `select`. A scheduler at that
/// limit cannot accept a socket or open a database connection.
pub fn raise_open_files() -> usize {
    let limits = getrlimit(Resource::RLIMIT_NOFILE);
    let (before, most) = match limits {
        Ok(limits) => limits,
        Err(error) => {
            warn!(
                event = "open_files_unknown",
                error = error_chain(&error),
                "could not read the limit of open files, assuming {ASSUMED}"
            );
            return ASSUMED;
        }
    };
    let now = match setrlimit(Resource::RLIMIT_NOFILE, most, most) {
        Ok(()) => most,
        Err(error) => {
            warn!(
                event = "open_files_not_raised",
                error = error_chain(&error),
                limit = before,
                "could not raise the limit of open files"
            );
            before
        }
    };
    info!(event = "open_files_limit", before, limit = now, "limit of open files: {now}");
    usize::try_from(now).unwrap_or(usize::MAX)
}

/// The limit if the system does not report it: the usual default. If it is higher, the process may hit the real limit
/// unexpectedly; if it is lower, it only accepts fewer sockets.
const ASSUMED: usize = 1_024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_low_limit_of_open_files_is_raised_to_the_highest_allowed() {
        let (_, most) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
        setrlimit(Resource::RLIMIT_NOFILE, 256.min(most), most).unwrap();
        assert_eq!(raise_open_files() as u64, most);
        assert_eq!(getrlimit(Resource::RLIMIT_NOFILE).unwrap(), (most, most));
    }
}
