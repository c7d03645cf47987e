//! Reads a JSON object whose fields a type declares, and collects the names of others.

use std::collections::BTreeMap;
use std::fmt::{self, Formatter};
use std::marker::PhantomData;

use serde::de::value::MapAccessDeserializer;
use serde::de::{DeserializeOwned, DeserializeSeed, Error as _, IgnoredAny, IntoDeserializer as _, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use utoipa::ToSchema;
use utoipa::openapi::{RefOr, Schema};

use super::field_form::FieldForm;
use super::object::FlatValue;

/// The most unknown names that are collected. Requests have fewer than 50 fields.
const MOST_UNKNOWN: usize = 256;

/// A value, and the names of fields that its type does not declare.
pub(super) struct Checked<T> {
    /// The value, or what is wrong with it: a misspelled field may be the one that is missing.
    pub(super) value: Result<T, String>,
    pub(super) unknown: Vec<String>,
}

/// The fields that a type declares in the document of the API.
pub(super) fn known_fields<T: ToSchema>() -> BTreeMap<String, FieldForm> {
    match T::schema() {
        RefOr::T(Schema::Object(object)) => {
            let fields = object.properties.into_iter();
            fields.map(|(name, schema)| (name.to_string(), FieldForm::of(&schema))).collect()
        }
        _ => BTreeMap::new(),
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
                let mut has_ended = false;
                let watched =
                    Watched { map, known: &known, unknown: &mut unknown, current: None, has_ended: &mut has_ended };
                match T::deserialize(MapAccessDeserializer::new(watched)) {
                    Ok(value) => Ok(Checked { value: Ok(value), unknown }),
                    Err(error) if has_ended => Ok(Checked { value: Err(error.to_string()), unknown }),
                    Err(error) => Err(error),
                }
            }
        }

        deserializer.deserialize_map(Fields(PhantomData))
    }
}

/// An object without its unknown fields, whose scalars have the type of their field.
struct Watched<'a, A> {
    map: A,
    known: &'a BTreeMap<String, FieldForm>,
    unknown: &'a mut Vec<String>,
    /// The field whose value is next.
    current: Option<(&'a str, FieldForm)>,
    /// Set at the end of the object.
    has_ended: &'a mut bool,
}

impl<'de, A: MapAccess<'de>> MapAccess<'de> for Watched<'_, A> {
    type Error = A::Error;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, A::Error> {
        while let Some(name) = self.map.next_key::<String>()? {
            if let Some((known, form)) = self.known.get_key_value(&name) {
                self.current = Some((known, *form));
                return seed.deserialize(name.into_deserializer()).map(Some);
            }
            self.map.next_value::<IgnoredAny>()?;
            if self.unknown.len() < MOST_UNKNOWN {
                self.unknown.push(name);
            }
        }
        *self.has_ended = true;
        Ok(None)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, A::Error> {
        match self.current.take() {
            Some((name, form)) if form.is_scalar() => {
                let FlatValue(sent) = self.map.next_value()?;
                let failed = |message: String| A::Error::custom(format!("field `{name}`: {message}"));
                let value = form.read(sent).map_err(|message| failed(message.to_owned()))?;
                seed.deserialize(value).map_err(|error| failed(error.to_string()))
            }
            _ => self.map.next_value_seed(seed),
        }
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
        is_done: Option<bool>,
        count: Option<i64>,
        score: Option<f64>,
    }

    #[test]
    fn booleans_and_numbers_may_be_texts() {
        let read = |json: &str| serde_json::from_str::<Checked<Body>>(json).map(|checked| checked.value.unwrap());
        for (sent, value) in [("\"True\"", true), ("1", true), ("\"on\"", true), ("0", false), ("\" no \"", false)] {
            let body = read(&format!(r#"{{"title": "T", "is_done": {sent}}}"#)).unwrap();
            assert_eq!(body.is_done, Some(value), "{sent}");
        }
        let body = read(r#"{"title": "T", "is_done": null, "count": "-7", "score": " 0.5 "}"#).unwrap();
        assert_eq!((body.is_done, body.count, body.score), (None, Some(-7), Some(0.5)));
        assert_eq!(read(r#"{"title": "T", "count": 9007199254740993}"#).unwrap().count, Some(9_007_199_254_740_993));
        for (name, wrong) in [
            ("is_done", "\"maybe\""),
            ("is_done", "2"),
            ("is_done", "[]"),
            ("is_done", "\"\""),
            ("count", "\"x\""),
            ("count", "true"),
            ("count", "1.5"),
            ("score", "\"NaN\""),
            ("score", "{}"),
        ] {
            let error = read(&format!(r#"{{"title": "T", "{name}": {wrong}}}"#)).err().map(|error| error.to_string());
            assert!(
                error.as_ref().is_some_and(|error| error.contains(&format!("field `{name}`: "))),
                "{wrong}: {error:?}"
            );
        }
    }

    #[test]
    fn unknown_names_are_collected_and_known_values_keep_their_text() {
        let json = r#"{"titel": {"a": [1]}, "title": "T", "data": {"n": 1.10}, "x": null}"#;
        let Checked { value, unknown } = serde_json::from_str::<Checked<Body>>(json).unwrap();
        let value = value.unwrap();
        assert_eq!((value.title.as_str(), unknown), ("T", vec!["titel".to_owned(), "x".to_owned()]));
        assert_eq!(value.data.unwrap().get(), r#"{"n": 1.10}"#);
        let missing = serde_json::from_str::<Checked<Body>>(r#"{"titel": "T"}"#).unwrap();
        assert_eq!((missing.value.err().as_deref(), missing.unknown.len()), (Some("missing field `title`"), 1));
        for wrong in ["[]", "1", r#"{"title": 1}"#] {
            assert!(serde_json::from_str::<Checked<Body>>(wrong).is_err(), "{wrong}");
        }
    }
}
