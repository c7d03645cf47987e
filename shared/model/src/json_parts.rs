//! Parts of checked JSON text, as slices of it.

use std::borrow::Cow;
use std::fmt;

use serde::de::{Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

/// The values of the named members of an object, in their original spelling. The last of repeated members counts.
///
/// # Errors
/// The text is not a JSON object.
pub fn members<'a, const N: usize>(
    object: &'a str,
    names: [&'static str; N],
) -> serde_json::Result<[Option<&'a str>; N]> {
    serde_json::Deserializer::from_str(object).deserialize_map(Members(names))
}

/// Calls `each` with the name and the value of each member of an object, repeated ones too. Collects nothing.
///
/// # Errors
/// The text is not a JSON object.
pub fn each_member<'a>(object: &'a str, each: impl FnMut(&str, &'a str)) -> serde_json::Result<()> {
    serde_json::Deserializer::from_str(object).deserialize_map(Each(each))
}

/// Calls `each` with each element of a list, until `each` returns false. Collects nothing.
///
/// # Errors
/// The text is not a list.
pub fn each_element<'a>(list: &'a str, each: impl FnMut(&'a str) -> bool) -> serde_json::Result<()> {
    let mut stopped = false;
    let read = serde_json::Deserializer::from_str(list).deserialize_seq(Elements(each, &mut stopped));
    if stopped { Ok(()) } else { read }
}

/// Checks that a text is a list of objects.
///
/// # Errors
/// It is not; the error is the first element that is not an object, or the whole text if that is not a list.
pub fn check_objects(list: &str) -> Result<(), &str> {
    let mut other = None;
    let read = each_element(list, |element| {
        other = (!is_object(element)).then_some(element);
        other.is_none()
    });
    match (other, read) {
        (Some(element), _) => Err(element),
        (None, read) => read.map_err(|_| list),
    }
}

/// Whether checked JSON text is an object.
pub fn is_object(json: &str) -> bool {
    json.starts_with('{')
}

struct Elements<'s, F>(F, &'s mut bool);

impl<'de, F: FnMut(&'de str) -> bool> Visitor<'de> for Elements<'_, F> {
    type Value = ();

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("a list")
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut list: A) -> Result<(), A::Error> {
        while let Some(element) = list.next_element::<&'de RawValue>()? {
            if !(self.0)(element.get()) {
                *self.1 = true;
                return Err(A::Error::custom("stopped"));
            }
        }
        Ok(())
    }
}

struct Each<F>(F);

impl<'de, F: FnMut(&str, &'de str)> Visitor<'de> for Each<F> {
    type Value = ();

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut map: A) -> Result<(), A::Error> {
        while let Some(name) = map.next_key_seed(Name)? {
            (self.0)(&name, map.next_value::<&'de RawValue>()?.get());
        }
        Ok(())
    }
}

/// Reads a member's name, without a copy if it has no escapes.
struct Name;

impl<'de> serde::de::DeserializeSeed<'de> for Name {
    type Value = Cow<'de, str>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl<'de> Visitor<'de> for Name {
    type Value = Cow<'de, str>;

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("a name")
    }

    fn visit_borrowed_str<E: Error>(self, name: &'de str) -> Result<Self::Value, E> {
        Ok(Cow::Borrowed(name))
    }

    fn visit_str<E: Error>(self, name: &str) -> Result<Self::Value, E> {
        Ok(Cow::Owned(name.to_owned()))
    }
}

struct Members<const N: usize>([&'static str; N]);

impl<'de, const N: usize> Visitor<'de> for Members<N> {
    type Value = [Option<&'de str>; N];

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut values = [None; N];
        while let Some(position) = map.next_key_seed(Position(&self.0))? {
            match position.and_then(|position| values.get_mut(position)) {
                Some(value) => *value = Some(map.next_value::<&'de RawValue>()?.get()),
                None => drop(map.next_value::<IgnoredAny>()?),
            }
        }
        Ok(values)
    }
}

/// Reads a member's name as its index in these names.
struct Position<'n>(&'n [&'static str]);

impl<'de> serde::de::DeserializeSeed<'de> for Position<'_> {
    type Value = Option<usize>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for Position<'_> {
    type Value = Option<usize>;

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("a name")
    }

    fn visit_str<E: Error>(self, name: &str) -> Result<Self::Value, E> {
        Ok(self.0.iter().position(|candidate| *candidate == name))
    }
}
