//! Finds what has a title.

use serde_json::Value;

use crate::client::Client;
use crate::error::{CliError, Result};
use crate::named::Named;
use crate::show::{note, rows};
use crate::text::escaped;

/// Most candidates that an error names.
const MOST_CANDIDATES: usize = 10;

/// Rows per page of projects: the most that the API returns.
const PAGE_SIZE: &str = "1000";

/// Selects the only row with this title. `describe` names a row for people who must choose between several.
///
/// # Errors
/// No row has this title; the error names titles that differ only in the case of letters. Or several have it.
pub(crate) fn by_title<'a>(
    what: &'static str,
    title: &str,
    rows: &'a [Value],
    describe: impl Fn(&Value) -> String,
) -> Result<&'a Value> {
    let text = |row: &'a Value| row["title"].as_str().unwrap_or_default();
    let described = |rows: &[&Value]| {
        let mut words: Vec<String> = rows.iter().take(MOST_CANDIDATES).map(|row| describe(row)).collect();
        if rows.len() > MOST_CANDIDATES {
            words.push(format!("and {} more", rows.len() - MOST_CANDIDATES));
        }
        words.join(", ")
    };
    let exact: Vec<&Value> = rows.iter().filter(|row| text(row) == title).collect();
    match exact.as_slice() {
        [row] => Ok(row),
        [] => {
            let folded = title.trim().to_lowercase();
            let similar: Vec<&Value> = rows.iter().filter(|row| text(row).trim().to_lowercase() == folded).collect();
            let name = Named::Title(title.to_owned());
            Err(match similar.as_slice() {
                [] => CliError::NotFound { what, name },
                similar => CliError::Similar { what, name, similar: described(similar) },
            })
        }
        several => Err(CliError::Ambiguous { what, title: title.to_owned(), candidates: described(several) }),
    }
}

/// The ID of a project. An ID is taken as it is; the route that gets it refuses one that does not exist.
pub(crate) async fn project_id(client: &Client, name: &Named) -> Result<i64> {
    let title = match name {
        Named::Id(id) => return Ok(*id),
        Named::Title(title) => title,
    };
    let all = projects(client).await?;
    let row = by_title("project", title, &all, described)?;
    row["id"].as_i64().ok_or_else(|| client.not_longshore())
}

/// A project among several of the same title.
fn described(row: &Value) -> String {
    format!("{} (created {})", row["id"], row["created_at"].as_str().unwrap_or_default())
}

/// All projects of the token.
pub(crate) async fn projects(client: &Client) -> Result<Vec<Value>> {
    let mut all = Vec::new();
    for page in 1_u32.. {
        let query = [("page", page.to_string()), ("page_size", PAGE_SIZE.to_owned())];
        let answer = client.get("/api/projects", &query).await?;
        all.extend_from_slice(rows(&answer));
        if answer["next"].is_null() || rows(&answer).is_empty() {
            break;
        }
    }
    Ok(all)
}

/// Says that a new row has the title of another one, so that commands need its ID.
pub(crate) fn warn_of_twin(what: &str, made: &Value, all: &[Value]) {
    let is_twin = |row: &&Value| row["title"] == made["title"] && row["created_at"] != made["created_at"];
    let Some(title) = made["title"].as_str().filter(|title| !title.is_empty()) else { return };
    if all.iter().any(|row| is_twin(&row)) {
        note(&format!("warning: another {what} has the title `{}`: name both by their IDs", escaped(title)));
    }
}

/// The ID of an optional project, for a filter.
pub(crate) async fn optional_project(client: &Client, name: Option<&Named>) -> Result<Option<i64>> {
    Ok(match name {
        Some(name) => Some(project_id(client, name).await?),
        None => None,
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_title_of_several_rows_is_refused_with_the_candidates() {
        let rows = [json!({"id": 1, "title": "a"}), json!({"id": 2, "title": "a"}), json!({"id": 3, "title": "B "})];
        let find = |title: &str| by_title("project", title, &rows, |row| row["id"].to_string());
        let error = find("a").unwrap_err();
        assert!(matches!(&error, CliError::Ambiguous { candidates, .. } if candidates == "1, 2"), "{error}");
        let error = find("b").unwrap_err();
        assert!(matches!(&error, CliError::Similar { similar, .. } if similar == "3"), "{error}");
        assert!(matches!(find("c"), Err(CliError::NotFound { .. })));
        assert_eq!(find("B ").unwrap()["id"], 3);
    }
}
