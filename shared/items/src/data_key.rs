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
        let mut reader = Reader::from_str(label_config);
        loop {
            match reader.read_event() {
                Ok(Event::Start(element) | Event::Empty(element)) => {
                    let value_of = |wanted: &str| {
                        // No check for repeated names: it would compare each name with all names before it.
                        element.attributes().with_checks(false).flatten().find(|a| a.key.as_ref() == wanted).and_then(
                            |a| {
                                a.normalized_value(quick_xml::XmlVersion::Implicit1_0)
                                    .ok()
                                    .map(|value| value.into_owned())
                            },
                        )
                    };
                    if let (Some(_), Some(value)) = (value_of("name"), value_of("value"))
                        && let Some(variable) = value.strip_prefix('$')
                        && !variable.is_empty()
                    {
                        return Self(variable.to_owned());
                    }
                }
                Ok(Event::Eof) | Err(_) => return Self(UNDEFINED_KEY.to_owned()),
                Ok(_) => {}
            }
        }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_object_tag_names_the_data_key() {
        let config =
            r#"<View><Header value="Look"/><Image name="img" value="$image"/><Text name="t" value="$text"/></View>"#;
        assert_eq!(DataKey::of(config).as_str(), "image");
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
