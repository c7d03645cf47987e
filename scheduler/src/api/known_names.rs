//! Names in requests: which ones Label Studio knows and Longshore ignores, and which known one an unknown one may mean.

use longshore_model::StorageKind;

/// Routes that only Longshore has. Elsewhere, clients send names of Label Studio that have no meaning here.
const OWN_ROUTES: [&str; 6] =
    ["/api/syncs", "/api/quarantine", "/api/audit", "/api/dead-letters", "/api/tokens", "/api/resolve"];

/// Query parameters of Label Studio's API.
#[rustfmt::skip]
const PARAMETERS: &[&str] = &[
    "commit_to_project", "exclude_fields", "expand", "external_annotations", "fields", "filter", "filters", "format",
    "id", "ids", "include", "interaction", "limit", "members_limit", "only_annotated", "ordering", "page", "page_size",
    "preannotated_from_fields", "project", "query", "resolve_uri", "return_task_ids", "review", "search",
    "selectedItems", "state", "tags", "task", "title", "view", "workspaces",
];

/// Fields of Label Studio's serializers of projects, tasks, annotations and predictions that only it writes, or
/// that have no meaning here.
#[rustfmt::skip]
const FIELDS: &[&str] = &[
    "allow_skip", "allow_stream", "annotations", "annotations_ids", "annotations_results", "annotators",
    "avg_lead_time", "bulk_created", "cancelled_annotations", "cluster", "color", "comment_authors", "comment_count",
    "comments", "completed_at", "completed_by", "config_has_control_tags", "config_suitable_for_bulk_annotation", "control_weights",
    "created_ago", "created_at", "created_by", "created_username", "custom_script", "custom_task_lock_ttl", "data",
    "description", "draft", "draft_created_at", "draft_exists", "drafts", "enable_empty_annotation",
    "evaluate_predictions_automatically", "expert_instruction", "external_id", "file_upload", "finished_task_number",
    "ground_truth", "ground_truth_number", "id", "import_id", "inner_id", "is_draft", "is_labeled", "is_published", "label_config",
    "last_action", "last_comment_updated_at", "last_created_by", "last_sync", "last_sync_count", "last_sync_job",
    "lead_time", "left_out", "maximum_annotations", "members", "meta", "min_annotations_to_start_training", "mislabeling", "model",
    "model_run", "model_version", "neighbors", "num_tasks_with_annotations", "organization", "overlap",
    "overlap_cohort_percentage", "parent_annotation", "parent_prediction", "parsed_label_config", "pinned_at",
    "precomputed_agreement", "predictions", "predictions_model_versions", "predictions_results", "predictions_score",
    "project", "queue", "result", "score", "queue_done", "queue_total", "reveal_preannotations_interactively", "review_settings",
    "reviewers", "reviews", "sampling", "show_annotation_history", "show_collab_predictions",
    "show_ground_truth_first", "show_instruction", "show_overlap_first", "show_skip_button", "skip_queue",
    "skipped_annotations_number", "start_training_on_annotation_update", "state", "status", "storage_filename",
    "task", "task_data_login", "task_data_password", "task_number", "tasks", "title", "total_annotations",
    "total_annotations_number", "total_predictions", "total_predictions_number", "traceback", "type", "unique_id",
    "unresolved_comment_count", "updated_at", "updated_by", "useful_annotation_number", "user", "was_cancelled", "was_postponed",
    "workspace", "workspace_title",
];

/// Longer names are not compared: they are no misspelling.
const LONGEST_NAME: usize = 64;

/// Whether Label Studio has this route too, or one like it.
fn is_of_label_studio(path: &str) -> bool {
    !OWN_ROUTES.iter().any(|own| path.starts_with(own))
}

/// Whether a query parameter of Label Studio is ignored on this route.
pub(super) fn ignores_parameter(path: &str, name: &str) -> bool {
    is_of_label_studio(path) && PARAMETERS.contains(&name)
}

/// Whether a field of Label Studio is ignored in a body for this route.
pub(super) fn ignores_field(path: &str, name: &str) -> bool {
    let is_of_storage = || StorageKind::ALL.iter().any(|kind| kind.data().fields().any(|field| field.name == name));
    is_of_label_studio(path) && (FIELDS.contains(&name) || is_of_storage())
}

/// The message for an unknown name. `what` says what it names, such as `field`.
pub(super) fn unknown<'a>(what: &str, name: &str, known: impl IntoIterator<Item = &'a str>) -> String {
    match nearest(name, known) {
        Some(meant) => format!("Unknown {what}. Did you mean `{meant}`?"),
        None => format!("Unknown {what}. Check its spelling, or leave it out; /docs lists all of them."),
    }
}

/// A name of a request as far as an answer repeats it.
pub(super) fn shown(name: &str) -> String {
    name.chars().filter(|letter| !letter.is_control()).take(LONGEST_NAME).collect()
}

/// The known name that is most like a name; `None` if none is like it.
fn nearest<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    if name.len() > LONGEST_NAME {
        return None;
    }
    let plain = plain(name);
    // A third of the letters may differ.
    let most = (plain.len() / 3).max(1);
    let near = known.into_iter().filter_map(|known| {
        let other = self::plain(known);
        let contains = plain.len() >= 4 && (other.contains(&plain) || (other.len() >= 4 && plain.contains(&other)));
        let edits = edits(plain.as_bytes(), other.as_bytes());
        match (edits <= most, contains) {
            (true, _) => Some((edits, known)),
            (false, true) => Some((most + edits, known)),
            (false, false) => None,
        }
    });
    near.min().map(|(_, known)| known)
}

fn plain(name: &str) -> String {
    name.chars().filter(char::is_ascii_alphanumeric).map(|letter| letter.to_ascii_lowercase()).collect()
}

/// How many letters must be added, removed, replaced or swapped to make one text of the other. Takes the product of the
/// lengths.
fn edits(one: &[u8], other: &[u8]) -> usize {
    let width = other.len() + 1;
    let mut rows: Vec<Vec<usize>> = vec![(0..width).collect()];
    for (row, letter) in one.iter().enumerate() {
        let above = &rows[row];
        let mut current = vec![row + 1; width];
        for (column, wanted) in other.iter().enumerate() {
            let changed = above[column] + usize::from(letter != wanted);
            let mut least = changed.min(above[column + 1] + 1).min(current[column] + 1);
            if row > 0 && column > 0 && one[row - 1] == *wanted && *letter == other[column - 1] {
                least = least.min(rows[row - 1][column - 1] + 1);
            }
            current[column + 1] = least;
        }
        rows.push(current);
    }
    rows.last().and_then(|row| row.last()).copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_name_leads_to_the_known_one_that_it_resembles() {
        let known = ["bucket", "prefix", "regex_filter", "use_blob_urls", "aws_secret_access_key", "presign_ttl"];
        for (name, meant) in [
            ("buckett", Some("bucket")),
            ("Bucket", Some("bucket")),
            ("bukcet", Some("bucket")),
            ("regexfilter", Some("regex_filter")),
            ("regex", Some("regex_filter")),
            ("use-blob-url", Some("use_blob_urls")),
            ("secret_access_key", Some("aws_secret_access_key")),
            ("presigned_ttl", Some("presign_ttl")),
            ("colour", None),
            ("", None),
            (&"bucket".repeat(20), None),
        ] {
            assert_eq!(nearest(name, known), meant, "{name}");
        }
    }

    #[test]
    fn names_of_label_studio_are_ignored_only_on_routes_that_it_has() {
        assert!(ignores_parameter("/api/tasks", "view") && !ignores_parameter("/api/tasks", "veiw"));
        assert!(!ignores_parameter("/api/syncs", "page_size"));
        assert!(ignores_field("/api/projects", "expert_instruction") && !ignores_field("/api/tokens", "description"));
    }
}
