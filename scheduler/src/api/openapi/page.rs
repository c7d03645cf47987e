//! The page that shows the document. It is made once, has no script and loads nothing.

mod html;
mod operation;
mod schema;
mod style;

use axum::body::Bytes;
use axum::http::{HeaderName, HeaderValue, header};
use axum::routing::{MethodRouter, get};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::walk::METHODS;
use html::{escaped, prose};
use style::STYLE;

/// Serves the page. `source` is the path of the document.
pub(super) fn served<S: Clone + Send + Sync + 'static>(document: &Value, source: &str) -> MethodRouter<S> {
    let page = Bytes::from(written(document, source));
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8")),
        (header::CONTENT_SECURITY_POLICY, HeaderValue::try_from(policy()).expect("base64 is ASCII")),
        (header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
        (HeaderName::from_static("referrer-policy"), HeaderValue::from_static("no-referrer")),
    ];
    get(async move || (headers, page))
}

/// The content security policy: it allows only the style sheet in the page, by its hash.
fn policy() -> String {
    let hash = STANDARD.encode(Sha256::digest(STYLE));
    format!(
        "default-src 'none'; style-src 'sha256-{hash}'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
}

fn written(document: &Value, source: &str) -> String {
    let text = |pointer: &str| document.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
    let (title, version) = (escaped(text("/info/title")), escaped(text("/info/version")));
    let tags: Vec<&Value> = document["tags"].as_array().into_iter().flatten().collect();
    let links: String = tags.iter().map(|tag| tag_link(tag["name"].as_str().unwrap_or_default())).collect();
    let sections: String = tags.iter().map(|tag| section(document, tag)).collect();
    let head = format!(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\
         <title>{title} API</title><style>{STYLE}</style></head>\n<body><header><h1>{title} API {version}</h1>\
         <p>{}</p><p>For programs: <a href=\"{source}\">{source}</a></p></header>\n",
        prose(text("/info/description"))
    );
    let security = security(document);
    let schemas = schema::all(document);
    format!(
        "{head}<nav><ul>{links}<li><a href=\"#schemas\">Schemas</a></li></ul></nav>\n<main>{security}{sections}\
         <section id=\"schemas\"><h2>Schemas</h2>\n{schemas}</section></main></body></html>\n"
    )
}

fn tag_link(tag: &str) -> String {
    format!("<li><a href=\"#{}\">{}</a></li>", anchor(tag), escaped(tag))
}

fn anchor(tag: &str) -> String {
    format!("tag-{}", escaped(&tag.replace(' ', "-")))
}

/// A tag with its operations, in the order of their paths.
fn section(document: &Value, tag: &Value) -> String {
    let name = tag["name"].as_str().unwrap_or_default();
    let mut operations = String::new();
    for (path, item) in document["paths"].as_object().into_iter().flatten() {
        for method in METHODS {
            let operation = item.get(method);
            let is_here = |operation: &&Value| {
                operation["tags"].as_array().is_some_and(|tags| tags.iter().any(|tag| tag == name))
            };
            operations.extend(operation.filter(is_here).map(|it| operation::shown(document, path, method, it)));
        }
    }
    let description = prose(tag["description"].as_str().unwrap_or_default());
    let heading = escaped(name);
    format!("<section id=\"{}\"><h2>{heading}</h2><p>{description}</p>\n{operations}</section>\n", anchor(name))
}

/// The ways to send a token.
fn security(document: &Value) -> String {
    let schemes = document.pointer("/components/securitySchemes").and_then(Value::as_object);
    let rows = schemes.into_iter().flatten().map(|(name, scheme)| {
        let place = [&scheme["in"], &scheme["name"], &scheme["scheme"]].map(|part| part.as_str().unwrap_or_default());
        let place = escaped(place.join(" ").trim());
        let description = prose(scheme["description"].as_str().unwrap_or_default());
        format!("<tr><td><code>{}</code></td><td>{place}</td><td>{description}</td></tr>", escaped(name))
    });
    html::table("Tokens", &["name", "where", "what"], &rows.collect::<String>())
}

#[cfg(test)]
mod tests;
