//! Results of predictions that are no list: Label Studio makes a region of them, by the label config.

use longshore_db::host::ControlTag;
use longshore_model::json_parts::{each_member, is_object};

use super::text::Text;
use super::{Budget, Fault};

/// The region of a result that is an object, a text or a whole number, in a list. `None` if the label config has no
/// control tag for it: Label Studio stores null then.
///
/// # Errors
/// The inner error is a result of another type.
pub(super) fn regions<'a>(
    result: &'a str,
    controls: &[ControlTag],
    budget: &mut Budget,
) -> Result<Result<Option<Text>, &'a str>, Fault> {
    let control = match result.as_bytes().first() {
        Some(b'{') => of_object(result, controls),
        Some(b'"') => first(controls, |kind| matches!(kind, "choices" | "textarea")),
        // A boolean is a whole number in Python.
        Some(b't' | b'f') => first(controls, |kind| kind == "rating"),
        Some(b'-' | b'0'..=b'9') if !result.contains(['.', 'e', 'E']) => first(controls, |kind| kind == "rating"),
        _ => return Ok(Err(result)),
    };
    let Some(control) = control else { return Ok(Ok(None)) };
    let text = |text: &str| serde_json::Value::from(text).to_string();
    let kind = text(&control.kind);
    let value = if is_object(result) { result.to_owned() } else { format!("{{{kind}: [{result}]}}") };
    let (from_name, to_name) = (text(&control.name), text(&control.to_name));
    let region = format!(r#"[{{"from_name": {from_name}, "to_name": {to_name}, "type": {kind}, "value": {value}}}]"#);
    budget.take(region.len())?;
    Ok(Ok(Some(region.into())))
}

fn first(controls: &[ControlTag], fits: impl Fn(&str) -> bool) -> Option<&ControlTag> {
    controls.iter().find(|control| fits(&control.kind))
}

/// The first control tag whose kind is a name in the object.
fn of_object<'c>(object: &str, controls: &'c [ControlTag]) -> Option<&'c ControlTag> {
    let mut found = controls.len();
    let walked = each_member(object, |name, _| {
        let at = controls.iter().take(found).position(|control| control.kind == name);
        found = at.unwrap_or(found);
    });
    walked.ok().and_then(|()| controls.get(found))
}

#[cfg(test)]
mod tests {
    use tokio_util::sync::CancellationToken;

    use super::*;

    fn controls(kinds: &[&str]) -> Vec<ControlTag> {
        let control = |kind: &&str| ControlTag {
            name: format!("my {kind}"),
            kind: (*kind).to_owned(),
            to_name: "a,b".to_owned(),
        };
        kinds.iter().map(control).collect()
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
