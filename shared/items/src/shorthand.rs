//! Results of predictions that are no list: Label Studio makes a region of them, by the label config.

use longshore_db::host::{ControlTag, ControlTags};
use longshore_model::json_parts::{each_element, each_member, is_object};

use super::text::Text;
use super::{Budget, Fault};

/// The region of a result that is an object, a text or a whole number, in a list. `None` if the label config has no
/// control tag for it: Label Studio stores null then.
///
/// # Errors
/// The inner error is a result of another type.
pub(super) fn regions<'a>(
    result: &'a str,
    controls: &ControlTags,
    budget: &mut Budget,
) -> Result<Result<Option<Text>, &'a str>, Fault> {
    let control = match result.as_bytes().first() {
        Some(b'{') => of_object(result, controls),
        Some(b'"') => first(controls, TEXTS),
        // A boolean is a whole number in Python.
        Some(b't' | b'f') => first(controls, &["rating"]),
        Some(b'-' | b'0'..=b'9') if !result.contains(['.', 'e', 'E']) => first(controls, &["rating"]),
        _ => return Ok(Err(result)),
    };
    let Some(control) = control else { return Ok(Ok(None)) };
    let value = |kind: &str| if is_object(result) { result.to_owned() } else { format!("{{{kind}: [{result}]}}") };
    region(control, value, budget).map(|region| Ok(Some(region)))
}

/// The region of a list of texts, all of which are of the first control tag that takes texts. `None` if there is none, or
/// it is no such list. Label Studio refuses such a result.
pub(super) fn region_of_texts(list: &str, controls: &ControlTags, budget: &mut Budget) -> Result<Option<Text>, Fault> {
    let Some(control) = first(controls, TEXTS) else { return Ok(None) };
    let mut is_of_texts = false;
    let walked = each_element(list, |element| {
        is_of_texts = element.starts_with('"');
        is_of_texts
    });
    if !is_of_texts || walked.is_err() {
        return Ok(None);
    }
    region(control, |kind| format!("{{{kind}: {list}}}"), budget).map(Some)
}

/// The kinds of control tags whose labels are any texts.
const TEXTS: &[&str] = &["choices", "textarea"];

/// A list of one region. `value` makes its value from its kind as JSON text.
fn region(control: &ControlTag, value: impl Fn(&str) -> String, budget: &mut Budget) -> Result<Text, Fault> {
    let text = |text: &str| serde_json::Value::from(text).to_string();
    let (kind, from_name, to_name) = (text(&control.kind), text(&control.name), text(&control.to_name));
    let value = value(&kind);
    let region = format!(r#"[{{"from_name": {from_name}, "to_name": {to_name}, "type": {kind}, "value": {value}}}]"#);
    budget.take(region.len())?;
    Ok(region.into())
}

/// The first control tag of one of these kinds.
fn first<'c>(controls: &'c ControlTags, kinds: &[&str]) -> Option<&'c ControlTag> {
    kinds.iter().filter_map(|kind| controls.place_of_kind(kind)).min().and_then(|place| controls.at(place))
}

/// The first control tag whose kind is a name in the object.
fn of_object<'c>(object: &str, controls: &'c ControlTags) -> Option<&'c ControlTag> {
    let mut found: Option<usize> = None;
    let walked = each_member(object, |name, _| {
        let place = controls.place_of_kind(name);
        found = found.into_iter().chain(place).min();
    });
    walked.ok().and(found).and_then(|place| controls.at(place))
}

#[cfg(test)]
mod tests {
    use tokio_util::sync::CancellationToken;

    use super::*;

    fn controls(kinds: &[&str]) -> ControlTags {
        let control = |kind: &&str| ControlTag {
            name: format!("my {kind}"),
            kind: (*kind).to_owned(),
            to_name: "a,b".to_owned(),
        };
        ControlTags::new(kinds.iter().map(control).collect())
    }

    fn made(result: &str, kinds: &[&str]) -> Result<Option<String>, String> {
        let mut budget = Budget::new(1_000, CancellationToken::new());
        let made = regions(result, &controls(kinds), &mut budget).expect("enough memory");
        made.map(|text| text.map(|text| text.to_string())).map_err(str::to_owned)
    }

    #[test]
    fn a_result_becomes_a_region_of_the_first_control_that_takes_it() {
        let region = |kind: &str, value: &str| {
            Ok(Some(format!(r#"[{{"from_name": "my {kind}", "to_name": "a,b", "type": "{kind}", "value": {value}}}]"#)))
        };
        let kinds = ["labels", "rating", "textarea", "choices"];
        assert_eq!(made(r#""cat""#, &kinds), region("textarea", r#"{"textarea": ["cat"]}"#));
        assert_eq!(made("7", &kinds), region("rating", r#"{"rating": [7]}"#));
        assert_eq!(made("true", &kinds), region("rating", r#"{"rating": [true]}"#));
        let both = r#"{"choices": ["dog"], "text\u0061rea": []}"#;
        assert_eq!(made(both, &kinds), region("textarea", both));
        assert_eq!(made("7", &["choices", "number"]), Ok(None));
        assert_eq!(made(r#"{"x": 1}"#, &kinds), Ok(None));
        assert_eq!(made(r#""cat""#, &[]), Ok(None));
        let mut budget = Budget::new(1_000, CancellationToken::new());
        let mut list = |list, kinds: &[&str]| {
            region_of_texts(list, &controls(kinds), &mut budget).expect("enough memory").map(|text| text.to_string())
        };
        assert_eq!(
            list(r#"["a", "b"]"#, &kinds).map(Ok),
            region("textarea", r#"{"textarea": ["a", "b"]}"#).transpose()
        );
        for (texts, kinds) in [("[]", &kinds[..]), ("[\"a\", 1]", &kinds), ("[\"a\"]", &["rating"])] {
            assert_eq!(list(texts, kinds), None, "{texts}");
        }
        for refused in ["1.5", "1e2"] {
            assert_eq!(made(refused, &kinds), Err(refused.to_owned()));
        }
    }

    #[test]
    fn a_region_takes_memory_before_it_is_kept() {
        let mut budget = Budget::new(10, CancellationToken::new());
        assert!(regions("7", &controls(&["rating"]), &mut budget).is_err());
    }
}
