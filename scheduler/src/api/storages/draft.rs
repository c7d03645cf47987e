//! A storage as a request wants it to be: what is stored, or the defaults, with the sent fields over it.

use longshore_db::Sealed;
use longshore_db::storages::{StorageRow, Written};
use longshore_model::{Direction, Secrets, StorageSettings};
use longshore_storage::check_settings;
use serde_json::{Map, Value};

use super::fields::{Fields, REQUIRED};
use super::kind::Kind;
use crate::api::error::{ApiError, ApiResult};

/// Label Studio's limit for titles.
const MAX_TITLE: usize = 256;

/// A storage that is not written yet.
#[derive(Debug, Clone)]
pub(crate) struct Draft {
    pub(crate) project_id: i64,
    pub(crate) title: Option<String>,
    pub(crate) description: Option<String>,
    pub(crate) synchronizable: bool,
    pub(crate) settings: StorageSettings,
    pub(crate) secrets: Secrets,
}

/// What a request starts from.
pub(crate) enum Base {
    /// The defaults; `project` and the kind's own must be sent.
    Nothing,
    /// The defaults, with the secrets of what is stored unless others are sent.
    Secrets(Box<Draft>),
    /// What is stored: only what is sent changes.
    Stored(Box<Draft>),
}

impl Draft {
    /// What is stored, with its secrets opened.
    pub(crate) fn stored(row: StorageRow, secrets: Secrets) -> Self {
        Self {
            project_id: row.project_id,
            title: row.title,
            description: row.description,
            synchronizable: row.synchronizable,
            settings: row.settings,
            secrets,
        }
    }

    /// Reads a request over its base. Fields that users do not write, such as `status`, are ignored.
    ///
    /// # Errors
    /// Names every field that is missing or wrong.
    pub(crate) fn read(
        kind: &dyn Kind,
        direction: Direction,
        base: Base,
        sent: &Map<String, Value>,
    ) -> ApiResult<Self> {
        let mut fields = Fields::new(sent.clone());
        let whole = !matches!(base, Base::Stored(_));
        let none = Secrets::none(kind.kind());
        let bound = match &base {
            Base::Secrets(stored) | Base::Stored(stored) if stored.secrets != none => {
                kind.bound_secret(&stored.settings.connection)
            }
            _ => None,
        };
        let mut draft = match base {
            Base::Stored(draft) => *draft,
            Base::Nothing => Self::blank(kind, direction, none),
            Base::Secrets(stored) => Self::blank(kind, direction, stored.secrets),
        };
        match fields.integer("project", 1..=i64::MAX) {
            Some(project) => draft.project_id = project,
            None if whole && !fields.has("project") => fields.refuse("project", REQUIRED),
            None => {}
        }
        set(&mut draft.title, fields.short_text("title", MAX_TITLE));
        set(&mut draft.description, fields.text("description"));
        set(&mut draft.synchronizable, fields.boolean("synchronizable"));
        draft.read_settings(direction, &mut fields);
        kind.read(&mut fields, &mut draft, whole);
        if let Some((field, _)) = bound
            && bound != kind.bound_secret(&draft.settings.connection)
            && !fields.has(field)
        {
            fields.refuse(field, "Enter it again: the address changed.");
        }
        if let Err(error) = draft.settings.key_filter() {
            fields.refuse("regex_filter", error.to_string());
        }
        fields.finish()?;
        check_settings(&draft.settings).map_err(|setting| ApiError::invalid(setting.field, setting.message))?;
        Ok(draft)
    }

    fn blank(kind: &dyn Kind, direction: Direction, secrets: Secrets) -> Self {
        Self {
            project_id: 0,
            title: None,
            description: None,
            synchronizable: true,
            settings: StorageSettings::new(kind.blank(direction)),
            secrets,
        }
    }

    /// The fields that storages of every kind have.
    fn read_settings(&mut self, direction: Direction, fields: &mut Fields) {
        let settings = &mut self.settings;
        set(&mut settings.regex_filter, fields.text("regex_filter"));
        set(&mut settings.use_blob_urls, fields.boolean("use_blob_urls"));
        match direction {
            Direction::Import => {
                set(&mut settings.recursive_scan, fields.boolean("recursive_scan"));
                set(&mut settings.presign, fields.boolean("presign"));
                let minutes = fields.integer("presign_ttl", 0..=i64::from(i16::MAX));
                set(&mut settings.presign_ttl, minutes.and_then(|minutes| u16::try_from(minutes).ok()));
            }
            Direction::Export => {
                set(&mut settings.can_delete_objects, fields.boolean_or_null("can_delete_objects"));
                set(&mut settings.export_tasks, fields.boolean("export_tasks"));
                set(&mut settings.json_suffix, fields.boolean("json_suffix"));
            }
        }
    }

    /// Whether the other storage is reached in the same way.
    pub(crate) fn connects_like(&self, other: &Self) -> bool {
        self.settings.connection == other.settings.connection && self.secrets == other.secrets
    }

    /// The columns to write.
    pub(crate) fn written<'a>(&'a self, secrets: Option<&'a Sealed>) -> Written<'a> {
        Written {
            project_id: self.project_id,
            title: self.title.as_deref(),
            description: self.description.as_deref(),
            settings: &self.settings,
            synchronizable: self.synchronizable,
            secrets,
            server: self.settings.connection.server(&self.secrets),
        }
    }
}

/// Takes over what was sent.
pub(crate) fn set<T>(stored: &mut T, sent: Option<T>) {
    if let Some(sent) = sent {
        *stored = sent;
    }
}
