//! The README and the pages promise only what a test shows, and list the settings and fields that the programs read.

use std::collections::BTreeSet;

use longshore_db::Outage;
use longshore_model::{StorageKind, WaitingFor, kinds};
use longshore_rig::installed::workspace;
use longshore_telemetry::settings;

/// Maximum length, so that a first reading takes minutes.
const README_LINES: usize = 150;

fn page(name: &str) -> String {
    std::fs::read_to_string(workspace().join(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

#[test]
fn the_pages_list_exactly_the_settings_that_the_programs_read() {
    for (name, table) in
        [("README.md", settings::required_markdown()), ("deploy/operations/settings.md", settings::markdown())]
    {
        assert!(
            page(name).contains(&table),
            "replace the table in {name} with what `longshore-scheduler settings` prints:\n{table}"
        );
    }
}

#[test]
fn the_readme_names_label_studio_first_and_is_short() {
    let readme = page("README.md");
    let first = readme.lines().find(|line| !line.is_empty() && !line.starts_with('#')).expect("a first sentence");
    assert!(first.contains("Label Studio"), "{first}");
    let lines = readme.lines().count();
    assert!(lines <= README_LINES, "{lines} lines: at most {README_LINES}");
}

#[test]
fn the_page_for_label_studio_names_only_settings_that_the_programs_read() {
    let text = page("deploy/label-studio/README.md");
    let words = text.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_'));
    // The last one is the command line's.
    let known: BTreeSet<&str> =
        settings::table::ALL.iter().map(|setting| setting.name).chain(["LONGSHORE_URL"]).collect();
    let named: BTreeSet<&str> = words.filter(|word| word.starts_with("LONGSHORE_")).collect();
    let unknown: Vec<_> = named.difference(&known).collect();
    assert!(unknown.is_empty() && named.len() > 5, "{unknown:?}");
    for required in ["LONGSHORE_HOST", "LONGSHORE_LABEL_STUDIO_URL", "LONGSHORE_SECRET_KEYS", "LONGSHORE_TOKEN"] {
        assert!(named.contains(required), "{required}");
    }
}

#[test]
fn the_readme_offers_both_ways_in_before_anything_else() {
    let readme = page("README.md");
    let first_screen: String = readme.lines().take(30).collect();
    for way in ["deploy/label-studio/README.md", "make demo WITH=label-studio", "your own app", "`make demo`"] {
        assert!(first_screen.contains(way), "{way}");
    }
}

#[test]
fn the_page_about_waiting_explains_every_word_and_every_code() {
    let text = page("deploy/operations/waiting.md");
    for what in WaitingFor::ALL {
        assert!(text.contains(&format!("\n| `{what}` | ")), "explain {what}");
    }
    for outage in Outage::ALL {
        assert!(text.contains(&format!("`{}`", outage.code())), "explain {}", outage.code());
    }
}

/// The rows of the table of promises: the promise and the names of its tests.
fn rows(page: &str) -> Vec<(&str, Vec<&str>)> {
    let rows = page.lines().filter(|line| line.starts_with("| **"));
    rows.map(|row| {
        let mut columns = row.split(" | ");
        let promise = columns.next().expect("a promise").trim_start_matches("| ");
        (promise, columns.next().unwrap_or_default().split('`').skip(1).step_by(2).collect())
    })
    .collect()
}

#[test]
fn the_table_of_fields_in_the_page_of_a_kind_is_the_one_that_the_programs_read() {
    for kind in StorageKind::ALL {
        let (name, table) = (format!("deploy/storages/{kind}.md"), kinds::markdown(*kind));
        assert!(
            page(&name).contains(&table),
            "replace the table in {name} with what `longshore-scheduler fields {kind}` prints:\n{table}"
        );
    }
}

#[test]
fn every_promise_of_the_readme_names_existing_tests() {
    let (readme, tests_page) = (page("README.md"), page("tests/README.md"));
    let promises = readme.split("\n## ").find(|section| section.starts_with("Promises")).expect("its promises");
    let promises: Vec<&str> = promises.lines().filter_map(|line| line.strip_prefix("* ")).collect();
    let rows = rows(&tests_page);
    assert!(promises.len() > 5, "a list of promises");
    assert_eq!(promises, rows.iter().map(|(promise, _)| *promise).collect::<Vec<_>>(), "README.md and tests/README.md");

    let tests = sources();
    for (promise, names) in rows {
        assert!(!names.is_empty(), "a promise without a test: {promise}");
        let missing: BTreeSet<_> = names.into_iter().filter(|name| !tests.contains(&format!("fn {name}()"))).collect();
        assert!(missing.is_empty(), "tests/README.md names tests that do not exist: {missing:?}");
    }
}

/// The text of all system tests.
fn sources() -> String {
    let mut tests = String::new();
    let mut folders = vec![workspace().join("tests/it")];
    while let Some(folder) = folders.pop() {
        for file in std::fs::read_dir(folder).expect("the tests") {
            let path = file.expect("a file").path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                tests.push_str(&std::fs::read_to_string(path).expect("its text"));
            }
        }
    }
    tests
}
