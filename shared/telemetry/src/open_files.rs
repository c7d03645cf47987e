//! The limit of open files, sockets included.

use crate::error_chain;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use tracing::{info, warn};

/// Raises this process's limit of open files to what the system allows it at most, and returns the limit
/// in force.
///
/// Service managers start programs with 1,024 for the sake of old ones that use `select`. A scheduler at
/// that limit has no file left to accept a socket or to open a database connection.
pub fn raise_open_files() -> usize {
    let limits = getrlimit(Resource::RLIMIT_NOFILE);
    let (before, most) = match limits {
        Ok(limits) => limits,
        Err(error) => {
            warn!(
                event = "open_files_unknown",
                error = error_chain(&error),
                "limit of open files unknown, taken as {ASSUMED}"
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

/// The limit where the system does not tell it: the usual default. Higher could let the program run into a
/// limit that it does not know; lower would only accept fewer sockets.
const ASSUMED: usize = 1_024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_that_starts_with_few_open_files_takes_as_many_as_it_may() {
        let (_, most) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
        setrlimit(Resource::RLIMIT_NOFILE, 256.min(most), most).unwrap();
        assert_eq!(raise_open_files() as u64, most);
        assert_eq!(getrlimit(Resource::RLIMIT_NOFILE).unwrap(), (most, most));
    }
}
