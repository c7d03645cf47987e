//! Listed objects, and the faults that the listing shows.

use longshore_db::quarantine::QuarantinedObject;
use longshore_model::QuarantineReason;
use longshore_storage::{ListedObject, ObjectMeta};
use sha2::{Digest, Sha256};

use crate::quarantine::object;

/// Maximum bytes of a key: an index row of the ledger holds 2,704 bytes. Keys of the clouds have at most 1,024.
const LONGEST_KEY: usize = 2_048;

/// How many bytes of a longer key are shown.
const SHOWN: usize = 1_000;

/// A listed object, with its quarantine row if it cannot be imported.
pub(super) struct Candidate {
    pub(super) object: ObjectMeta,
    pub(super) fault: Option<QuarantinedObject>,
}

impl Candidate {
    pub(super) fn of(listed: ListedObject) -> Self {
        let fault = fault(&listed);
        Self { object: listed.meta, fault }
    }

    /// The same object, quarantined because the filter takes too many steps on its key.
    pub(super) fn undecided(self) -> Self {
        let detail = "The file filter takes too many steps on this key to say whether it matches. Simplify the filter, \
                      or rename the object.";
        let fault = self.fault.unwrap_or_else(|| quarantined(&self.object, QuarantineReason::FilterTooSlow, detail));
        Self { object: self.object, fault: Some(fault) }
    }

    /// What identifies this state of the object: its etag, or its fault.
    pub(super) fn version(&self) -> Option<&str> {
        self.fault.as_ref().map_or(self.object.etag.as_deref(), |fault| fault.etag.as_deref())
    }

    /// The key under which the database stores the object.
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
        // There is no ETag. With the fault in its place, a later sync notices when the fault changes.
        quarantined.etag = Some(format!("!{}", fault.as_str()));
    }
    Some(quarantined)
}

fn quarantined(meta: &ObjectMeta, reason: QuarantineReason, detail: &str) -> QuarantinedObject {
    QuarantinedObject { key: shown(&meta.key), ..object(meta, reason, detail) }
}

/// The key in a form that the database can hold. Different keys have different forms.
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
    fn a_key_that_is_too_long_is_shortened_and_stays_distinct() {
        let long = |end: &str| format!("{}{end}", "\u{e9}".repeat(3_000));
        assert!(shown(&long("a")).len() < 1_050);
        assert_ne!(shown(&long("a")), shown(&long("b")));
        assert!(shown(&"\0".repeat(2_000)).len() < 1_050);
        assert_eq!(shown("short"), "short");
    }

    #[test]
    fn a_key_with_a_nul_differs_from_one_with_the_replacement_character() {
        assert!(shown("a\0b").starts_with("a\u{2400}b"));
        assert_ne!(shown("a\0b"), shown("a\u{2400}b"));
    }
}
