//! What a user probably meant by an expression that selects nothing.

use crate::Matched;
use crate::glob::Glob;

/// How an expression differs from what its user probably meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Misreading {
    /// It is a glob.
    Glob,
    /// It has blanks at its ends.
    Blanks,
    /// It begins with a slash, and keys do not.
    LeadingSlash,
    /// It begins with the name of the bucket, and keys begin after it.
    Bucket,
    /// It names folders, and is matched against the name of the file alone.
    Folder,
    /// Its backslashes are doubled, as in the source of a program.
    DoubledBackslash,
    /// It must match from the start of the key, and matches later.
    NotFromStart,
    /// It has letters of another case.
    Case,
}

/// An expression that the user may have meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Suggestion {
    pub misreading: Misreading,
    pub expression: String,
}

/// The expression that a glob means, if a text is certainly a glob and no expression.
pub fn certain_glob(text: &str) -> Option<String> {
    Glob::read(text).filter(|glob| glob.is_certain).map(|glob| glob.expression)
}

/// What an expression for the keys of a bucket may have been meant to be, the most likely first. At most 32. Some may not be
/// valid. `matched` is the part of a key that it is matched against.
pub fn suggestions(expression: &str, bucket: &str, matched: Matched) -> Vec<Suggestion> {
    let mut bases: Vec<(Option<Misreading>, String)> = vec![(None, expression.to_owned())];
    let mut add = |misreading, text: String| {
        if bases.iter().all(|(_, known)| *known != text) {
            bases.push((Some(misreading), text));
        }
    };
    let trimmed = expression.trim();
    add(Misreading::Blanks, trimmed.to_owned());
    if let Some(glob) = Glob::read(trimmed) {
        add(Misreading::Glob, glob.expression.clone());
        add(Misreading::Glob, without_slash(&glob.expression));
    }
    add(Misreading::LeadingSlash, without_slash(trimmed));
    if let Some(key) = without_bucket(trimmed, bucket) {
        if let Some(glob) = Glob::read(key) {
            add(Misreading::Bucket, glob.expression);
        }
        add(Misreading::Bucket, key.to_owned());
    }
    if let Some(name) = without_folders(trimmed).filter(|_| matched == Matched::Name) {
        add(Misreading::Folder, name.to_owned());
    }
    add(Misreading::DoubledBackslash, trimmed.replace("\\\\", "\\"));
    let mut found: Vec<Suggestion> = Vec::new();
    let mut suggest = |misreading, text: String| {
        if text != expression && found.iter().all(|known| known.expression != text) {
            found.push(Suggestion { misreading, expression: text });
        }
    };
    for (misreading, base) in bases.iter().filter_map(|(misreading, base)| Some(((*misreading)?, base))) {
        suggest(misreading, base.clone());
    }
    for (misreading, base) in &bases {
        suggest(misreading.unwrap_or(Misreading::NotFromStart), anywhere(base));
    }
    for (misreading, base) in &bases {
        suggest(misreading.unwrap_or(Misreading::Case), any_case(base));
        suggest(misreading.unwrap_or(Misreading::Case), any_case(&anywhere(base)));
    }
    found
}

/// The flags at the start, and the rest.
fn flags(expression: &str) -> (&str, &str) {
    let end = expression.strip_prefix("(?").and_then(|rest| {
        let letters = rest.find(|letter: char| !"aimsux".contains(letter))?;
        (letters > 0 && rest.get(letters..)?.starts_with(')')).then_some(letters + 3)
    });
    expression.split_at(end.unwrap_or_default())
}

fn without_slash(expression: &str) -> String {
    let (anchor, rest) = expression.strip_prefix('^').map_or(("", expression), |rest| ("^", rest));
    let rest = rest.strip_prefix("./").or_else(|| rest.strip_prefix("\\./")).unwrap_or(rest);
    format!("{anchor}{}", rest.trim_start_matches('/'))
}

/// The expression after the name of the bucket, which a scheme such as `s3://` may precede.
fn without_bucket<'a>(expression: &'a str, bucket: &str) -> Option<&'a str> {
    let rest = expression.strip_prefix('^').unwrap_or(expression);
    let rest = rest.split_once("://").map_or(rest, |(_, rest)| rest).trim_start_matches('/');
    let rest = rest.strip_prefix(bucket).filter(|_| !bucket.is_empty())?;
    rest.strip_prefix('/')
}

/// The expression after its last slash outside of a set.
fn without_folders(expression: &str) -> Option<&str> {
    let (mut in_set, mut last) = (false, None);
    for (at, letter) in expression.char_indices() {
        match letter {
            '[' => in_set = true,
            ']' => in_set = false,
            '/' if !in_set => last = Some(at + 1),
            _ => {}
        }
    }
    expression.get(last?..).filter(|name| !name.is_empty())
}

/// The expression, matched anywhere in the key.
fn anywhere(expression: &str) -> String {
    let (flags, rest) = flags(expression.trim());
    let rest = rest.strip_prefix('^').unwrap_or(rest);
    if rest.contains('|') {
        // A reference counts groups.
        let group = if rest.contains("\\1") || rest.contains("(?(") { "(?:" } else { "(" };
        return format!("{flags}.*{group}{rest})");
    }
    format!("{flags}.*{rest}")
}

fn any_case(expression: &str) -> String {
    if flags(expression).0.contains('i') { expression.to_owned() } else { format!("(?i){expression}") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::KeyFilter;

    /// The first suggestion that selects one of the keys.
    fn meant(expression: &str, keys: &[&str], matched: Matched) -> Option<(Misreading, String)> {
        suggestions(expression, "pets", matched).into_iter().find_map(|suggestion| {
            let filter = KeyFilter::new("", true, Some(&suggestion.expression)).ok()?.matching(matched);
            let matches = keys.iter().any(|key| filter.skips(key).is_none());
            matches.then_some((suggestion.misreading, suggestion.expression))
        })
    }

    #[test]
    fn the_suggestion_selects_what_the_user_meant() {
        let keys = ["images/0.png", "images/1.png", "labels/a.json"];
        for (expression, misreading, suggestion) in [
            (".png", Misreading::NotFromStart, ".*.png"),
            ("png", Misreading::NotFromStart, ".*png"),
            (r"\.png$", Misreading::NotFromStart, r".*\.png$"),
            ("jpg|png", Misreading::NotFromStart, ".*(jpg|png)"),
            (r"(?i)\.PNG", Misreading::NotFromStart, r"(?i).*\.PNG"),
            ("^png", Misreading::NotFromStart, ".*png"),
            (" .*", Misreading::Blanks, ".*"),
            ("images/.* ", Misreading::Blanks, "images/.*"),
            ("/images/.*", Misreading::LeadingSlash, "images/.*"),
            ("./images/.*", Misreading::LeadingSlash, "images/.*"),
            ("images/*.png", Misreading::Glob, r"images/[^/]*\.png"),
            ("/images/*.png", Misreading::Glob, r"images/[^/]*\.png"),
            ("images/?.png", Misreading::Glob, r"images/[^/]\.png"),
            (r".*\\.png", Misreading::DoubledBackslash, r".*\.png"),
            (r"\\d+\\.png", Misreading::DoubledBackslash, r".*\d+\.png"),
            ("Images/.*", Misreading::Case, "(?i)Images/.*"),
            (r".*\.PNG", Misreading::Case, r"(?i).*\.PNG"),
            ("PNG", Misreading::Case, "(?i).*PNG"),
            ("pets/images/.*", Misreading::Bucket, "images/.*"),
            (r"s3://pets/images/\d\.png", Misreading::Bucket, r"images/\d\.png"),
            ("s3://pets/images/*.png", Misreading::Bucket, r"images/[^/]*\.png"),
            (r"[a-z]*.png", Misreading::NotFromStart, ".*[a-z]*.png"),
        ] {
            assert_eq!(
                meant(expression, &keys, Matched::Key),
                Some((misreading, suggestion.to_owned())),
                "{expression}"
            );
        }
        for hopeless in [r".*\.jpg", "videos/", r".*\\.jpg", "x{2}"] {
            assert_eq!(meant(hopeless, &keys, Matched::Key), None, "{hopeless}");
        }
    }

    #[test]
    fn an_expression_for_names_needs_no_folders() {
        let keys = ["images/a.png", "images/b.png"];
        for (expression, misreading, suggestion) in [
            (r"images/.*\.png", Misreading::Folder, r".*\.png"),
            (r"/data/images/[^/]*\.png", Misreading::Folder, r"[^/]*\.png"),
            (r"\.png", Misreading::NotFromStart, r".*\.png"),
        ] {
            assert_eq!(
                meant(expression, &keys, Matched::Name),
                Some((misreading, suggestion.to_owned())),
                "{expression}"
            );
        }
    }

    #[test]
    fn there_are_few_suggestions() {
        for expression in ["", ".*", " /Images/**/*.{jpg,png} ", r"^\\./a|b?", "(?i)a", " ^s3://pets/*/./b.* "] {
            for matched in [Matched::Key, Matched::Name] {
                assert!(suggestions(expression, "pets", matched).len() <= 32, "{expression}");
            }
        }
    }
}
