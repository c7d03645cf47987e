//! The control tags of a label config: what an annotator labels with, such as `Choices`.

use std::collections::BTreeMap;

use quick_xml::events::{BytesStart, Event};
use quick_xml::{Reader, XmlVersion};

/// A control tag of a label config.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ControlTag {
    /// Its name, the `from_name` of its regions.
    pub name: String,
    /// Its kind in lower case, the `type` of its regions.
    pub kind: String,
    /// The names of the object tags that it labels, joined by commas.
    pub to_name: String,
}

/// The control tags of a project, in the order in which the first one that fits is taken.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ControlTags {
    tags: Vec<ControlTag>,
    /// The first tag of each kind, so that a look-up takes no longer with many tags.
    by_kind: BTreeMap<String, usize>,
    by_name: BTreeMap<String, usize>,
}

impl ControlTags {
    /// Tags in this order. Of tags with one name, the last one has it.
    pub fn new(tags: Vec<ControlTag>) -> Self {
        let (mut by_kind, mut by_name) = (BTreeMap::new(), BTreeMap::new());
        for (place, tag) in tags.iter().enumerate() {
            by_kind.entry(tag.kind.clone()).or_insert(place);
            by_name.insert(tag.name.clone(), place);
        }
        Self { tags, by_kind, by_name }
    }

    /// The tags of a label config, in the order of its text. A config that is no XML has none.
    ///
    /// The time is proportional to the config's length.
    pub fn of_config(label_config: &str) -> Self {
        Self::new(read(label_config))
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.tags.is_empty()
    }

    /// The place of the first tag of a kind, for [`Self::at`].
    pub fn place_of_kind(&self, kind: &str) -> Option<usize> {
        self.by_kind.get(kind).copied()
    }

    /// The tag at a place.
    pub fn at(&self, place: usize) -> Option<&ControlTag> {
        self.tags.get(place)
    }

    /// The tag with a name.
    pub fn named(&self, name: &str) -> Option<&ControlTag> {
        self.by_name.get(name).and_then(|place| self.tags.get(*place))
    }
}

/// The control tags of a label config, in the order of its text.
pub(super) fn read(label_config: &str) -> Vec<ControlTag> {
    let (mut reader, mut controls, mut depth) = (Reader::from_str(label_config), Vec::new(), 0);
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
            Ok(Event::Eof) if depth == 0 => return controls,
            Ok(Event::Eof) | Err(_) => return Vec::new(),
            Ok(_) => continue,
        };
        controls.extend(control(&tag));
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
    fn a_config_has_the_tags_that_name_what_they_label() {
        let config = r#"<View><!-- <Choices name="c" toName="d"/> --><Image name="image" value="$image"/>
            <Choices name="labels" toName="image"><Choice value="cat"/></Choices><Filter name="f" toName="labels"/>
            <Style>.a { color: red }</Style><Rating name="b" toName="image,text &amp; more"/><Header value="x"/>
            <TextArea name="a" toName="image" /><Pairwise toName="image"/><Choices name="later" toName="image"/></View>"#;
        let shown = |config| {
            read(config).iter().map(|tag| format!("{} {} {}", tag.name, tag.kind, tag.to_name)).collect::<Vec<_>>()
        };
        let all = ["labels choices image", "b rating image,text & more", "a textarea image", "later choices image"];
        assert_eq!(shown(config), all);
        for config in ["", "<View>", "<View></Vie>", "no XML", "<View/>"] {
            assert_eq!(shown(config), [""; 0], "{config}");
        }
        let tags = ControlTags::of_config(config);
        assert_eq!(tags.place_of_kind("choices").and_then(|place| tags.at(place)), tags.named("labels"));
        assert_eq!((tags.named("b").map(|tag| &*tag.kind), tags.named("image")), (Some("rating"), None));
        assert_eq!(
            (tags.place_of_kind("image"), tags.is_empty(), ControlTags::default().is_empty()),
            (None, false, true)
        );
    }
}
