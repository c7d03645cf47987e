//! Cuts of different kinds of keys, with a sorted set instead of a storage.

use std::collections::BTreeSet;
use std::convert::Infallible;
use std::ops::Bound;

use futures::executor::block_on;
use proptest::prelude::*;

use super::*;

fn keys<K: Into<String>>(keys: impl IntoIterator<Item = K>) -> BTreeSet<String> {
    keys.into_iter().map(Into::into).collect()
}

fn cuts(keys: &BTreeSet<String>, range: &Range<'_>, parts: usize) -> Vec<String> {
    let probe = |after: String| async move {
        let next = keys.range::<String, _>((Bound::Excluded(&after), Bound::Unbounded)).next();
        Ok::<_, Infallible>(next.filter(|key| key.starts_with(range.prefix)).cloned())
    };
    let Ok(cuts) = block_on(find(range, parts, probe));
    cuts
}

/// The number of keys in each part of the range, in order.
fn parts_of(keys: &BTreeSet<String>, range: &Range<'_>, cuts: &[String]) -> Vec<usize> {
    let mut bounds: Vec<&str> = vec![range.after];
    bounds.extend(cuts.iter().map(String::as_str));
    let ends = cuts.iter().map(String::as_str).map(Some).chain([range.until]);
    bounds
        .into_iter()
        .zip(ends)
        .map(|(after, until)| {
            keys.iter().filter(|key| key.as_str() > after && until.is_none_or(|until| key.as_str() <= until)).count()
        })
        .collect()
}

/// The largest part's share of the remaining keys.
fn largest_share(keys: &BTreeSet<String>, range: &Range<'_>, parts: usize) -> f64 {
    let cuts = cuts(keys, range, parts);
    let counts = parts_of(keys, range, &cuts);
    *counts.iter().max().unwrap() as f64 / counts.iter().sum::<usize>() as f64
}

#[test]
fn uniform_digits_are_cut_into_near_even_parts() {
    let keys = keys((0..10_000).map(|n| format!("img/{n:06}.jpg")));
    let range = Range { prefix: "img/", after: "img/000099.jpg", until: None };
    assert!(largest_share(&keys, &range, 15) <= 0.11);
}

#[test]
fn keys_with_a_long_common_prefix_are_cut() {
    let stem = "a/very/long/and/boring/common/prefix/of/every/single/key/";
    let keys = keys((0..4_096).map(|n| format!("{stem}{n:03x}")));
    let after = format!("{stem}00f");
    assert!(largest_share(&keys, &Range { prefix: "a/", after: &after, until: None }, 15) <= 0.07);
}

#[test]
fn date_folders_are_cut_by_their_days() {
    let keys = keys((1..=28).flat_map(|day| (0..50).map(move |n| format!("2026/02/{day:02}/{n}"))));
    let range = Range { prefix: "", after: "2026/02/01/0", until: None };
    let cuts = cuts(&keys, &range, 8);
    assert!(["2026/02/05", "2026/02/1", "2026/02/2"].iter().all(|cut| cuts.contains(&(*cut).to_owned())), "{cuts:?}");
    assert_eq!(cuts.len(), 8);
}

#[test]
fn uuids_are_cut_by_their_first_character() {
    let keys = keys((0..2_000_u64).map(|n| format!("{:016x}", n.wrapping_mul(0x9E37_79B9_7F4A_7C15))));
    let first = keys.first().unwrap().clone();
    let range = Range { prefix: "", after: &first, until: None };
    assert!(largest_share(&keys, &range, 15) <= 0.1);
}

#[test]
fn scripts_beyond_ascii_are_cut_too() {
    let keys = keys((0..500).map(|n| format!("фото/{}{n}", char::from_u32(0x4E00 + n * 7).unwrap())));
    let first = keys.first().unwrap().clone();
    assert!(largest_share(&keys, &Range { prefix: "фото/", after: &first, until: None }, 8) <= 0.25);
}

#[test]
fn a_giant_run_between_two_empty_halves_is_cut() {
    let mut keys = keys((0..1_000).map(|n| format!("m/{n:04}")));
    keys.extend(["a".to_owned(), "z".to_owned()]);
    let range = Range { prefix: "", after: "m/0001", until: Some("z") };
    let counts = parts_of(&keys, &range, &cuts(&keys, &range, 4));
    assert!(counts.len() > 1, "{counts:?}");
}

#[test]
fn keys_that_begin_with_the_last_key_are_found() {
    let keys = keys(["a", "a1", "a2", "a3"]);
    assert_eq!(cuts(&keys, &Range { prefix: "", after: "a", until: None }, 8), ["a1", "a2", "a3"]);
}

#[test]
fn an_empty_rest_has_no_cut() {
    assert!(cuts(&keys(["a", "b"]), &Range { prefix: "", after: "b", until: None }, 8).is_empty());
    assert!(cuts(&keys(["a", "b", "c"]), &Range { prefix: "", after: "a", until: Some("a~") }, 8).is_empty());
}

proptest! {
    /// The parts cover the range exactly once: no key is lost or duplicated.
    #[test]
    fn cuts_are_ascending_and_inside_and_parts_cover_everything_once(
        keys in prop::collection::btree_set("[ -~é漢😀/]{1,12}", 1..200),
        after in any::<prop::sample::Index>(),
        until in prop::option::of(any::<prop::sample::Index>()),
        parts in 1_usize..20,
    ) {
        let sorted: Vec<&String> = keys.iter().collect();
        let after = sorted[after.index(sorted.len())].as_str();
        let until = until.map(|until| sorted[until.index(sorted.len())].as_str()).filter(|until| *until > after);
        let range = Range { prefix: "", after, until };
        let cuts = cuts(&keys, &range, parts);
        prop_assert!(cuts.len() <= parts);
        prop_assert!(cuts.windows(2).all(|pair| pair[0] < pair[1]));
        prop_assert!(cuts.iter().all(|cut| cut.as_str() > after && until.is_none_or(|until| cut.as_str() < until)));
        let left = keys.iter().filter(|key| range.holds(key)).count();
        prop_assert_eq!(parts_of(&keys, &range, &cuts).iter().sum::<usize>(), left);
    }
}
