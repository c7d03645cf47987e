//! A rule for all files of this crate: only a table's own file writes the table.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// The folder whose statements may write several tables: the transitions of a job.
const LIFECYCLE: &str = "lifecycle/";

/// Tables and the files of another name that may write them. Imports write the native host's tables by `COPY`, and the
/// `label-studio` host has tables and adopts links.
const OTHER_HOMES: [(&str, &str); 12] = [
    ("api_tokens", "tokens.rs"),
    ("api_tokens", "tokens/first.rs"),
    ("tasks", "host/native/copy.rs"),
    ("annotations", "host/native/copy.rs"),
    ("predictions", "host/native/copy.rs"),
    ("host_deltas", "host/label_studio/fold.rs"),
    ("host_deltas", "host/label_studio/copy.rs"),
    ("host_projects", "host/label_studio/inner_ids.rs"),
    ("host_projects", "host/label_studio/recount.rs"),
    ("host_created_tasks", "host/label_studio/created.rs"),
    ("webhook_deliveries", "host/label_studio/deliveries.rs"),
    ("objects", "host/label_studio/adopt.rs"),
];

/// The schema of Label Studio's tables. The names of its storage tables depend on the kind.
const OF_LABEL_STUDIO: &str = "public.";

/// Files that name privileges on tables and write none.
const NO_STATEMENTS: [&str; 2] = ["tests.rs", "rights.rs"];

/// Tables that only triggers write.
const BY_TRIGGERS: [&str; 1] = ["revoked_tokens"];

fn files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).expect("a folder of the crate") {
        let path = entry.expect("an entry").path();
        if path.is_dir() { files(&path, found) } else { found.push(path) }
    }
}

/// The path and the text without comments of each file below a folder of the crate.
fn texts(folder: &str) -> Vec<(String, String)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
    let mut paths = Vec::new();
    files(&folder, &mut paths);
    let text = |path: PathBuf| {
        let text = fs::read_to_string(&path).expect("its text");
        let is_code = |line: &&str| !["//", "--"].iter().any(|comment| line.trim_start().starts_with(comment));
        let name = path.strip_prefix(&folder).expect("it is inside").to_str().expect("plain names").to_owned();
        (name, text.lines().filter(is_code).collect::<Vec<_>>().join("\n"))
    };
    paths.into_iter().map(text).collect()
}

/// The word after each occurrence of these verbs.
fn written<'a>(text: &'a str, verbs: &[&str]) -> Vec<&'a str> {
    let words: Vec<&str> = text.split_whitespace().collect();
    let follows = |at: usize, verb: &str| {
        let verb: Vec<&str> = verb.split(' ').collect();
        let is_verb = words.get(at..at + verb.len())?.iter().zip(&verb).all(|(word, part)| bare(word) == *part);
        words.get(at + verb.len()).filter(|_| is_verb).copied()
    };
    (0..words.len()).flat_map(|at| verbs.iter().filter_map(move |verb| follows(at, verb))).collect()
}

/// A word without quotes, brackets and commas.
fn bare(word: &str) -> &str {
    word.trim_matches(|c: char| !c.is_alphanumeric() && c != '_' && c != '{' && c != '}')
}

fn is_home(file: &str, table: &str) -> bool {
    file.starts_with(LIFECYCLE)
        || file == format!("{table}.rs")
        || file.starts_with(&format!("{table}/"))
        || OTHER_HOMES.contains(&(table, file))
}

#[test]
fn only_a_tables_own_file_and_the_lifecycle_write_it() {
    let migrations = texts("migrations");
    let tables: BTreeSet<&str> =
        migrations.iter().flat_map(|(_, text)| written(text, &["CREATE TABLE"])).map(bare).collect();
    let (mut strangers, mut seen) = (Vec::new(), BTreeSet::from(BY_TRIGGERS));
    for (file, text) in texts("src").iter().filter(|(file, _)| !NO_STATEMENTS.contains(&file.as_str())) {
        for word in written(text, &["INSERT INTO", "UPDATE", "DELETE FROM", "COPY"]).into_iter().map(bare) {
            if word.starts_with(OF_LABEL_STUDIO) {
                continue;
            }
            if word.contains('{') {
                strangers.push(format!("{file} writes a table whose name is a variable: {word}"));
            } else if let Some(table) = tables.get(word) {
                seen.insert(*table);
                if !is_home(file, table) {
                    strangers.push(format!("{file} writes {table}"));
                }
            }
        }
    }
    assert!(strangers.is_empty(), "move these statements to the tables' files:\n{}", strangers.join("\n"));
    assert_eq!(seen, tables, "no statement writes some table; does this test still find the statements?");
}

#[test]
fn every_kind_may_be_stored() {
    let migrations = texts("migrations");
    let check = "CHECK (kind IN ('s3'";
    let (_, latest) = migrations.iter().filter(|(_, text)| text.contains(check)).max().expect("a check of the kinds");
    let allowed = latest.split(check).nth(1).and_then(|rest| rest.split(')').next()).expect("its list");
    for kind in longshore_model::StorageKind::ALL {
        let is_first = kind.as_str() == "s3";
        assert!(is_first || allowed.contains(&format!("'{kind}'")), "a migration must allow {kind} beside s3{allowed}");
    }
}

#[test]
fn the_rights_of_the_programs_name_every_table_and_every_statement() {
    let migrations = texts("migrations");
    let rights: std::collections::BTreeMap<&str, BTreeSet<&str>> =
        crate::rights::TABLES.iter().map(|(table, rights)| (*table, rights.iter().copied().collect())).collect();
    let created = migrations.iter().flat_map(|(_, text)| written(text, &["CREATE TABLE"])).map(bare);
    let tables: BTreeSet<&str> = created.chain(["refinery_schema_history"]).collect();
    assert_eq!(rights.keys().copied().collect::<BTreeSet<_>>(), tables, "list every table in rights.rs and rights.md");

    let texts = texts("src");
    for (right, verbs) in
        [("INSERT", &["INSERT INTO", "COPY"][..]), ("UPDATE", &["UPDATE"]), ("DELETE", &["DELETE FROM"])]
    {
        for (file, text) in texts.iter().filter(|(file, _)| !NO_STATEMENTS.contains(&file.as_str())) {
            for table in written(text, verbs).into_iter().map(bare).filter(|word| tables.contains(word)) {
                assert!(
                    rights[table].contains(right),
                    "{file} needs {right} on {table}: add it to rights.rs and rights.md"
                );
            }
        }
    }
}
