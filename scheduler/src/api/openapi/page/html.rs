//! Texts and tables as HTML.

/// Escapes a text, so that browsers read no HTML in it, neither between tags nor in an attribute.
pub(super) fn escaped(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            '\'' => safe.push_str("&#39;"),
            other => safe.push(other),
        }
    }
    safe
}

/// Formats a description: text between backticks is code, and an empty line starts a paragraph.
pub(super) fn prose(text: &str) -> String {
    let mut is_code = false;
    let parts = text.split('`').map(|part| {
        let part = escaped(part).replace("\n\n", "<br><br>");
        let shown = if is_code { format!("<code>{part}</code>") } else { part };
        is_code = !is_code;
        shown
    });
    parts.collect()
}

/// A table with a heading; empty if it has no rows.
pub(super) fn table(heading: &str, columns: &[&str], rows: &str) -> String {
    if rows.is_empty() {
        return String::new();
    }
    let columns: String = columns.iter().map(|column| format!("<th>{column}</th>")).collect();
    format!("<h3>{heading}</h3><table><thead><tr>{columns}</tr></thead><tbody>{rows}</tbody></table>\n")
}
