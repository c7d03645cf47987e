//! File filters select what Python's `re.match` selects, as in Label Studio.

mod grammar;

use std::io::Write;
use std::process::{Command, Stdio};

use longshore_filter::{FilterError, KeyFilter, Skip};
use serde::Deserialize;
use serde_json::json;

use grammar::{Source, odd};

/// Expressions that are generated beside the fixed ones.
const RANDOM: usize = 6_000;

/// Keys that each is matched against.
const KEYS: usize = 120;

/// The first Python with possessive quantifiers, with atomic groups, and without flags in the middle.
const POSSESSIVE_SINCE: (u8, u8) = (3, 11);

/// What Python says.
#[derive(Deserialize)]
struct Python {
    version: (u8, u8),
    /// Of each expression a digit per key, 1 if it is selected; `None` if the expression is refused.
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
        // It reads everything before it writes anything.
        let work = json!({"expressions": expressions, "keys": keys}).to_string();
        python.stdin.take().expect("a pipe").write_all(work.as_bytes()).expect("Python reads");
        let output = python.wait_with_output().expect("Python ends");
        assert!(output.status.success(), "Python failed: {}", output.status);
        serde_json::from_slice(&output.stdout).expect("JSON")
    }
}

/// Goal: no filter selects other keys than it does in Label Studio; what differs is refused when it is saved. Method:
/// expressions from a grammar with all that other languages have or mean differently, matched by Python and by us.
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
        "{} select other keys: {:#?}",
        different.len(),
        &different[..different.len().min(40)]
    );
    // Odd constructs with a quantifier become possessive by chance.
    taken_by_us.retain(|expression| source.knows_possessive || !is_possessive(expression));
    assert!(taken_by_us.is_empty(), "Python refuses what we take: {taken_by_us:#?}");
    // The test says something only if most expressions are taken and some keys are selected.
    assert!(equal > RANDOM / 3 && selected > equal * KEYS / 20, "{equal} {selected}");

    let needless = |error: &FilterError| !matches!(error, FilterError::Unsupported { .. });
    refused_by_us.retain(|(expression, error)| needless(error) && !is_newer_or_older(expression, python.version));
    assert!(refused_by_us.is_empty(), "refused without need: {refused_by_us:#?}");
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

/// Whether this Python takes what others refuse: flags in the middle until 3.10, `\z` since 3.14.
fn is_newer_or_older(expression: &str, version: (u8, u8)) -> bool {
    let has_flags = ["(?i)", "(?s)", "(?x)", "(?m)", "(?a)", "(?u)"].iter().any(|flags| expression.contains(flags));
    (version < POSSESSIVE_SINCE && has_flags) || (version >= (3, 14) && expression.contains(r"\z"))
}
