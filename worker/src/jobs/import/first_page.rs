//! The first page of a sync: if none of its objects can be used, all for the same reason, the settings are to blame and not the
//! objects. Then the sync stops, instead of putting every object of the bucket into quarantine.

use longshore_db::quarantine::QuarantinedObject;
use longshore_model::QuarantineReason;

use super::Import;
use super::fetch::FetchedPart;
use crate::all_unusable::AllUnusable;

/// Keys that the page must have. A few broken files say nothing about a bucket; with 200 of one kind, the mode is wrong.
const LEAST_KEYS: i64 = 200;

/// Keys that the failure names.
const EXAMPLES: usize = 3;

/// What is known of the objects of the first page, part by part.
#[derive(Debug, Default)]
pub(super) struct FirstPage {
    /// Objects that cannot be used.
    unusable: i64,
    /// The reason of the first one.
    reason: Option<(QuarantineReason, String)>,
    examples: Vec<String>,
    /// Objects that are in quarantine since an earlier sync.
    known: i64,
    /// The reason of the first one of them.
    known_reason: Option<QuarantineReason>,
    /// Whether an object could be used, or has another reason.
    is_mixed: bool,
}

impl FirstPage {
    /// Adds an object that is in quarantine since an earlier sync, for this reason.
    pub(super) fn add_known(&mut self, reason: QuarantineReason) {
        self.known += 1;
        self.is_mixed |= *self.known_reason.get_or_insert(reason) != reason;
    }

    /// Adds the results of a part. `faulty` objects cannot be used, as the listing shows.
    pub(super) fn add(&mut self, faulty: &[QuarantinedObject], fetched: &FetchedPart) {
        self.is_mixed |= !fetched.imported.is_empty() || fetched.vanished > 0 || fetched.failed > 0;
        for object in faulty.iter().chain(&fetched.quarantined) {
            self.unusable += 1;
            if self.examples.len() < EXAMPLES {
                self.examples.push(object.key.clone());
            }
            // Rights and the storage itself are no faults of the settings.
            self.is_mixed |= object.reason.is_transient() && object.reason != QuarantineReason::FilterTooSlow;
            match &self.reason {
                None => self.reason = Some((object.reason, object.detail.clone())),
                Some((reason, _)) => self.is_mixed |= *reason != object.reason,
            }
        }
    }

    /// Judges the page once all of its parts are known. `existed` objects are in the ledger.
    ///
    /// # Errors
    /// None of its objects can be used, for the same reason.
    pub(super) fn check(self, existed: i64) -> Result<(), AllUnusable> {
        let objects = self.unusable + self.known;
        match self.reason {
            Some((reason, detail))
                if !self.is_mixed
                    && self.known_reason.is_none_or(|known| known == reason)
                    && existed == 0
                    && objects >= LEAST_KEYS =>
            {
                Err(AllUnusable { reason, detail, objects, examples: self.examples })
            }
            _ => Ok(()),
        }
    }
}

impl Import<'_> {
    /// Adds a part of the first page, and judges the page after its last part.
    ///
    /// # Errors
    /// None of its objects can be used, for the same reason.
    pub(super) fn judge_first_page(
        &mut self,
        faulty: &[QuarantinedObject],
        fetched: &FetchedPart,
    ) -> Result<(), AllUnusable> {
        let is_last_part = self.pending.is_empty() && fetched.failure.is_none();
        if let Some(page) = &mut self.first_page {
            page.add(faulty, fetched);
        }
        match self.first_page.take_if(|_| is_last_part) {
            Some(page) => page.check(self.listed.existed),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use longshore_storage::ObjectMeta;

    use super::*;
    use crate::quarantine::object;

    fn part(count: i64, reason: QuarantineReason) -> FetchedPart {
        let key = |n| ObjectMeta { key: format!("{n}.png"), ..ObjectMeta::default() };
        let quarantined = (0..count).map(|n| object(&key(n), reason, "Not JSON.")).collect();
        FetchedPart { quarantined, ..FetchedPart::default() }
    }

    fn judged(parts: &[FetchedPart], existed: i64, known: &[(i64, QuarantineReason)]) -> Option<String> {
        let mut page = FirstPage::default();
        for (count, reason) in known {
            (0..*count).for_each(|_| page.add_known(*reason));
        }
        parts.iter().for_each(|part| page.add(&[], part));
        page.check(existed).err().map(|error| error.to_string())
    }

    #[test]
    fn a_page_of_200_objects_that_are_unusable_for_one_reason_is_to_blame_on_the_settings() {
        use QuarantineReason::{Empty, UnsupportedExtension as Unsupported};
        let said = judged(&[part(150, Unsupported), part(50, Unsupported)], 0, &[]).unwrap();
        assert!(said.starts_with("unsupported_extension: Not JSON. This is so for all 200 objects"), "{said}");
        assert!(said.ends_with("such as 0.png, 1.png, 2.png"), "{said}");
        let known = [(190, Unsupported)];
        assert!(judged(&[part(10, Unsupported)], 0, &known).is_some(), "those of an earlier sync count");
        assert_eq!(judged(&[part(10, Empty)], 0, &known), None, "those of an earlier sync have another reason");
        let mixed = [(190, Unsupported), (1, Empty)];
        assert_eq!(judged(&[part(10, Unsupported)], 0, &mixed), None, "those of an earlier sync have two reasons");
        assert_eq!(judged(&[part(199, Unsupported)], 0, &[]), None, "a small page");
        assert_eq!(judged(&[part(200, Unsupported)], 1, &[]), None, "an object is in the ledger");
        assert_eq!(judged(&[part(200, Unsupported), part(1, Empty)], 0, &[]), None, "another reason");
        let vanished = FetchedPart { vanished: 1, ..part(200, Unsupported) };
        assert_eq!(judged(&[vanished], 0, &[]), None, "not all are known");
        assert_eq!(judged(&[], 0, &[(1_000, Unsupported)]), None, "nothing is new");
    }
}
