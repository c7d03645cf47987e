//! The data key of blob tasks: the key that holds the URI of the object. It comes from the label config.

use quick_xml::Reader;
use quick_xml::events::Event;

/// The data key of a blob task if the label config names none, as in Label Studio.
const UNDEFINED_KEY: &str = "$undefined$";

/// The key under which a blob task holds the URI of its object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DataKey(String);

impl DataKey {
    /// Finds the `$variable` of the first element with both `name` and `value`, in document order.
    ///
    /// A config without such an element, or that is not XML, gives `$undefined$`. The time is always proportional
    /// to the config's length.
    pub fn of(label_config: &str) -> Self {
        Self(variables(label_config, 1).pop().unwrap_or_else(|| UNDEFINED_KEY.to_owned()))
    }

    /// The key as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether the config names no key.
    pub fn is_undefined(&self) -> bool {
        self.0 == UNDEFINED_KEY
    }
}

/// The `$variable`s of elements with both `name` and `value`, in document order and each once, at most `most`. Of a config
/// that is not XML, those before the fault.
pub(crate) fn variables(label_config: &str, most: usize) -> Vec<String> {
    let (mut reader, mut found) = (Reader::from_str(label_config), Vec::new());
    while found.len() < most {
        match reader.read_event() {
            Ok(Event::Start(element) | Event::Empty(element)) => {
                let value_of = |wanted: &str| {
                    // No check for repeated names: it would compare each name with all names before it.
                    let mut attributes = element.attributes();
                    let mut attributes = attributes.with_checks(false).flatten();
                    let attribute = attributes.find(|attribute| attribute.key.as_ref() == wanted)?;
                    let value = attribute.normalized_value(quick_xml::XmlVersion::Implicit1_0);
                    value.ok().map(|value| value.into_owned())
                };
                if let (Some(_), Some(value)) = (value_of("name"), value_of("value"))
                    && let Some(variable) = value.strip_prefix('$').filter(|variable| !variable.is_empty())
                    && found.iter().all(|known| known != variable)
                {
                    found.push(variable.to_owned());
                }
            }
            Ok(Event::Eof) | Err(_) => break,
            Ok(_) => {}
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_object_tag_names_the_data_key() {
        let config =
            r#"<View><Header value="Look"/><Image name="img" value="$image"/><Text name="t" value="$text"/></View>"#;
        assert_eq!(DataKey::of(config).as_str(), "image");
        assert_eq!(variables(config, 9), ["image", "text"]);
    }

    /// Goal: the time is linear in the length. With the check for repeated names, this config takes minutes.
    #[test]
    fn a_tag_with_a_hundred_thousand_attributes_is_read_in_one_pass() {
        let attributes: String = (0..100_000).map(|n| format!(" a{n}=\"\"")).collect();
        let config = format!("<View><Image{attributes} name=\"img\" value=\"$image\"/></View>");
        assert_eq!(DataKey::of(&config).as_str(), "image");
    }

    #[test]
    fn a_config_without_an_object_tag_gives_the_undefined_key() {
        for config in ["", "<View></View>", "<View><Header value=\"$title\"/></View>", "not xml <"] {
            assert_eq!(DataKey::of(config).as_str(), UNDEFINED_KEY, "{config}");
        }
    }
}
