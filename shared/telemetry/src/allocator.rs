//! Settings of the C library's allocator, so that freed memory goes back to the system.
//!
//! The allocator reads its settings from the environment when the process starts. By default it keeps freed buffers
//! of up to 32 MiB, in up to eight arenas per processor. With the heaviest mix of objects, a worker then used two to
//! three times its memory budget (274 MiB; with these settings 109 MiB).

use std::os::unix::process::CommandExt;
use std::process::Command;

/// Bytes. A buffer of at least 1 MiB gets its own mapping and is unmapped when it is freed. With the default of 128
/// KiB, each listed page needs a new mapping, and a re-sync was a quarter slower.
const MAPPED_FROM: (&str, &str) = ("MALLOC_MMAP_THRESHOLD_", "1048576");

/// Number of arenas, each of which keeps freed memory. Two are enough because threads rarely allocate concurrently.
const ARENAS: (&str, &str) = ("MALLOC_ARENA_MAX", "2");

/// Sets the allocator's settings and executes this program again in the same process, unless the settings are already
/// present. Call it first.
///
/// If that fails, or with another C library, the program continues without these settings.
pub fn tune_allocator() {
    let is_set = |(name, _): (&str, &str)| std::env::var_os(name).is_some();
    if is_set(MAPPED_FROM) || is_set(ARENAS) {
        return;
    }
    let Ok(program) = std::env::current_exe() else { return };
    let mut arguments = std::env::args_os();
    let mut again = Command::new(program);
    again.arg0(arguments.next().unwrap_or_default()).args(arguments).envs([MAPPED_FROM, ARENAS]);
    // `exec` returns only if it failed.
    drop(again.exec());
}
