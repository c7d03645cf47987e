//! Faults that say more than what was expected.

use longshore_model::QuarantineReason;

use super::Scanner;
use crate::Fault;

impl Scanner<'_> {
    /// The fault of something other than a value at this position, such as a word of another language from `start` on.
    pub(super) fn no_value(&self, start: usize) -> Fault {
        const LONGEST: usize = 20;
        let is_part = |(at, byte): &(usize, &u8)| byte.is_ascii_alphabetic() || (*at == 0 && **byte == b'-');
        let rest = &self.text[start..];
        let length = rest.iter().enumerate().take_while(is_part).take(LONGEST).count();
        let word = str::from_utf8(&rest[..length]).unwrap_or_default();
        let advice = match word.trim_start_matches('-').to_ascii_lowercase().as_str() {
            "" if self.peek() == Some(b'\'') => {
                return self.unexpected("JSON has no single quotes: write double quotes");
            }
            "" => return self.unexpected("A value is expected here"),
            "nan" | "inf" | "infinity" => "Write null, or a text",
            "none" | "null" | "nil" | "undefined" => "Write null",
            "true" => "Write true",
            "false" => "Write false",
            _ => "Write a text in double quotes, or null",
        };
        Fault::new(QuarantineReason::InvalidJson, format!("`{word}` is no JSON value. {advice}.")).at(self.at)
    }

    /// The fault of an item that gets too long with this number, as the database prints it.
    pub(super) fn too_long(&self) -> Fault {
        let detail = format!(
            "The database writes numbers such as 1e1000 out in full, and with this one the item has more than {} bytes. \
             Write the number as a string.",
            self.max_growth
        );
        Fault::new(QuarantineReason::TooLarge, detail).at(self.at)
    }
}
