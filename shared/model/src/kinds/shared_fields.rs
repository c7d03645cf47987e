//! Fields that several storage kinds have. Each kind lists the groups that it has.

use super::field::{Field, Scope};
use crate::Direction::{Export, Import};

/// Label Studio's limit for titles.
const MAX_TITLE_CHARS: usize = 256;

/// Label Studio's limit: it stores the minutes in a 16-bit column.
const MAX_TTL_MINUTES: i64 = 32_767;

/// The fields that users set for every storage besides its settings.
pub(super) const IDENTITY: &[Field] = &[
    Field::integer(
        "project",
        1,
        i64::MAX,
        "The project into which tasks are imported, or from which annotations are exported",
    )
    .required()
    .example("1")
    .flag_value("project", "ID"),
    Field::short_text("title", MAX_TITLE_CHARS, "Display name").example("\"Pets\"").flag("title"),
    Field::text("description", "Description for users").flag("description"),
    Field::on("synchronizable", "Whether syncs may start"),
];

/// The fields that select the objects of an import and decide how tasks are made of them.
pub(super) const IMPORT: &[Field] = &[REGEX_FILTER, USE_BLOB_URLS, ALL_OBJECTS, STOP_WHEN_UNUSABLE];

/// The field of kinds whose servers state the MD5 of objects.
pub(super) const VERIFICATION: &[Field] = &[Field::off(
    "verify_content",
    "Compares the MD5 of each object that is read with the one that the storage states: a plain ETag of S3, \
     `x-goog-hash` or `Content-MD5`",
)
.scope(Scope::Only(Import))
.flag("verify-content")];

/// The expression that filters keys.
pub(super) const REGEX_FILTER: Field =
    Field::text("regex_filter", "Python regular expression, matched at the start of the full key")
        .scope(Scope::UsedBy(Import))
        .example("\".*\\\\.jpe?g\"")
        .flag("regex");

/// Whether an import names objects instead of reading them.
pub(super) const USE_BLOB_URLS: Field = Field::off(
    "use_blob_urls",
    "Makes one task per object, with the object's URI; otherwise objects contain tasks as JSON",
)
.scope(Scope::UsedBy(Import))
.flag("blob");

/// Whether an import whose first objects are all unusable goes on.
pub(super) const STOP_WHEN_UNUSABLE: Field = Field::on(
    "stop_when_unusable",
    "Stops a sync as failed if its first page of at least 200 objects has none that can be used, all for the same reason",
)
.scope(Scope::Only(Import))
.flag("no-stop");

/// The field of kinds with folders.
pub(super) const FOLDERS: &[Field] =
    &[Field::off(RECURSIVE_SCAN, "Include keys in sub-folders").scope(Scope::Only(Import)).flag("recursive")];

/// Whether an import takes what is no content, too.
pub(super) const ALL_OBJECTS: Field = Field::off(
    "import_all_objects",
    "Imports objects, too, that are skipped otherwise: folder markers, files that Hadoop and desktops leave beside the \
     data, such as `_SUCCESS` and `.DS_Store`, and objects that exports of this project wrote",
)
.scope(Scope::Only(Import))
.flag("all-objects");

/// The name of the field that only kinds with folders have.
pub(super) const RECURSIVE_SCAN: &str = "recursive_scan";

/// The fields of kinds with presigned URLs.
pub(super) const SIGNING: &[Field] = &[
    Field::on(PRESIGN, "Whether browsers load objects by presigned URLs; otherwise Longshore streams them")
        .scope(Scope::Only(Import))
        .flag("no-presign"),
    Field::integer("presign_ttl", 0, MAX_TTL_MINUTES, "How long presigned URLs are valid, in minutes; 1 by default")
        .scope(Scope::Only(Import))
        .example("15")
        .flag_value("presign-ttl", "MINUTES"),
];

/// The name of the field that only kinds with presigned URLs have.
pub(super) const PRESIGN: &str = "presign";

/// The fields that control what an export writes and deletes.
pub(super) const EXPORT: &[Field] = &[
    Field::nullable_bool("can_delete_objects", "Deletes the object of a deleted annotation")
        .scope(Scope::Only(Export))
        .flag("can-delete"),
    Field::off("export_tasks", "Writes one object per task instead of one per annotation")
        .scope(Scope::Only(Export))
        .flag("tasks"),
    Field::off("json_suffix", "Names objects `<id>.json` instead of `<id>`")
        .scope(Scope::Only(Export))
        .flag("json-suffix"),
];

/// The prefix of the keys, for kinds in which `/` makes folders.
pub(super) const PREFIX: Field = Field::text(
    "prefix",
    "For import, only keys with this prefix; for export, the prefix of written keys. `a`, `a/` and `a//` are the same",
)
.example("\"images\"")
.flag("prefix");
