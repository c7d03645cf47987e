//! The length of JSON text after Postgres has stored it as `jsonb` and printed it again.
//!
//! The API and exports read the printed text, so limits count its bytes. Postgres prints numbers without exponents
//! (`1e131071` becomes 131,072 digits) and a space after each comma and colon. It drops other white space, repeated
//! names and needless escapes. The count here includes the values of repeated names, so it can be too high.

/// The most bytes in which Postgres prints a valid JSON text. One pass, no allocation.
pub fn printed_size(json: &str) -> usize {
    let text = json.as_bytes();
    let (mut at, mut size) = (0, 0_usize);
    while let Some(&byte) = text.get(at) {
        let (length, printed) = match byte {
            b' ' | b'\t' | b'\n' | b'\r' => (1, 0),
            b',' | b':' => (1, 2),
            b'"' => string(&text[at..]),
            b'-' | b'0'..=b'9' => {
                let is_end = |byte: &u8| !matches!(byte, b'-' | b'+' | b'.' | b'e' | b'E' | b'0'..=b'9');
                let length = text[at..].iter().position(is_end).unwrap_or(text.len() - at);
                (length, printed_number(&text[at..at + length]))
            }
            _ => (1, 1),
        };
        at += length;
        size = size.saturating_add(printed);
    }
    size
}

/// The length of the string at the start of `text` with its quotes, and the bytes in which it is printed.
fn string(text: &[u8]) -> (usize, usize) {
    let (mut at, mut size) = (1, 2);
    loop {
        match (text.get(at), text.get(at + 1)) {
            (Some(b'"') | None, _) => return (at + 1, size),
            (Some(b'\\'), Some(b'u')) => {
                size += text.get(at + 2..at + 6).map_or(6, escaped);
                at += 6;
            }
            (Some(b'\\'), Some(b'/')) => (at, size) = (at + 2, size + 1),
            (Some(b'\\'), _) => (at, size) = (at + 2, size + 2),
            (Some(_), _) => (at, size) = (at + 1, size + 1),
        }
    }
}

/// The bytes in which the character of a `\u` escape is printed; `digits` are its four hex digits.
fn escaped(digits: &[u8]) -> usize {
    let code = std::str::from_utf8(digits).ok().and_then(|digits| u32::from_str_radix(digits, 16).ok());
    match code {
        Some(0x08 | 0x09 | 0x0a | 0x0c | 0x0d | 0x22 | 0x5c) => 2,
        Some(0x20..=0x7f) => 1,
        // The second pattern is one half of a surrogate pair; the pair is printed in four bytes.
        Some(0x80..=0x7ff | 0xd800..=0xdfff) => 2,
        Some(0x800..) => 3,
        Some(_) | None => 6,
    }
}

/// The most bytes in which Postgres prints a number: all of its digits, never an exponent.
pub fn printed_number(number: &[u8]) -> usize {
    let unsigned = number.strip_prefix(b"-").unwrap_or(number);
    let end = unsigned.iter().position(|byte| matches!(byte, b'e' | b'E')).unwrap_or(unsigned.len());
    let (digits, exponent) = unsigned.split_at(end);
    let is_zero = digits.iter().all(|byte| matches!(byte, b'0' | b'.'));
    let point = digits.iter().position(|&byte| byte == b'.').unwrap_or(digits.len());
    let whole = i64::try_from(point).unwrap_or(i64::MAX);
    let fraction = i64::try_from(digits.len().saturating_sub(point + 1)).unwrap_or(i64::MAX);
    let exponent = exponent.get(1..).map_or(0, exponent_value);

    let whole = if is_zero { 1 } else { whole.saturating_add(exponent).max(1) };
    let fraction = match fraction.saturating_sub(exponent) {
        0 => 0,
        digits => digits.saturating_add(1).max(0),
    };
    let sign = i64::from(unsigned.len() < number.len());
    usize::try_from(whole.saturating_add(fraction).saturating_add(sign)).unwrap_or(usize::MAX)
}

/// The value of the exponent after an `e`, capped to the range of `i64`.
fn exponent_value(text: &[u8]) -> i64 {
    let (negative, digits) = match text {
        [b'-', digits @ ..] => (true, digits),
        [b'+', digits @ ..] => (false, digits),
        digits => (false, digits),
    };
    let size = digits
        .iter()
        .fold(0_i64, |size, byte| size.saturating_mul(10).saturating_add(i64::from(byte.saturating_sub(b'0'))));
    if negative { -size } else { size }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_counted_as_they_are_written_out() {
        for (number, printed) in [
            ("0", 1),
            ("-12", 3),
            ("1.50", 4),
            ("1e5", 6),
            ("1E+5", 6),
            ("1.25e1", 4),
            ("1.25e2", 3),
            ("1e-3", 5),
            ("-1e131071", 131_073),
            ("1e-16383", 16_385),
            ("0e131071", 1),
            ("0e-3", 5),
            ("12.5e-3", 6),
        ] {
            assert_eq!(printed_number(number.as_bytes()), printed, "{number}");
        }
        assert!(printed_number(b"1e999999999999999999999") > 1 << 60);
        assert!(printed_number(b"1e-999999999999999999999") > 1 << 60);
    }

    #[test]
    fn a_text_is_counted_as_it_is_printed() {
        for (json, printed) in [
            (r#"{"a":[1,2]}"#, r#"{"a": [1, 2]}"#),
            ("{ \"a\" :\n[ 1 ,\t2 ] }", r#"{"a": [1, 2]}"#),
            (r#"["\u0001\u0009\u00e9\u0041\/\"\ud83d\ude00,: 1e9"]"#, "[\"\\u0001\\t\u{e9}A/\\\"\u{1f600},: 1e9\"]"),
            (r#"[1e3,"1e3",-2.5e1,true,null]"#, r#"[1000, "1e3", -25, true, null]"#),
        ] {
            assert_eq!(printed_size(json), printed.len(), "{json}");
        }
        assert_eq!(printed_size(&format!("[{}1e131071]", "1e131071,".repeat(9))), 2 + 9 * 2 + 10 * 131_072);
    }

    #[test]
    fn text_that_is_not_json_does_no_harm() {
        for text in ["", "\"", "\"\\", "\"\\u", "\"\\u00", "-", "1e", "1e-", "\u{e9}", "\"\\u00\u{e9}\u{e9}"] {
            assert!(printed_size(text) < 100, "{text}");
        }
    }
}
