//! The query parameters of each operation, from the document: unknown ones are refused, and booleans are read.
//!
//! All queries pass here, so that each boolean takes the same words, as bodies do, and no misspelled parameter has silently
//! no effect.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::extract::{MatchedPath, Query, Request, State};
use axum::http::{Method, Uri};
use axum::middleware::Next;
use axum::response::Response;
use longshore_db::host::HostKind;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::Value;
use utoipa::openapi::OpenApi;

use super::boolean;
use super::error::{ApiError, ApiResult};
use super::known_names::{ignores_parameter, shown, unknown};

/// The query parameters of each operation, by the template of its path and its method.
#[derive(Debug, Default)]
pub(super) struct Parameters(BTreeMap<(String, String), Vec<(String, Form)>>);

/// The form of a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    Text,
    Bool,
    /// A number or one of some words: an empty text is none.
    Other,
}

impl Parameters {
    /// The parameters that a document describes.
    ///
    /// # Errors
    /// The document cannot be written as JSON.
    pub(super) fn of(document: &OpenApi) -> serde_json::Result<Self> {
        let document = serde_json::to_value(document)?;
        let mut all = BTreeMap::new();
        for (path, item) in document["paths"].as_object().into_iter().flatten() {
            for (method, operation) in item.as_object().into_iter().flatten() {
                let listed = operation["parameters"].as_array().into_iter().flatten();
                let in_query = listed.filter(|parameter| parameter["in"] == "query");
                let named = in_query.filter_map(|parameter| {
                    Some((parameter["name"].as_str()?.to_owned(), Form::of(&parameter["schema"])))
                });
                all.insert((path.clone(), method.to_ascii_uppercase()), named.collect());
            }
        }
        Ok(Self(all))
    }

    /// The parameters of an operation. Empty if there is no such operation.
    fn of_operation(&self, method: &Method, path: &str) -> &[(String, Form)] {
        let method = if *method == Method::HEAD { Method::GET } else { method.clone() };
        self.0.get(&(path.to_owned(), method.as_str().to_owned())).map(Vec::as_slice).unwrap_or_default()
    }
}

impl Form {
    fn of(schema: &Value) -> Self {
        let is = |name: &str| match &schema["type"] {
            Value::String(own) => own == name,
            Value::Array(all) => all.iter().any(|own| own == name),
            _ => false,
        };
        match (is("boolean"), is("string") && schema.get("enum").is_none()) {
            (true, _) => Self::Bool,
            (false, true) => Self::Text,
            (false, false) => Self::Other,
        }
    }
}

/// Refuses unknown query parameters, and writes booleans as `true` and `false`.
pub(super) async fn check_query(
    State((host, parameters)): State<(HostKind, Arc<Parameters>)>,
    path: MatchedPath,
    mut request: Request,
    next: Next,
) -> ApiResult<Response> {
    if request.uri().query().is_some_and(|query| !query.is_empty()) {
        let known = parameters.of_operation(request.method(), path.as_str());
        // Links may carry anything, and Label Studio's own pages call what it has as they call Label Studio.
        let is_lenient =
            !path.as_str().starts_with("/api/") || (host == HostKind::LabelStudio && path.as_str().ends_with("/sync"));
        if let Some(uri) = read(request.uri(), known, path.as_str(), is_lenient)? {
            *request.uri_mut() = uri;
        }
    }
    Ok(next.run(request).await)
}

/// Checks a query. Returns the URI to use instead; `None` if it stays as it is.
fn read(uri: &Uri, known: &[(String, Form)], path: &str, is_lenient: bool) -> ApiResult<Option<Uri>> {
    // What cannot be read is refused by the handler.
    let Ok(Query(pairs)) = Query::<Vec<(String, String)>>::try_from_uri(uri) else { return Ok(None) };
    let (mut written, mut is_changed) = (Vec::with_capacity(pairs.len()), false);
    for (name, value) in pairs {
        let form = known.iter().find(|(known, _)| *known == name).map(|(_, form)| *form);
        let value = match form {
            None if is_lenient || ignores_parameter(path, &name) => Some(value),
            None => {
                let message = unknown("query parameter", &name, known.iter().map(|(known, _)| known.as_str()));
                return Err(ApiError::invalid_of(shown(&name), message));
            }
            Some(Form::Bool | Form::Other) if value.trim().is_empty() => None,
            Some(Form::Bool) => match boolean::of_word(&value) {
                Some(value) => Some(value.to_string()),
                None => {
                    let message = "Must be a valid boolean. Send `true` or `false`.";
                    return Err(ApiError::invalid_of(name, message));
                }
            },
            Some(Form::Text | Form::Other) => Some(value),
        };
        is_changed |= form == Some(Form::Bool) || value.is_none();
        written.extend(value.map(|value| (name, value)));
    }
    if !is_changed {
        return Ok(None);
    }
    let encode = |text: &str| utf8_percent_encode(text, NON_ALPHANUMERIC).to_string();
    let pairs: Vec<String> =
        written.iter().map(|(name, value)| format!("{}={}", encode(name), encode(value))).collect();
    let mut parts = uri.clone().into_parts();
    parts.path_and_query = format!("{}?{}", uri.path(), pairs.join("&")).parse().ok();
    Uri::from_parts(parts).map(Some).map_err(ApiError::internal)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn known() -> Vec<(String, Form)> {
        [("project", Form::Other), ("resolve_uri", Form::Bool), ("action", Form::Text)]
            .map(|(name, form)| (name.to_owned(), form))
            .to_vec()
    }

    fn query(text: &str) -> Result<String, String> {
        let uri: Uri = format!("/api/tasks?{text}").parse().unwrap();
        match read(&uri, &known(), "/api/tasks", false) {
            Ok(changed) => Ok(changed.unwrap_or(uri).query().unwrap_or_default().to_owned()),
            Err(error) => Err(format!("{error:?}")),
        }
    }

    #[test]
    fn a_boolean_takes_the_words_of_bodies_and_an_empty_one_is_none() {
        for word in ["True", "TRUE", "1", "yes", "on", "t", "%20true"] {
            assert_eq!(query(&format!("resolve_uri={word}")).unwrap(), "resolve%5Furi=true", "{word}");
        }
        for word in ["False", "0", "no", "OFF"] {
            assert_eq!(query(&format!("resolve_uri={word}")).unwrap(), "resolve%5Furi=false", "{word}");
        }
        assert_eq!(query("project=&resolve_uri=&action=").unwrap(), "action=");
        assert!(query("resolve_uri=maybe").unwrap_err().contains("Must be a valid boolean"));
    }

    #[test]
    fn an_unknown_parameter_is_refused_and_one_of_label_studio_is_ignored() {
        assert!(query("projcet=1").unwrap_err().contains("Did you mean `project`?"));
        assert!(query("colour=1").unwrap_err().contains("Unknown query parameter"));
        assert_eq!(query("view=3&project=1").unwrap(), "view=3&project=1");
    }
}
