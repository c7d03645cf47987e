//! The control tags of a label config, as Label Studio has parsed it, or as it would.

use std::collections::BTreeMap;
use std::fmt;

use quick_xml::events::{BytesStart, Event};
use quick_xml::{Reader, XmlVersion};
use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, Visitor};

use crate::host::ControlTag;

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
/// opened since then are not parsed. A config that is no XML has no tags.
pub(super) fn of_config(label_config: &str) -> Vec<ControlTag> {
    let (mut reader, mut controls, mut depth) = (Reader::from_str(label_config), BTreeMap::new(), 0);
    loop {
        let tag = match reader.read_event() {
            Ok(Event::Start(tag)) => {
                depth += 1;
                tag
            }
            Ok(Event::Empty(tag)) => tag,
            Ok(Event::End(_)) => {
                depth -= 1;
                continue;
            }
            Ok(Event::Eof) if depth == 0 => return controls.into_values().collect(),
            Ok(Event::Eof) | Err(_) => return Vec::new(),
            Ok(_) => continue,
        };
        if let Some(control) = control(&tag) {
            // The order of `jsonb`.
            controls.insert((control.name.len(), control.name.clone()), control);
        }
    }
}

/// The control tag that this is: one with a name that names what it labels.
fn control(tag: &BytesStart<'_>) -> Option<ControlTag> {
    let kind = tag.name().into_inner();
    let attribute = |name: &str| {
        // No check for repeated names: it would compare each name with all names before it.
        let attribute = tag.attributes().with_checks(false).flatten().find(|known| known.key.as_ref() == name)?;
        let value = attribute.normalized_value(XmlVersion::Implicit1_0).ok()?;
        (!value.is_empty()).then(|| value.into_owned())
    };
    if kind == "Filter" {
        return None;
    }
    Some(ControlTag { name: attribute("name")?, kind: kind.to_lowercase(), to_name: attribute("toName")? })
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
    fn a_config_has_the_tags_that_name_what_they_label() {
        let config = r#"<View><!-- <Choices name="c" toName="d"/> --><Image name="image" value="$image"/>
            <Choices name="labels" toName="image"><Choice value="cat"/></Choices><Filter name="f" toName="labels"/>
            <Style>.a { color: red }</Style><Rating name="b" toName="image,text &amp; more"/><Header value="x"/>
            <TextArea name="a" toName="image" /><Pairwise toName="image"/></View>"#;
        let shown = |config| {
            of_config(config).iter().map(|tag| format!("{} {} {}", tag.name, tag.kind, tag.to_name)).collect::<Vec<_>>()
        };
        assert_eq!(shown(config), ["a textarea image", "b rating image,text & more", "labels choices image"]);
        for config in ["", "<View>", "<View></Vie>", "no XML", "<View/>"] {
            assert_eq!(shown(config), [""; 0], "{config}");
        }
    }
}
