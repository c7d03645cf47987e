//! How much memory to reserve for reading an object.

use longshore_storage::ObjectMeta;

use super::{Import, Pending, summary};

/// The bytes of memory that reading an object probably takes: the stored bytes, the unpacked bytes, and memory for each
/// item. `tries` is the number of reservations that were too small; each raises the result.
///
/// A few tries lead from any size to the maximum of an object. The steps are small, so that many objects which compress
/// well still fit into one part.
fn expected(object: &ObjectMeta, tries: u32) -> u64 {
    /// Text compresses to about a tenth, and its items take the same memory again.
    const UNPACKING: u64 = 20;
    /// Bytes for a small list, which may compress better. A thousand times this is still little memory.
    const SMALL: u64 = 16 * 1024;
    /// Bytes for the maximum number of items. Items that are smaller than this allows for each are rare.
    const ITEMS: u64 = 10 * 1024 * 1024;
    /// Bytes of memory per stored byte, for items of three bytes.
    const TINY_ITEMS: u64 = 40;
    /// Bytes for the only item of a small object, with labels.
    const ITEM: u64 = 1024;
    const STEP: u64 = 16;
    let packed = |ending: &str| ending.eq_ignore_ascii_case("gz") || ending.eq_ignore_ascii_case("zst");
    let first = match object.key.rsplit_once('.') {
        Some((_, ending)) if packed(ending) => object.size.saturating_mul(UNPACKING).max(SMALL),
        _ => object.size.saturating_add(object.size.min(ITEMS)).saturating_add(ITEM),
    };
    let more = first.saturating_mul(STEP.saturating_pow(tries));
    // An object is mostly read again because it has many items, each of at least three bytes.
    let items = object.size.saturating_mul(TINY_ITEMS).min(ITEMS).saturating_add(object.size);
    if tries > 0 { more.max(items) } else { more }
}

impl Import<'_> {
    /// The bytes of memory that reading an object may take: 0 in blob mode, and for objects that are not read.
    pub(super) fn memory_of(&self, pending: &Pending) -> u64 {
        let (size, most) = (pending.object.size, self.context.memory.max_bytes());
        if self.storage.settings.use_blob_urls || size > most.min(self.limits.max_object_bytes as u64) {
            return 0;
        }
        let summary = if self.storage.task_format.has_summary() { summary::SMALL_BYTES } else { 0 };
        expected(&pending.object, pending.tries).saturating_add(summary).min(most)
    }
}

#[cfg(test)]
mod tests {
    use longshore_storage::ObjectMeta;

    use super::expected;

    fn object(key: &str, size: u64) -> ObjectMeta {
        ObjectMeta { key: key.to_owned(), etag: None, size, ..ObjectMeta::default() }
    }

    #[test]
    fn an_object_that_unpacks_to_more_than_expected_reaches_the_maximum_in_a_few_steps() {
        const KIB: u64 = 1024;
        assert_eq!([0, 1].map(|tries| expected(&object("a.json", KIB), tries)), [3 * KIB, 48 * KIB]);
        assert_eq!([0, 1].map(|tries| expected(&object("a.json.gz", 100), tries)), [16 * KIB, 256 * KIB]);
        assert_eq!(expected(&object("a.JSON.ZST", 20 * KIB), 0), 400 * KIB, "as unpacking knows it");
        for key in ["a", "a.jsonl.gz"] {
            assert!(expected(&object(key, 1), 7) >= 256 * KIB * KIB, "{key}");
            assert!(expected(&object(key, u64::MAX), u32::MAX) == u64::MAX, "{key}");
        }
    }
}
