//! The words that people and programs write for true and false: in bodies, forms and queries.

/// What a word means; `None` if it is none of them.
pub(super) fn of_word(word: &str) -> Option<bool> {
    match word.trim().to_ascii_lowercase().as_str() {
        "true" | "t" | "yes" | "y" | "on" | "1" => Some(true),
        "false" | "f" | "no" | "n" | "not" | "off" | "0" => Some(false),
        _ => None,
    }
}
