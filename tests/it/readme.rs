//! The README promises only what a test shows.

use std::collections::BTreeSet;

use longshore_tests::installed::workspace;

fn readme() -> String {
    std::fs::read_to_string(workspace().join("README.md")).expect("a README")
}

#[test]
fn the_table_of_settings_in_the_readme_is_the_one_that_the_programs_read() {
    let table = longshore_telemetry::settings::markdown();
    assert!(
        readme().contains(&table),
        "replace the table under Configuration with what `longshore-scheduler settings` prints:\n{table}"
    );
}

#[test]
fn every_promise_of_the_readme_names_tests_that_exist() {
    let readme = readme();
    let promises = readme.split("\n## ").find(|section| section.starts_with("Promises")).expect("its promises");
    let rows: Vec<&str> = promises.lines().filter(|line| line.starts_with("| **")).collect();
    assert!(rows.len() > 5, "a table of promises");

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
    let mut missing = BTreeSet::new();
    for row in rows {
        let shown_by = row.split('|').nth(2).expect("a second column");
        let names: Vec<&str> = shown_by.split('`').skip(1).step_by(2).collect();
        assert!(!names.is_empty(), "a promise without a test: {row}");
        missing.extend(names.into_iter().filter(|name| !tests.contains(&format!("fn {name}()"))));
    }
    assert!(missing.is_empty(), "the README names tests that do not exist: {missing:?}");
}
