//! The control tags of a label config, as Label Studio has parsed it, or as it would.

use std::collections::BTreeMap;
use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, Visitor};

use crate::host::control_tags::{self, ControlTag};

/// Reads `parsed_label_config` of a project, in the order of its text: Label Studio takes the first tag that fits.
pub(super) fn parse(parsed: &str) -> serde_json::Result<Vec<ControlTag>> {
    #[derive(Deserialize)]
    struct Tag {
        #[serde(rename = "type")]
        kind: String,
        to_name: Vec<String>,
    }
    struct Tags;
    impl<'de> Visitor<'de> for Tags {
        type Value = Vec<ControlTag>;

        fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
            formatter.write_str("control tags by name")
        }

        fn visit_map<A: MapAccess<'de>>(self, mut tags: A) -> Result<Self::Value, A::Error> {
            let mut controls = Vec::new();
            while let Some((name, Tag { kind, to_name })) = tags.next_entry()? {
                controls.push(ControlTag { name, kind: kind.to_lowercase(), to_name: to_name.join(",") });
            }
            Ok(controls)
        }
    }
    serde_json::Deserializer::from_str(parsed).deserialize_map(Tags)
}

/// The control tags of a label config that Label Studio has not parsed yet, in the order of its table once it has.
///
/// It parses a config when it is changed, or when a page shows the project. Only projects from before 1.5 that no user
/// opened since then are not parsed.
pub(super) fn of_config(label_config: &str) -> Vec<ControlTag> {
    let tags = control_tags::read(label_config).into_iter();
    // The order of `jsonb`, of which each name has one.
    let ordered: BTreeMap<(usize, String), ControlTag> =
        tags.map(|tag| ((tag.name.len(), tag.name.clone()), tag)).collect();
    ordered.into_values().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_tags_keep_their_order() {
        let tags = parse(
            r#"{"z": {"type": "Choices", "to_name": ["a", "b"], "labels": ["x"]}, "a": {"type": "Rating", "to_name": ["t"]}}"#,
        )
        .unwrap();
        let shown: Vec<_> = tags.iter().map(|tag| (&*tag.name, &*tag.kind, &*tag.to_name)).collect();
        assert_eq!(shown, [("z", "choices", "a,b"), ("a", "rating", "t")]);
        assert!(parse("[]").is_err());
    }

    #[test]
    fn the_tags_of_a_config_are_in_the_order_of_the_table() {
        let config = r#"<View><Choices name="labels" toName="image"/><Rating name="b" toName="image"/>
            <TextArea name="a" toName="image"/><Choices name="b" toName="text"/></View>"#;
        let tags = of_config(config);
        let shown: Vec<_> = tags.iter().map(|tag| (&*tag.name, &*tag.kind)).collect();
        assert_eq!(shown, [("a", "textarea"), ("b", "choices"), ("labels", "choices")]);
    }
}
