//! How memory that was freed goes back to the system.
//!
//! The C library's allocator reads its settings from the environment, once, as a process starts. By its own
//! settings it keeps freed buffers of up to 32 MiB in up to eight arenas per processor. What a worker held at most under
//! the heaviest mix of objects was then two to three times its budget (274 MiB; with these settings 109 MiB).

use std::os::unix::process::CommandExt;
use std::process::Command;

/// A buffer of at least 1 MiB is mapped by itself, and unmapped when it is freed. Where the allocator begins, at 128 KiB,
/// each listed page is mapped again, and a re-sync was a quarter slower.
const MAPPED_FROM: (&str, &str) = ("MALLOC_MMAP_THRESHOLD_", "1048576");

/// Arenas, each of which keeps what was freed in it: few of our allocations are made by many threads at once.
const ARENAS: (&str, &str) = ("MALLOC_ARENA_MAX", "2");

/// Starts this program again in the same process with settings for the allocator, unless it has some. Call it first.
///
/// Where that fails, or with another C library, the program goes on as it is.
pub fn tune_allocator() {
    let is_set = |(name, _): (&str, &str)| std::env::var_os(name).is_some();
    if is_set(MAPPED_FROM) || is_set(ARENAS) {
        return;
    }
    let Ok(program) = std::env::current_exe() else { return };
    let mut arguments = std::env::args_os();
    let mut again = Command::new(program);
    again.arg0(arguments.next().unwrap_or_default()).args(arguments).envs([MAPPED_FROM, ARENAS]);
    // It returns only if it failed.
    drop(again.exec());
}
