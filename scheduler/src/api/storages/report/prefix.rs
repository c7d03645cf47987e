//! Why nothing lies below a prefix.

use longshore_model::{Connection, StorageKind, StorageSettings};
use longshore_storage::{ListRequest, Storage, StorageError, pasted_prefix};

use super::keys::PAGE;
use super::warning::StorageWarning;

/// How many names at the top of a bucket a warning shows.
const SHOWN: usize = 5;

/// The prefix as the user typed it, and the name of its field.
fn typed(settings: &StorageSettings) -> (&'static str, &str) {
    match &settings.connection {
        Connection::S3(own) => ("prefix", own.prefix.as_deref().unwrap_or_default()),
        Connection::S3s(own) => ("prefix", own.s3.prefix.as_deref().unwrap_or_default()),
        Connection::Gcs(own) => ("prefix", own.prefix.as_deref().unwrap_or_default()),
        Connection::Azure(own) => ("prefix", own.prefix.as_deref().unwrap_or_default()),
        Connection::Redis(own) => ("path", own.path.as_deref().unwrap_or_default()),
        Connection::Localfiles(own) => ("path", &own.path),
    }
}

/// The form of a prefix that is probably a mistake.
struct Mistake {
    code: &'static str,
    text: String,
    /// The prefix that was probably meant.
    meant: String,
}

/// The mistake in a prefix, if its form shows one. Redis and local files have other rules.
fn mistake(settings: &StorageSettings) -> Option<Mistake> {
    let (_, typed) = typed(settings);
    let kind = settings.kind();
    if kind == StorageKind::Localfiles || settings.connection.prefix().is_empty() {
        return None;
    }
    let found = |code, text: &str, meant: &str| Some(Mistake { code, text: text.to_owned(), meant: meant.to_owned() });
    if let Some(meant) = pasted_prefix(typed) {
        return found("prefix_uri", "The prefix is a URI. Keys begin after the bucket", meant);
    }
    if typed.trim() != typed {
        return found("prefix_blanks", "The prefix has blanks at its ends, and keys have none there", typed.trim());
    }
    let slashed = typed.replace('\\', "/");
    if kind != StorageKind::Redis && (slashed.starts_with('/') || slashed.starts_with("./")) {
        let text = "The prefix begins with a slash or `./`, and keys do not";
        return found("prefix_leading_slash", text, &plain_path(&slashed));
    }
    if typed.contains(['*', '?']) {
        let fixed = typed.split(['*', '?']).next().unwrap_or_default();
        let meant =
            if kind == StorageKind::Redis { fixed } else { fixed.rsplit_once('/').map_or("", |(above, _)| above) };
        let text = "The prefix has `*` or `?`, which have no special meaning in it: it is the beginning of the keys. To select \
                    among them, use the file filter";
        return found("prefix_glob", text, meant);
    }
    let plain = plain_path(typed);
    // Slashes at the end have no meaning.
    if kind != StorageKind::Redis && plain.trim_end_matches('/') != typed.trim_end_matches('/') {
        let text = "The prefix has an empty folder or `.` between two slashes, and keys have none there";
        return found("prefix_double_slash", text, &plain);
    }
    if typed.contains('\\') && kind != StorageKind::Redis {
        return found(
            "prefix_backslash",
            "The prefix has backslashes. Folders in keys end with `/`",
            &typed.replace('\\', "/"),
        );
    }
    None
}

/// A prefix without empty folders and those named `.`.
fn plain_path(typed: &str) -> String {
    let end = if typed.ends_with('/') { "/" } else { "" };
    let folders: Vec<&str> = typed.split('/').filter(|folder| !matches!(*folder, "" | ".")).collect();
    format!("{}{end}", folders.join("/"))
}

impl Mistake {
    fn warning(self, field: &'static str) -> StorageWarning {
        let change = match self.meant.as_str() {
            "" => "leave the prefix empty".to_owned(),
            meant => format!("write `{meant}`"),
        };
        StorageWarning::new(self.code, Some(field), format!("{}: {change}.", self.text)).suggesting(self.meant)
    }
}

/// What the form of an export's prefix shows: keys would be written as it is typed.
pub(super) fn of_export(settings: &StorageSettings) -> Option<StorageWarning> {
    mistake(settings).map(|mistake| mistake.warning(typed(settings).0))
}

/// Why nothing lies below the prefix of an import. Makes up to five requests.
pub(super) async fn of_nothing(
    storage: &dyn Storage,
    settings: &StorageSettings,
) -> Result<Vec<StorageWarning>, StorageError> {
    let (field, typed) = typed(settings);
    let mut warnings = Vec::new();
    if settings.kind() == StorageKind::Redis {
        warnings.extend(of_databases(storage, settings).await?);
    }
    if let Some(mistake) = mistake(settings) {
        warnings.push(mistake.warning(field));
        return Ok(warnings);
    }
    if typed.is_empty() || settings.kind() == StorageKind::Localfiles {
        return Ok(warnings);
    }
    warnings.extend(of_other_names(storage, settings, field, typed).await?);
    Ok(warnings)
}

/// Other databases of the server that hold keys.
async fn of_databases(
    storage: &dyn Storage,
    settings: &StorageSettings,
) -> Result<Option<StorageWarning>, StorageError> {
    let Connection::Redis(redis) = &settings.connection else { return Ok(None) };
    let databases = storage.databases().await?;
    if databases.iter().any(|(number, keys)| *number == redis.db && *keys > 0) {
        return Ok(None);
    }
    let others: Vec<String> = databases.iter().take(SHOWN).map(|(number, keys)| format!("{number} ({keys})")).collect();
    let Some((fullest, _)) = databases.iter().max_by_key(|(_, keys)| *keys) else { return Ok(None) };
    let text = format!(
        "Database {} is empty, and others of the server hold keys: {}. Set `db` to the one that you mean.",
        redis.db,
        others.join(", ")
    );
    Ok(Some(StorageWarning::new("empty_database", Some("db"), text).suggesting(fullest.to_string())))
}

/// The folders of a prefix that are followed. Deeper ones cost a request each.
const MOST_LEVELS: usize = 4;

/// Where the prefix leaves the names that there are, with the name that was probably meant or those beside it.
///
/// Follows the prefix from the top of the bucket, folder by folder.
async fn of_other_names(
    storage: &dyn Storage,
    settings: &StorageSettings,
    field: &'static str,
    typed: &str,
) -> Result<Option<StorageWarning>, StorageError> {
    let delimiter = settings.kind().data().has_folders().then_some("/");
    // Keys without folders have one level.
    let mut steps = if delimiter.is_some() { typed.split_inclusive('/').collect() } else { vec![typed] };
    steps.truncate(MOST_LEVELS);
    let mut above = String::new();
    for step in steps {
        let request = ListRequest { prefix: &above, delimiter, limit: PAGE, ..ListRequest::default() };
        let page = storage.list_page(request).await?;
        let mut names = page.prefixes;
        names.extend(page.objects.into_iter().map(|object| object.meta.key));
        let folder = format!("{above}{step}{}", if step.ends_with('/') || delimiter.is_none() { "" } else { "/" });
        if delimiter.is_some() && names.contains(&folder) {
            above = folder;
            continue;
        }
        let place = Place { field, typed, above: &above, step };
        return Ok(place.warning(settings, &names));
    }
    Ok(None)
}

/// Where a prefix leaves the names that there are.
struct Place<'a> {
    /// The name of the field.
    field: &'static str,
    typed: &'a str,
    /// The part of the prefix that names folders that exist.
    above: &'a str,
    /// The part after that.
    step: &'a str,
}

impl Place<'_> {
    /// The warning about a prefix whose next part is none of these names.
    fn warning(&self, settings: &StorageSettings, names: &[String]) -> Option<StorageWarning> {
        let Self { field, typed, above, step } = *self;
        if names.is_empty() {
            return None;
        }
        let (start, name) = (above.len(), step.trim_end_matches('/'));
        let rest = typed.get(start + step.len()..).unwrap_or_default();
        let has_folders = settings.kind().data().has_folders();
        let beginning = |known: &String| known.get(start..start + name.len()).map(str::to_owned);
        let is_same = |known: &&String| beginning(known).as_deref() == Some(name);
        if let Some(known) = names.iter().find(is_same).filter(|_| has_folders && rest.is_empty()) {
            let text = format!(
                "The prefix is a folder: keys must begin with `{}`, and there are such as `{}`. To import keys that begin with \
                 `{typed}`, use the prefix above it and the file filter `{}.*`.",
                settings.connection.prefix(),
                short(known),
                escaped(typed),
            );
            return Some(StorageWarning::new("prefix_not_a_folder", Some(field), text).suggesting(above.to_owned()));
        }
        let is_like = |known: &&String| {
            let is_whole = !has_folders || known.get(start + name.len()..) == Some("/");
            is_whole && beginning(known).is_some_and(|own| own.eq_ignore_ascii_case(name))
        };
        if let Some(known) = names.iter().find(is_like) {
            let own = beginning(known).unwrap_or_default();
            let meant = format!("{above}{own}{}{rest}", &step[name.len()..]);
            let text = format!("Capitals count in a prefix, and keys begin with `{meant}`: write it so.");
            return Some(StorageWarning::new("prefix_case", Some(field), text).suggesting(meant));
        }
        let shown: Vec<String> = names.iter().take(SHOWN).map(|name| format!("`{}`", short(name))).collect();
        let text =
            format!("No key begins with `{}`. Keys begin with: {}.", settings.connection.prefix(), shown.join(", "));
        Some(StorageWarning::new("nothing_below_prefix", Some(field), text))
    }
}

/// A text as an expression that matches it alone.
fn escaped(text: &str) -> String {
    let is_sign = |letter: char| "\\.^$*+?{}[]|()".contains(letter);
    text.chars().flat_map(|letter| is_sign(letter).then_some('\\').into_iter().chain([letter])).collect()
}

fn short(name: &str) -> &str {
    &name[..name.floor_char_boundary(100)]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code(kind: &str, typed: &str) -> Option<(&'static str, String)> {
        let json = match kind {
            "redis" => serde_json::json!({"kind": "redis", "path": typed}),
            kind => serde_json::json!({"kind": kind, "bucket": "pets", "prefix": typed}),
        };
        mistake(&serde_json::from_value(json).unwrap()).map(|mistake| (mistake.code, mistake.meant))
    }

    #[test]
    fn the_form_of_a_prefix_shows_what_was_meant() {
        for (kind, typed, mistake, meant) in [
            ("s3", "/images", "prefix_leading_slash", "images"),
            ("gcs", "./images/", "prefix_leading_slash", "images/"),
            ("s3", "images ", "prefix_blanks", "images"),
            ("s3", "images/*", "prefix_glob", "images"),
            ("s3", "images/**/*.jpg", "prefix_glob", "images"),
            ("s3", "*.jpg", "prefix_glob", ""),
            ("s3", "s3://pets/images", "prefix_uri", "images"),
            ("gcs", "gs://other/images/a", "prefix_uri", "images/a"),
            ("s3", "https://pets.s3.amazonaws.com/images/", "prefix_uri", "images/"),
            ("s3", "arn:aws:s3:::pets/images/*", "prefix_uri", "images/"),
            ("s3", r"images\2024", "prefix_backslash", "images/2024"),
            ("s3", "images//cats/", "prefix_double_slash", "images/cats/"),
            ("gcs", "images/./cats", "prefix_double_slash", "images/cats"),
            ("s3", "//images", "prefix_leading_slash", "images"),
            ("s3", ".//images", "prefix_leading_slash", "images"),
            ("s3", r"\images\a", "prefix_leading_slash", "images/a"),
            ("s3", r".\images", "prefix_leading_slash", "images"),
            ("redis", "tasks:*", "prefix_glob", "tasks:"),
        ] {
            assert_eq!(code(kind, typed), Some((mistake, meant.to_owned())), "{typed}");
        }
        for (kind, typed) in [
            ("s3", ""),
            ("s3", "/"),
            ("s3", "images"),
            ("s3", "images//"),
            ("s3", "a b/c"),
            ("redis", "/a"),
            ("redis", r"a\b"),
        ] {
            assert_eq!(code(kind, typed), None, "{typed}");
        }
    }
}
