//! Reads a JSON object whose fields a type declares, and collects the names of others.

use std::collections::BTreeSet;
use std::fmt::{self, Formatter};
use std::marker::PhantomData;

use serde::de::value::MapAccessDeserializer;
use serde::de::{DeserializeOwned, DeserializeSeed, IgnoredAny, IntoDeserializer as _, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use utoipa::ToSchema;
use utoipa::openapi::{RefOr, Schema};

/// The most unknown names that are collected. Requests have fewer than 50 fields.
const MOST_UNKNOWN: usize = 256;

/// A value, and the names of fields that its type does not declare.
pub(super) struct Checked<T> {
    pub(super) value: T,
    pub(super) unknown: Vec<String>,
}

/// The fields that a type declares in the document of the API.
pub(super) fn known_fields<T: ToSchema>() -> BTreeSet<String> {
    match T::schema() {
        RefOr::T(Schema::Object(object)) => object.properties.into_keys().map(|name| name.to_string()).collect(),
        _ => BTreeSet::new(),
    }
}

impl<'de, T: DeserializeOwned + ToSchema> Deserialize<'de> for Checked<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Fields<T>(PhantomData<T>);

        impl<'de, T: DeserializeOwned + ToSchema> Visitor<'de> for Fields<T> {
            type Value = Checked<T>;

            fn expecting(&self, out: &mut Formatter<'_>) -> fmt::Result {
                out.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Checked<T>, A::Error> {
                let (known, mut unknown) = (known_fields::<T>(), Vec::new());
                let watched = Watched { map, known: &known, unknown: &mut unknown };
                let value = T::deserialize(MapAccessDeserializer::new(watched))?;
                Ok(Checked { value, unknown })
            }
        }

        deserializer.deserialize_map(Fields(PhantomData))
    }
}

/// An object without its unknown fields.
struct Watched<'a, A> {
    map: A,
    known: &'a BTreeSet<String>,
    unknown: &'a mut Vec<String>,
}

impl<'de, A: MapAccess<'de>> MapAccess<'de> for Watched<'_, A> {
    type Error = A::Error;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, A::Error> {
        while let Some(name) = self.map.next_key::<String>()? {
            if self.known.contains(&name) {
                return seed.deserialize(name.into_deserializer()).map(Some);
            }
            self.map.next_value::<IgnoredAny>()?;
            if self.unknown.len() < MOST_UNKNOWN {
                self.unknown.push(name);
            }
        }
        Ok(None)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, A::Error> {
        self.map.next_value_seed(seed)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::value::RawValue;

    use super::*;

    #[derive(Deserialize, ToSchema)]
    struct Body {
        title: String,
        #[schema(value_type = Option<Object>)]
        data: Option<Box<RawValue>>,
    }

    #[test]
    fn unknown_names_are_collected_and_known_values_keep_their_text() {
        let json = r#"{"titel": {"a": [1]}, "title": "T", "data": {"n": 1.10}, "x": null}"#;
        let Checked { value, unknown } = serde_json::from_str::<Checked<Body>>(json).unwrap();
        assert_eq!((value.title.as_str(), unknown), ("T", vec!["titel".to_owned(), "x".to_owned()]));
        assert_eq!(value.data.unwrap().get(), r#"{"n": 1.10}"#);
        for wrong in ["[]", "1", r#"{"titel": "T"}"#] {
            assert!(serde_json::from_str::<Checked<Body>>(wrong).is_err(), "{wrong}");
        }
    }
}
