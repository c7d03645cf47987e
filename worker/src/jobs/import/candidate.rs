//! Listed objects, and why some of them cannot be imported, as far as the listing shows it.

use longshore_db::quarantine::QuarantinedObject;
use longshore_model::QuarantineReason;
use longshore_storage::{ListedObject, ObjectMeta};
use sha2::{Digest, Sha256};

use crate::quarantine::object;

/// The index of the ledger takes 2,704 bytes; the clouds' own limit is 1,024.
const LONGEST_KEY: usize = 2_048;

/// Bytes of a longer key that are shown.
const SHOWN: usize = 1_000;

/// A listed object, with its row for the quarantine if it cannot be imported.
pub(super) struct Candidate {
    pub(super) object: ObjectMeta,
    pub(super) fault: Option<QuarantinedObject>,
}

impl Candidate {
    pub(super) fn of(listed: ListedObject) -> Self {
        let fault = fault(&listed);
        Self { object: listed.meta, fault }
    }

    /// The same object, quarantined because the filter was too slow to say whether it matches.
    pub(super) fn undecided(self) -> Self {
        let detail = "The file filter takes too many steps on this key to say whether it matches. Simplify the filter, \
                      or rename the object.";
        let fault = self.fault.unwrap_or_else(|| quarantined(&self.object, QuarantineReason::FilterTooSlow, detail));
        Self { object: self.object, fault: Some(fault) }
    }

    /// What differs between this state of the object and an earlier one: its etag, or its fault.
    pub(super) fn version(&self) -> Option<&str> {
        self.fault.as_ref().map_or(self.object.etag.as_deref(), |fault| fault.etag.as_deref())
    }

    /// The name by which the database knows the object.
    pub(super) fn key(&self) -> &str {
        self.fault.as_ref().map_or(&self.object.key, |fault| &fault.key)
    }
}

fn fault(listed: &ListedObject) -> Option<QuarantinedObject> {
    let object = &listed.meta;
    let nul = object.key.find('\0');
    let (reason, detail) = if nul.is_some() {
        let detail = "The key holds a NUL character, which no database text can hold. Rename the object.";
        (QuarantineReason::UnsupportedKey, detail)
    } else if object.key.len() > LONGEST_KEY {
        let detail = "The key has more than 2,048 bytes, which no database index can hold. Rename the object.";
        (QuarantineReason::UnsupportedKey, detail)
    } else {
        let fault = listed.fault?;
        (fault.reason(), fault.detail())
    };
    let byte_offset = nul.and_then(|at| i64::try_from(at).ok());
    let mut quarantined = QuarantinedObject { byte_offset, ..quarantined(object, reason, detail) };
    if let Some(fault) = listed.fault {
        // There is no etag. With the fault in its place, a later sync sees when it is another one.
        quarantined.etag = Some(format!("!{}", fault.as_str()));
    }
    Some(quarantined)
}

fn quarantined(meta: &ObjectMeta, reason: QuarantineReason, detail: &str) -> QuarantinedObject {
    QuarantinedObject { key: shown(&meta.key), ..object(meta, reason, detail) }
}

/// A key as the database can hold it, and different for every key.
fn shown(key: &str) -> String {
    if key.len() <= LONGEST_KEY && !key.contains('\0') {
        return key.to_owned();
    }
    let digest = Sha256::digest(key.as_bytes());
    let digest: String = digest.iter().take(8).map(|byte| format!("{byte:02x}")).collect();
    let key = key.replace('\0', "\u{2400}");
    format!("{}\u{2026}{digest}", &key[..key.floor_char_boundary(SHOWN)])
}

#[cfg(test)]
mod tests {
    use super::shown;

    #[test]
    fn a_key_that_is_too_long_is_shown_short_and_told_from_its_like() {
        let long = |end: &str| format!("{}{end}", "\u{e9}".repeat(3_000));
        assert!(shown(&long("a")).len() < 1_050);
        assert_ne!(shown(&long("a")), shown(&long("b")));
        assert!(shown(&"\0".repeat(2_000)).len() < 1_050);
        assert_eq!(shown("short"), "short");
    }

    #[test]
    fn a_key_with_a_nul_is_told_from_one_with_the_sign_that_is_shown_for_it() {
        assert!(shown("a\0b").starts_with("a\u{2400}b"));
        assert_ne!(shown("a\0b"), shown("a\u{2400}b"));
    }
}
