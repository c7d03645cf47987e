//! Checks texts for words that the glossary replaces.

use std::path::Path;

use super::sources::workspace;

/// Words to avoid, and their replacements.
const REPLACED: [(&[&str], &str); 8] = [
    (&["is", "away"], "is unavailable"),
    (&["whoever"], "the role: operator, user, caller"),
    (&["nobody"], "the role: operator, user, caller"),
    (&["anew"], "again"),
    (&["mend"], "fix"),
    (&["at", "hand"], "current"),
    (&["set", "aside"], "quarantine"),
    (&["for", "ever"], "forever, or the limit"),
];

/// Folders with texts of this project. Migrations are excluded because they never change, including their comments.
const FOLDERS: [&str; 7] = ["shared", "worker", "scheduler", "deploy", "tests/rig", "tests/it", ".github"];

#[test]
fn no_text_has_a_word_that_the_glossary_replaces() {
    let mut found = Vec::new();
    for folder in FOLDERS {
        visit(&workspace().join(folder), &mut |path| {
            let text = std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
            found.extend(replaced(&text).into_iter().map(|(line, instead)| {
                format!("{}:{line}: {instead}", path.strip_prefix(workspace()).unwrap_or(path).display())
            }));
        });
    }
    assert!(found.is_empty(), "write instead:\n{}", found.join("\n"));
}

/// The lines with such words, and the replacements. A phrase may span two lines.
fn replaced(text: &str) -> Vec<(usize, &'static str)> {
    let lines = text.lines().enumerate();
    let words: Vec<(usize, String)> = lines
        .flat_map(|(number, line)| {
            let words = line.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty());
            words.map(move |word| (number + 1, word.to_lowercase()))
        })
        .collect();
    let at = |start: usize, phrase: &[&str]| {
        words[start..].iter().zip(phrase).filter(|((_, word), part)| word == *part).count() == phrase.len()
    };
    let starts = 0..words.len();
    starts
        .flat_map(|start| {
            let here = REPLACED.iter().filter(move |(phrase, _)| at(start, phrase));
            here.map(|(_, instead)| (words[start].0, *instead)).collect::<Vec<_>>()
        })
        .collect()
}

#[test]
fn words_are_found_on_one_line_and_on_two() {
    assert_eq!(replaced("// The broker is\n// away.\nfine"), [(1, "is unavailable")]);
    assert_eq!(replaced("let mended = 1;\nmend(it)"), [(2, "fix")]);
}

fn visit(folder: &Path, read: &mut impl FnMut(&Path)) {
    for entry in std::fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display())) {
        let path = entry.expect("an entry").path();
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        if path.is_dir() {
            if !["target", "migrations", "style", "__pycache__"].contains(&name) {
                visit(&path, read);
            }
        } else if [".rs", ".md", ".sql", ".sh", ".py"].iter().any(|extension| name.ends_with(extension)) {
            read(&path);
        }
    }
}
