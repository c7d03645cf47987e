//! File filters select what Python's `re.match` selects, as in Label Studio.

mod grammar;

use std::io::Write;
use std::process::{Command, Stdio};

use longshore_filter::{FilterError, KeyFilter, Skip};
use serde::Deserialize;
use serde_json::json;

use grammar::{Source, odd};

/// Number of generated expressions, besides the fixed ones.
const RANDOM: usize = 6_000;

/// Number of keys that each expression is matched against.
const KEYS: usize = 120;

/// The first version of Python that has possessive quantifiers and atomic groups, and refuses flags in the middle.
const POSSESSIVE_SINCE: (u8, u8) = (3, 11);

/// The answers of Python.
#[derive(Deserialize)]
struct Python {
    version: (u8, u8),
    /// For each expression, one digit per key: 1 if the key is selected; `None` if Python refuses the expression.
    answers: Vec<Option<String>>,
}

impl Python {
    fn ask(expressions: &[String], keys: &[String]) -> Self {
        let mut python = Command::new("python3")
            .args(["-X", "utf8", "-c", include_str!("python_filters/match.py")])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("Python 3: `make install-tests` installs it");
        // The program reads its whole input before it writes, so this cannot deadlock.
        let work = json!({"expressions": expressions, "keys": keys}).to_string();
        python.stdin.take().expect("a pipe").write_all(work.as_bytes()).expect("Python reads");
        let output = python.wait_with_output().expect("Python ends");
        assert!(output.status.success(), "Python failed: {}", output.status);
        serde_json::from_slice(&output.stdout).expect("JSON")
    }
}

/// Goal: a filter selects the same keys as in Label Studio, or is refused when it is saved. Method: Python and
/// Longshore match expressions from a grammar that includes constructs which other languages add or define differently.
#[test]
fn a_file_filter_selects_what_python_selects_or_is_refused() {
    let mut source = Source::new(0x9e37_79b9_7f4a_7c15);
    let keys: Vec<String> = (0..KEYS).map(|_| source.key()).collect();
    source.knows_possessive = Python::ask(&[], &[]).version >= POSSESSIVE_SINCE;
    let expressions: Vec<String> = odd().chain((0..RANDOM).map(|_| source.expression())).collect();
    let python = Python::ask(&expressions, &keys);
    assert_eq!(python.answers.len(), expressions.len());

    let (mut equal, mut selected, mut refused_by_both) = (0, 0, 0);
    let (mut refused_by_us, mut taken_by_us, mut different) = (Vec::new(), Vec::new(), Vec::new());
    for (expression, answer) in expressions.iter().zip(&python.answers) {
        match (KeyFilter::new("", true, Some(expression)), answer) {
            (Err(_), None) => refused_by_both += 1,
            (Err(error), Some(_)) => refused_by_us.push((expression, error)),
            (Ok(_), None) => taken_by_us.push(expression),
            (Ok(filter), Some(answer)) => {
                let ours: String = keys.iter().map(|key| digit(&filter, key)).collect();
                if ours == *answer {
                    equal += 1;
                    selected += ours.matches('1').count();
                } else {
                    let differs = |(_, (ours, theirs)): &(_, (char, char))| ours != theirs;
                    let first = keys.iter().zip(ours.chars().zip(answer.chars())).find(differs);
                    different.push((expression, first));
                }
            }
        }
    }
    println!(
        "Python {:?}: {equal} expressions select the same of {KEYS} keys ({selected} selections), {refused_by_both} are \
         refused by both, {} by us alone",
        python.version,
        refused_by_us.len()
    );
    assert!(
        different.is_empty(),
        "{} expressions select other keys: {:#?}",
        different.len(),
        &different[..different.len().min(40)]
    );
    // Odd constructs with a quantifier become possessive by chance.
    taken_by_us.retain(|expression| source.knows_possessive || !is_possessive(expression));
    assert!(taken_by_us.is_empty(), "Longshore accepts expressions that Python refuses: {taken_by_us:#?}");
    // The test is only meaningful if both accept many expressions and some keys are selected.
    assert!(equal > RANDOM / 3 && selected > equal * KEYS / 20, "{equal} {selected}");

    let needless = |error: &FilterError| !matches!(error, FilterError::Unsupported { .. });
    refused_by_us.retain(|(expression, error)| needless(error) && !is_newer_or_older(expression, python.version));
    assert!(refused_by_us.is_empty(), "Longshore refuses expressions that it should support: {refused_by_us:#?}");
}

fn digit(filter: &KeyFilter, key: &str) -> char {
    match filter.skips(key) {
        None => '1',
        Some(Skip::Regex) => '0',
        Some(Skip::RegexTooSlow) => '?',
        Some(other) => panic!("{key:?}: {}", other.as_str()),
    }
}

fn is_possessive(expression: &str) -> bool {
    expression.contains("(?>") || ["*+", "++", "?+", "}+"].iter().any(|quantifier| expression.contains(quantifier))
}

/// Whether this version of Python accepts an expression that others refuse: flags in the middle until 3.10, `\z` since
/// 3.14.
fn is_newer_or_older(expression: &str, version: (u8, u8)) -> bool {
    let has_flags = ["(?i)", "(?s)", "(?x)", "(?m)", "(?a)", "(?u)"].iter().any(|flags| expression.contains(flags));
    (version < POSSESSIVE_SINCE && has_flags) || (version >= (3, 14) && expression.contains(r"\z"))
}
