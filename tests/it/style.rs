//! Checks the structure of the code: file lengths, circular imports, and event codes in log calls.

mod imports;
mod sources;
mod words;

use sources::{CRATES, Source, sources};

/// Maximum lines of a file with its tests, so that a reader can read it in one sitting.
const LONGEST_FILE: usize = 300;

/// Maximum lines of a file that contains only tests, which are read one at a time.
const LONGEST_TEST_FILE: usize = 400;

#[test]
fn no_file_is_too_long_to_read_in_one_sitting() {
    let all =
        CRATES.iter().chain(&["tests/it", "tests/rig", "tests/bench", "tests/fuzz"]).flat_map(|folder| sources(folder));
    let too_long: Vec<String> = all
        .filter_map(|Source { path, text, is_test }| {
            let (lines, limit) = (text.lines().count(), if is_test { LONGEST_TEST_FILE } else { LONGEST_FILE });
            (lines > limit).then(|| format!("{path}: {lines} lines, at most {limit}"))
        })
        .collect();
    assert!(too_long.is_empty(), "split these files by noun:\n{}", too_long.join("\n"));
}

#[test]
fn files_of_a_crate_have_no_circular_imports() {
    let circles: Vec<String> = CRATES.iter().flat_map(|folder| imports::circles(folder)).collect();
    assert!(circles.is_empty(), "move shared items to a file that both sides can import:\n{}", circles.join("\n"));
}

#[test]
fn every_log_call_begins_with_an_event_code() {
    let mut without = Vec::new();
    for source in CRATES.iter().flat_map(|folder| sources(folder)).filter(|source| !source.is_test) {
        let product = source.text.split("#[cfg(test)]").next().unwrap_or_default();
        for level in ["trace!(", "debug!(", "info!(", "warn!(", "error!("] {
            for (start, _) in product.match_indices(level) {
                // Part of a longer name, such as `compile_error!(`.
                if product[..start].ends_with(|c: char| c.is_alphanumeric() || c == '_') {
                    continue;
                }
                let fields = product[start + level.len()..].trim_start();
                if !fields.starts_with("event = \"") {
                    let line = product[..start].lines().count();
                    without.push(format!("{}:{line}", source.path));
                }
            }
        }
    }
    assert!(without.is_empty(), "begin these log calls with `event = \"…\"`:\n{}", without.join("\n"));
}
