//! Formats text and numbers for terminals.

/// Escapes control characters, so that a terminal does not read the text as commands, and characters that change how
/// the text around them is shown.
pub(crate) fn escaped(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for c in text.chars() {
        if is_unsafe(c) { safe.extend(c.escape_default()) } else { safe.push(c) }
    }
    safe
}

/// As [`escaped`], but keeps line breaks.
pub(crate) fn safe_lines(text: &str) -> String {
    text.split('\n').map(escaped).collect::<Vec<_>>().join("\n")
}

/// Escapes the same characters in a JSON text as JSON does, so that it stays the same value.
pub(crate) fn safe_json(json: &str) -> String {
    let mut safe = String::with_capacity(json.len());
    for c in json.chars() {
        // Outside of its strings, a JSON text has no such character but line breaks.
        if c != '\n' && is_unsafe(c) {
            let mut units = [0; 2];
            safe.extend(c.encode_utf16(&mut units).iter().map(|unit| format!("\\u{unit:04x}")));
        } else {
            safe.push(c);
        }
    }
    safe
}

/// Whether a character is a control character, changes the direction of the text around it, or is invisible. The
/// joiners U+200C and U+200D are not: words of some languages and many emoji need them.
fn is_unsafe(c: char) -> bool {
    c.is_control()
        || matches!(c,
            // Soft hyphen; direction marks, embeddings, overrides and isolates.
            '\u{ad}' | '\u{61c}' | '\u{200e}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{206f}'
            // Separators of lines and paragraphs; spaces without width; invisible operators; byte order mark.
            | '\u{2028}'..='\u{2029}' | '\u{180e}' | '\u{200b}' | '\u{2060}'..='\u{2065}' | '\u{feff}'
            // Annotations, and tags, which spell invisible text.
            | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

/// Formats a number with commas between thousands.
pub(crate) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (position, digit) in digits.chars().enumerate() {
        if position > 0 && (digits.len() - position).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A number with its noun: `1 task`, `1,200 tasks`.
pub(crate) fn counted(number: u64, noun: &str) -> String {
    format!("{} {noun}{}", grouped(number), if number == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hostile_key_cannot_control_the_terminal() {
        assert_eq!(escaped("a\u{1b}[31m\u{9b}é😀"), "a\\u{1b}[31m\\u{9b}é😀");
    }

    #[test]
    fn a_hostile_key_cannot_show_its_characters_in_another_order() {
        // Shown as `invoice exe.pdf` by a terminal that follows the override.
        assert_eq!(escaped("invoice \u{202e}fdp.exe"), "invoice \\u{202e}fdp.exe");
        for c in ["\u{202a}", "\u{2066}", "\u{2069}", "\u{200f}", "\u{61c}", "\u{2028}", "\u{feff}", "\u{e0041}"] {
            assert!(!escaped(c).contains(c) && !safe_lines(c).contains(c) && !safe_json(c).contains(c), "{c:?}");
        }
        for kept in ["👩\u{200d}👧", "می\u{200c}خواهم", "שלום", "a b"] {
            assert_eq!(escaped(kept), kept);
        }
        assert_eq!(safe_lines("a\n\tb"), "a\n\\tb");
    }

    #[test]
    fn escaped_json_is_the_same_value() {
        let value = serde_json::json!({"k\u{202e}": ["\u{9b}31m\n", "\u{e0041}é"]});
        for json in [value.to_string(), format!("{value:#}")] {
            let safe = safe_json(&json);
            assert!(safe.chars().all(|c| c == '\n' || !is_unsafe(c)), "{safe}");
            assert_eq!(serde_json::from_str::<serde_json::Value>(&safe).unwrap(), value);
        }
    }

    #[test]
    fn thousands_are_grouped() {
        assert_eq!([0, 999, 1_000, 1_234_567].map(grouped), ["0", "999", "1,000", "1,234,567"]);
    }
}
