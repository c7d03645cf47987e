//! Titles beside the IDs of storages and projects in tables. JSON keeps the IDs alone, as the API's answers have them.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::client::Client;
use crate::find;
use crate::show::Output;
use crate::text::escaped;
use crate::titles;

/// A field of a row that holds an ID.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Labelled {
    Storage,
    Project,
    /// A list of projects.
    Projects,
}

impl Labelled {
    const fn field(self) -> &'static str {
        match self {
            Self::Storage => "storage",
            Self::Project => "project",
            Self::Projects => "projects",
        }
    }

    /// The titles that this token may read. None if they cannot be read: a table of IDs is better than no table.
    async fn titles(self, client: &Client) -> BTreeMap<i64, String> {
        let all = match self {
            Self::Storage => find::list(client, None).await,
            Self::Project | Self::Projects => titles::projects(client).await,
        };
        let title = |row: &Value| Some((find::name(row).as_i64()?, row["title"].as_str()?.to_owned()));
        all.unwrap_or_default().iter().filter_map(title).filter(|(_, title)| !title.is_empty()).collect()
    }
}

/// Puts the titles beside the IDs of the rows, for people.
pub(crate) async fn add(client: &Client, output: Output, rows: &mut [Value], fields: &[Labelled]) {
    for field in fields {
        let name = field.field();
        if output.json || rows.iter().all(|row| row[name].is_null()) {
            continue;
        }
        let titles = field.titles(client).await;
        for row in &mut *rows {
            if let Some(label) = label(&row[name], &titles) {
                row[name] = label.into();
            }
        }
    }
}

/// `3 (pets)`, or several of these. `None` without an ID.
fn label(ids: &Value, titles: &BTreeMap<i64, String>) -> Option<String> {
    let one = |id: &Value| {
        let id = id.as_i64()?;
        Some(titles.get(&id).map_or_else(|| id.to_string(), |title| format!("{id} ({})", escaped(title))))
    };
    match ids.as_array() {
        Some(ids) => Some(ids.iter().filter_map(one).collect::<Vec<_>>().join(", ")),
        None => one(ids),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_id_is_shown_with_its_title() {
        let titles = BTreeMap::from([(3, "pets".to_owned()), (4, "a\u{1b}".to_owned())]);
        let label = |ids: Value| label(&ids, &titles);
        assert_eq!(label(json!(3)).as_deref(), Some("3 (pets)"));
        assert_eq!(label(json!([4, 9])).as_deref(), Some("4 (a\\u{1b}), 9"));
        assert_eq!(label(Value::Null), None);
    }
}
