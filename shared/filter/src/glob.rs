//! Globs, which users enter where an expression is due.

/// Signs that expressions have and globs do not.
const OF_EXPRESSIONS: [&str; 10] = ["\\", "(", ")", "^", "$", "|", "+", ".*", ".?", "]*"];

/// A text that can be read as a glob.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Glob {
    /// The expression that selects what the glob selects.
    pub(crate) expression: String,
    /// Whether the text is hardly meant as an expression: it begins with `*`, or has `/*` or `**`. Others have a `*` or a
    /// `?` that an expression may have too.
    pub(crate) is_certain: bool,
}

impl Glob {
    /// Reads a text as a glob; `None` if it has no sign of one, or signs of an expression.
    pub(crate) fn read(text: &str) -> Option<Self> {
        let text = text.trim();
        if !text.contains(['*', '?']) || OF_EXPRESSIONS.iter().any(|sign| text.contains(sign)) {
            return None;
        }
        let is_certain = text.starts_with('*') || text.contains("/*") || text.contains("**");
        Some(Self { expression: expression(text), is_certain })
    }
}

fn expression(glob: &str) -> String {
    let mut out = String::with_capacity(glob.len() + 16);
    let mut rest = glob;
    while let Some(sign) = rest.chars().next() {
        let is_first = out.is_empty();
        let (written, taken) = match sign {
            // Any folders, or none, and with a `*` after them any name.
            '*' if rest.starts_with("**/*") => (".*".to_owned(), 4),
            '*' if rest.starts_with("**/") => ("(.*/)?".to_owned(), 3),
            '*' if rest.starts_with("**") => (".*".to_owned(), 2),
            '*' if is_first => (".*".to_owned(), 1),
            '*' => ("[^/]*".to_owned(), 1),
            '?' => ("[^/]".to_owned(), 1),
            '{' => alternatives(rest).unwrap_or_else(|| ("\\{".to_owned(), 1)),
            '[' => set(rest).unwrap_or_else(|| ("\\[".to_owned(), 1)),
            '.' | ']' | '}' => (format!("\\{sign}"), 1),
            sign => (sign.to_string(), sign.len_utf8()),
        };
        out.push_str(&written);
        rest = rest.get(taken..).unwrap_or_default();
        if written == ".*" {
            rest = rest.trim_start_matches('*');
        }
    }
    out
}

/// `{jpg,png}`, and its length in the glob.
fn alternatives(glob: &str) -> Option<(String, usize)> {
    let end = glob.find('}')?;
    let inner = glob.get(1..end).filter(|inner| inner.contains(',') && !inner.contains('{'))?;
    let words: Vec<String> = inner.split(',').map(expression).collect();
    Some((format!("({})", words.join("|")), end + 1))
}

/// `[abc]` or `[!abc]`, and its length in the glob.
fn set(glob: &str) -> Option<(String, usize)> {
    let end = glob.find(']').filter(|end| *end > 1)?;
    let inner = glob.get(1..end).filter(|inner| !inner.contains('['))?;
    let set = inner.strip_prefix('!').map_or_else(|| format!("[{inner}]"), |others| format!("[^{others}]"));
    Some((set, end + 1))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::KeyFilter;

    #[test]
    fn a_glob_becomes_the_expression_that_selects_the_same_keys() {
        for (glob, expression, is_certain) in [
            ("*.jpg", r".*\.jpg", true),
            ("**", ".*", true),
            ("*", ".*", true),
            ("images/*", "images/[^/]*", true),
            ("images/**", "images/.*", true),
            ("images/**/*.jpg", r"images/.*\.jpg", true),
            ("**/labels/*.json", r"(.*/)?labels/[^/]*\.json", true),
            ("*.{jpg,png}", r".*\.(jpg|png)", true),
            ("img_??.png", r"img_[^/][^/]\.png", false),
            ("img*.png", r"img[^/]*\.png", false),
            ("*.[jp][!x]g", r".*\.[jp][^x]g", true),
            (" *.tar.gz ", r".*\.tar\.gz", true),
            ("a{b*", r"a\{b[^/]*", false),
        ] {
            let found = Glob::read(glob);
            assert_eq!(found, Some(Glob { expression: expression.to_owned(), is_certain }), "{glob}");
            assert!(KeyFilter::new("", true, Some(expression)).is_ok(), "{expression}");
        }
    }

    #[test]
    fn an_expression_is_not_taken_for_a_glob() {
        for expression in
            ["", ".*", r".*\.jpg", "images/.*", "^a*$", "(a|b)*", "a+b?", "[^/]*x", "jpg|png", "img_1.png"]
        {
            assert_eq!(Glob::read(expression), None, "{expression}");
        }
    }
}
