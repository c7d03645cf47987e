//! Regions of annotations: what Label Studio requires of them, and what its summary of a project counts.
//!
//! Workers count those of an object while they read it, within its memory, and refuse what Label Studio would fail on.
//! The comparison of a summary with Label Studio's tables counts those that are there.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::convert::Infallible;

use longshore_model::json_parts::{each_element, each_member, is_object, members};
use longshore_model::python;

use super::SummaryDelta;

/// Bytes of an ID in a set, besides its text if that is not a part of the result.
const ID_BYTES: usize = 64;

/// Memory that a caller has reserved.
pub trait Memory {
    /// There is not enough.
    type Error;

    /// Takes bytes before they are allocated.
    ///
    /// # Errors
    /// There are not enough left.
    fn take(&mut self, bytes: usize) -> Result<(), Self::Error>;

    /// Gives back bytes that were taken.
    fn give(&mut self, bytes: usize);
}

/// Memory without a limit, for what the database has accepted.
struct Unlimited;

impl Memory for Unlimited {
    type Error = Infallible;

    fn take(&mut self, _bytes: usize) -> Result<(), Infallible> {
        Ok(())
    }

    fn give(&mut self, _bytes: usize) {}
}

/// Why regions cannot be counted.
#[derive(Debug, PartialEq, Eq)]
pub enum RegionsError<'a, E> {
    /// Label Studio would fail on this part of the result.
    Bad {
        /// The part, as a slice of the result.
        part: &'a str,
        /// What is expected instead, as a part of a sentence.
        expected: &'static str,
    },
    /// The memory does not suffice.
    Memory(E),
}

impl<E> From<E> for RegionsError<'_, E> {
    fn from(error: E) -> Self {
        Self::Memory(error)
    }
}

/// Adds the regions of a result, which is checked JSON text, to a summary. Returns the number of distinct region IDs, of
/// which a missing one counts as one.
///
/// # Errors
/// Label Studio would fail on a region, or the memory does not suffice. The summary has the regions before it then.
pub fn count_regions<'a, M: Memory>(
    result: &'a str,
    summary: &mut SummaryDelta,
    memory: &mut M,
) -> Result<i32, RegionsError<'a, M::Error>> {
    const LIST: &str = "\"result\" must be a list of objects";
    let (mut ids, mut bytes, mut trouble) = (BTreeSet::new(), 0, None);
    let walked = each_element(result, |region| {
        let counted = if is_object(region) {
            add(region, summary, memory).and_then(|id| {
                let taken = ID_BYTES + if matches!(id, Cow::Owned(_)) { id.len() } else { 0 };
                memory.take(taken)?;
                bytes += taken;
                ids.insert(id);
                Ok(())
            })
        } else {
            Err(RegionsError::Bad { part: region, expected: LIST })
        };
        trouble = counted.err();
        trouble.is_none()
    });
    match (trouble, walked) {
        (Some(trouble), _) => return Err(trouble),
        (None, Err(_)) => return Err(RegionsError::Bad { part: result, expected: LIST }),
        (None, Ok(())) => {}
    }
    memory.give(bytes);
    Ok(i32::try_from(ids.len()).unwrap_or(i32::MAX))
}

/// Adds the regions of a result that Label Studio has stored. What is no region is left out, as Label Studio does.
pub(super) fn count_stored(result: &str, summary: &mut SummaryDelta) {
    let walked = each_element(result, |region| {
        if is_object(region) {
            // What a region lacks is known to Label Studio, which counted it up to there.
            drop(add(region, summary, &mut Unlimited));
        }
        true
    });
    // A result that is no list has no regions.
    drop(walked);
}

/// Adds a region, and returns its ID.
fn add<'a, M: Memory>(
    region: &'a str,
    summary: &mut SummaryDelta,
    memory: &mut M,
) -> Result<Cow<'a, str>, RegionsError<'a, M::Error>> {
    let bad = |expected| move |part| RegionsError::Bad { part, expected };
    let [id, kind, from_name, to_name, value] = members(region, ["id", "type", "from_name", "to_name", "value"])
        .map_err(|_| RegionsError::Bad { part: region, expected: "a region must be an object" })?;
    let id = id.map_or(Ok(Cow::Borrowed("null")), distinct);
    let id = id.map_err(bad("the \"id\" of a region must be a text or a number"))?;
    let Some(kind) = kind.filter(|kind| *kind != "null") else { return Ok(id) };
    let kind = text(kind).map_err(bad("the \"type\" of a region must be a text"))?;
    // Relations have no names. Label Studio shows regions without names, and does not count them.
    let (Some(from_name), Some(to_name)) = (from_name, to_name) else { return Ok(id) };
    if matches!(&*kind, "relation" | "pairwise") {
        return Ok(id);
    }
    let from_name = text(from_name).map_err(bad("the \"from_name\" of a region must be a text"))?;
    let to_name = names(to_name).map_err(bad("the \"to_name\" of a region must be a text or a list of texts"))?;
    memory.take(summary.count_region(&from_name, &to_name, &kind))?;
    memory.take(summary.add_control(&from_name))?;
    let Some(value) = value.filter(|value| is_object(value)) else {
        return Err(bad("a region with a \"type\" needs an object \"value\"")(value.unwrap_or(region)));
    };
    count_labels(&from_name, &kind, value, summary, memory)?;
    Ok(id)
}

/// Adds the labels of a region: the list in its value that has the name of its type.
fn count_labels<M: Memory>(
    from_name: &str,
    kind: &str,
    value: &str,
    summary: &mut SummaryDelta,
    memory: &mut M,
) -> Result<(), M::Error> {
    if kind == "text" {
        return Ok(());
    }
    let wanted = if kind == "videorectangle" { "labels" } else { kind };
    let (mut labels, mut taken) = (None, Ok(()));
    let found = each_member(value, |name, json| {
        if name == wanted {
            labels = Some(json);
        }
    });
    let Some(labels) = labels.filter(|labels| found.is_ok() && labels.starts_with('[')) else { return Ok(()) };
    let mut add = |label: &str| {
        if taken.is_ok() {
            taken = memory.take(summary.count_label(from_name, &python::text(label)));
        }
    };
    // The labels of a taxonomy are lists of the names on the way to them.
    let walked = each_element(labels, |label| {
        if kind == "taxonomy" && label.starts_with('[') {
            each_element(label, |name| {
                add(name);
                true
            })
            .is_ok()
        } else {
            add(label);
            true
        }
    });
    // The list is checked JSON.
    drop(walked);
    taken
}

/// A JSON string, without its quotes and escapes.
fn text(json: &str) -> Result<Cow<'_, str>, &str> {
    if json.starts_with('"') { unescaped(json, 1) } else { Err(json) }
}

/// Names joined by commas.
fn names(json: &str) -> Result<Cow<'_, str>, &str> {
    if !json.starts_with('[') {
        return text(json);
    }
    let (mut joined, mut bad) = (None::<String>, None);
    let walked = each_element(json, |name| {
        match (text(name), &mut joined) {
            (Ok(name), None) => joined = Some(name.into_owned()),
            (Ok(name), Some(joined)) => joined.extend([",", &*name]),
            (Err(_), _) => bad = Some(json),
        }
        bad.is_none()
    });
    match (bad, walked) {
        (None, Ok(())) => Ok(Cow::Owned(joined.unwrap_or_default())),
        _ => Err(json),
    }
}

/// An ID, so that IDs that are equal in Python have equal texts: a string with its first quote, numbers without needless
/// digits. The error is an ID that no Python set can hold.
fn distinct(json: &str) -> Result<Cow<'_, str>, &str> {
    match json.as_bytes().first() {
        Some(b'"') => unescaped(json, 0),
        Some(b'{' | b'[') => Err(json),
        Some(b't') => Ok(Cow::Borrowed("1")),
        Some(b'f') => Ok(Cow::Borrowed("0")),
        Some(b'-' | b'0'..=b'9') if json.contains(['.', 'e', 'E']) || json == "-0" => {
            let number = json.parse::<f64>().map_err(|_| json)?;
            // As a whole number if it is one. Beyond 53 bits, doubles have no digits after the point.
            Ok(Cow::Owned(if number == 0.0 { "0".to_owned() } else { format!("{number}") }))
        }
        _ => Ok(Cow::Borrowed(json)),
    }
}

/// A JSON string without its last quote, from this byte on, and without escapes.
fn unescaped(json: &str, from: usize) -> Result<Cow<'_, str>, &str> {
    let inside = json.get(from..json.len().saturating_sub(1)).ok_or(json)?;
    if !inside.contains('\\') {
        return Ok(Cow::Borrowed(inside));
    }
    let text: String = serde_json::from_str(json).map_err(|_| json)?;
    Ok(Cow::Owned(if from == 0 { format!("\"{text}") } else { text }))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn counts(pairs: &[(&str, i64)]) -> BTreeMap<String, i64> {
        pairs.iter().map(|(key, n)| ((*key).to_owned(), *n)).collect()
    }

    #[test]
    fn stored_regions_and_their_labels_are_counted_exactly() {
        let mut summary = SummaryDelta::default();
        count_stored(
            r#"[{"from_name": "label", "to_name": "image", "type": "Choices", "value": {"Choices": ["cat"], "choices": [1]}},
                {"from_name": "label", "to_name": "image", "type": "choices", "value": {"choices": ["dog", "cat"]}},
                {"from_name": "t", "to_name": ["a", "b"], "type": "taxonomy", "value": {"taxonomy": [["x", "y"]]}},
                {"from_name": "label", "to_name": "image", "type": "relation"},
                {"from_name": "words", "to_name": "image", "type": "text", "value": {"text": ["no label"]}},
                {"type": "choices"}, 5, {"id": [], "from_name": 5, "to_name": "image", "type": "choices"}]"#,
            &mut summary,
        );
        count_stored("null", &mut summary);
        let expected = [("label|image|choices", 2), ("t|a,b|taxonomy", 1), ("words|image|text", 1)];
        assert_eq!(summary.annotations, counts(&expected));
        assert_eq!(summary.labels["label"], counts(&[("cat", 2), ("dog", 1)]));
        assert_eq!(summary.labels["t"], counts(&[("x", 1), ("y", 1)]));
        assert_eq!(summary.labels["words"], counts(&[]), "a control without labels");
    }

    /// Goal: a label has one name, whether it was counted from a file or from the database, which prints other blanks.
    #[test]
    fn labels_of_files_and_of_the_database_have_equal_names() {
        let region = |labels: &str| {
            format!(r#"[{{"from_name": "a", "to_name": "b", "type": "c", "value": {{"c": {labels}}}}}]"#)
        };
        let (mut of_file, mut of_database) = (SummaryDelta::default(), SummaryDelta::default());
        count_regions(&region(r#"[["x","y"],{"a":1.50},2.0]"#), &mut of_file, &mut Unlimited).expect("regions");
        count_stored(&region(r#"[["x", "y"], {"a": 1.50}, 2.0]"#), &mut of_database);
        assert_eq!(of_file, of_database);
        assert_eq!(of_file.labels["a"], counts(&[("['x', 'y']", 1), ("{'a': 1.5}", 1), ("2.0", 1)]));
    }

    #[test]
    fn ids_are_distinct_as_in_python() {
        for (ids, distinct) in [
            (r#"["a", "\u0061", "b"]"#, 2),
            (r#"[1, 1.0, true, "1", 1e0]"#, 2),
            (r#"[0, -0, -0.0, false, null, "null", ""]"#, 4),
            ("[12345678901234567890123, 0.5, 5e-1]", 2),
        ] {
            let result = ids.trim_matches(['[', ']']).split(", ").map(|id| format!(r#"{{"id": {id}}}"#));
            let result = format!("[{}, {{}}]", result.collect::<Vec<_>>().join(", "));
            // A region without an ID counts like one with null.
            let expected = if ids.contains("null,") { distinct } else { distinct + 1 };
            let counted = count_regions(&result, &mut SummaryDelta::default(), &mut Unlimited);
            assert_eq!(counted, Ok(expected), "{ids}");
        }
        let unusable = count_regions(r#"[{"id": ["a"]}]"#, &mut SummaryDelta::default(), &mut Unlimited);
        assert!(matches!(unusable, Err(RegionsError::Bad { part: r#"["a"]"#, .. })), "{unusable:?}");
    }
}
