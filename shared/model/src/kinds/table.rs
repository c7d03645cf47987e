//! The table of fields in the user page of a kind.

use super::{Field, StorageKind};

/// The fields of a kind as a Markdown table, as `deploy/storages/<kind>.md` shows them.
pub fn markdown(kind: StorageKind) -> String {
    let row = |field: &Field| {
        let required = if field.is_required { "Required. " } else { "" };
        format!("| `{}` | {} | {required}{} |\n", field.name, flag(field), field.meaning())
    };
    let head = "| Field | Flag | Meaning |\n|---|---|---|\n".to_owned();
    std::iter::once(head).chain(kind.data().fields().map(row)).collect()
}

/// The flag and its environment variable. For secrets, the variable is first, because a process list shows flags.
fn flag(field: &Field) -> String {
    let Some(flag) = field.flag else { return String::new() };
    let name = format!("`--{}`", flag.name);
    match flag.env {
        Some(env) if field.secrecy().is_some() => format!("`{env}` or {name}"),
        Some(env) => format!("{name} or `{env}`"),
        None => name,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_has_name_flag_and_meaning() {
        let table = markdown(StorageKind::Azure);
        for row in [
            "| `container` | `--container` | Required. Name of the container. |",
            "| `account_key` | `AZURE_BLOB_ACCOUNT_KEY` or `--account-key` | Key of the storage account. Never shown \
             again. Must be entered again when the address changes. |",
            "| `can_delete_objects` | `--can-delete` | Deletes the object of a deleted annotation. Export only. |",
        ] {
            assert!(table.lines().any(|line| line == row), "{row} in\n{table}");
        }
    }
}
