//! Lists of IDs in request bodies, of a limited length.

use std::fmt::{self, Formatter};

use serde::de::{IgnoredAny, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};

/// The first `MOST + 1` IDs of a list, so that one that is too long can be refused.
///
/// Further IDs are skipped: 4 MiB of JSON hold two million IDs, which would take 16 MiB.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct IdList<const MOST: usize>(Vec<i64>);

impl<const MOST: usize> IdList<MOST> {
    pub(crate) fn is_too_long(&self) -> bool {
        self.0.len() > MOST
    }

    pub(crate) fn as_slice(&self) -> &[i64] {
        &self.0
    }

    pub(crate) fn into_vec(self) -> Vec<i64> {
        self.0
    }
}

impl<'de, const MOST: usize> Deserialize<'de> for IdList<MOST> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Ids<const MOST: usize>;

        impl<'de, const MOST: usize> Visitor<'de> for Ids<MOST> {
            type Value = IdList<MOST>;

            fn expecting(&self, out: &mut Formatter<'_>) -> fmt::Result {
                write!(out, "a list of at most {MOST} IDs")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<IdList<MOST>, A::Error> {
                let mut ids = Vec::new();
                while ids.len() <= MOST {
                    let Some(id) = items.next_element()? else { return Ok(IdList(ids)) };
                    ids.push(id);
                }
                while items.next_element::<IgnoredAny>()?.is_some() {}
                Ok(IdList(ids))
            }
        }

        deserializer.deserialize_seq(Ids::<MOST>)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(json: &str) -> Result<IdList<3>, serde_json::Error> {
        serde_json::from_str(json)
    }

    #[test]
    fn only_one_id_more_than_allowed_is_read() {
        assert_eq!(read("[]").unwrap(), IdList::default());
        let longest = read("[1, 2, 3]").unwrap();
        assert!(!longest.is_too_long());
        assert_eq!(longest.into_vec(), [1, 2, 3]);
        let long = read(&format!("[1{}]", ",1".repeat(1_000_000))).unwrap();
        assert!(long.is_too_long());
        assert!(long.0.len() == 4 && long.0.capacity() < 100, "{}", long.0.capacity());
        assert!(read("[1, \"2\"]").is_err() && read("7").is_err());
    }
}
