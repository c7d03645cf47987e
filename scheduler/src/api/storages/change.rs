//! A change of a storage: the fields that a request sends, and the storage that results from them.
//!
//! [`Change::parse`] reads the body. [`Change::apply`] combines it with the stored fields into the storage to probe and
//! write. All invalid fields are collected and reported in one answer.

use std::borrow::Cow;
use std::collections::BTreeMap;

use longshore_db::SealedSecrets;
use longshore_db::storages::StorageValues;
use longshore_filter::KeyFilter;
use longshore_model::kinds::Field;
use longshore_model::{Direction, Secret, Secrets, StorageKind};
use longshore_storage::check_settings;
use serde_json::{Map, Value};

use super::names::unknown_fields;
use super::user_fields::UserFields;
use super::values::{REQUIRED, read};
use crate::api::error::{ApiError, ApiResult, FieldErrors, NON_FIELD};

/// The stored settings do not match the stored kind. This is not the caller's fault.
const OTHER_KIND: &str = "The stored settings are those of another kind of storage. Create the storage again.";

const ADDRESS_CHANGED: &str = "Enter it again: the address changed.";
const PROJECT_CHANGED: &str = "Enter it again: the project changed.";

/// A storage that is not stored yet.
#[derive(Debug, Clone)]
pub(super) struct Draft {
    pub(super) fields: UserFields,
    pub(super) secrets: Secrets,
}

impl Draft {
    /// Whether a probe of this storage is also one of the other: the same connection with the same secrets, in the same
    /// project, which may have its own document root.
    pub(super) fn reaches_as(&self, other: &Self) -> bool {
        self.fields.project_id == other.fields.project_id
            && self.fields.settings.connection == other.fields.settings.connection
            && self.secrets == other.secrets
    }
}

/// The values that a change starts from.
#[derive(Debug, Clone)]
pub(super) enum Base {
    /// The defaults; required fields must be sent.
    Nothing,
    /// The defaults, and the stored secrets unless the request sends others.
    Secrets(Box<Draft>),
    /// The stored values. Only the fields that the request sends change.
    Stored(Box<Draft>),
}

/// The fields of a request. It has no `Debug`, because some are secrets.
pub(super) struct Change {
    kind: StorageKind,
    direction: Direction,
    values: Map<String, Value>,
    secrets: BTreeMap<&'static str, Option<Secret>>,
    errors: FieldErrors,
    /// Stored secrets that must be entered again.
    required_secrets: FieldErrors,
}

impl Change {
    /// Reads the fields of the kind. Ignores fields that users do not write, such as `status`, and refuses unknown ones.
    pub(super) fn parse(kind: StorageKind, direction: Direction, sent: &Map<String, Value>) -> Self {
        let mut change = Self {
            kind,
            direction,
            values: Map::new(),
            secrets: BTreeMap::new(),
            errors: FieldErrors::new(),
            required_secrets: FieldErrors::new(),
        };
        for field in kind.data().fields().filter(|field| field.is_part_of(direction)) {
            let Some(value) = sent.get(field.name) else { continue };
            match (read(field, value), field.secrecy()) {
                (Err(message), _) => change.refuse(field.name, message),
                (Ok(value), None) => drop(change.values.insert(field.name.to_owned(), value)),
                (Ok(Value::String(text)), Some(_)) => drop(change.secrets.insert(field.name, Some(Secret::new(text)))),
                (Ok(_), Some(_)) => drop(change.secrets.insert(field.name, None)),
            }
        }
        for (name, message) in unknown_fields(kind, direction, sent) {
            change.refuse(name, message);
        }
        change
    }

    fn refuse(&mut self, field: impl Into<Cow<'static, str>>, message: impl Into<String>) {
        self.errors.entry(field.into()).or_default().push(message.into());
    }

    /// Whether the request sends this field, valid or not.
    fn sends(&self, field: &Field) -> bool {
        self.values.contains_key(field.name)
            || self.secrets.contains_key(field.name)
            || self.errors.contains_key(field.name)
    }

    /// The project that the request sends, if it is valid.
    pub(super) fn project(&self) -> Option<i64> {
        self.values.get("project").and_then(Value::as_i64)
    }

    /// Whether the request sends a secret.
    pub(super) fn sends_secrets(&self) -> bool {
        self.kind.data().secret_fields().any(|field| self.sends(field))
    }

    /// Whether the request sends a field of the connection.
    pub(super) fn reconnects(&self) -> bool {
        self.kind.data().connection_fields().any(|field| self.sends(field))
    }

    /// Applies the change to its base, and returns the resulting storage.
    ///
    /// # Errors
    /// Names every field that is missing or invalid, or a stored secret that must be entered again.
    pub(super) fn apply(mut self, base: Base) -> ApiResult<Draft> {
        let blank = || UserFields::blank(self.kind, self.direction);
        let (is_whole, stored, fields) = match base {
            Base::Nothing => (true, None, blank()),
            Base::Secrets(stored) => (true, Some(stored), blank()),
            Base::Stored(stored) => {
                let fields = stored.fields.clone();
                (false, Some(stored), fields)
            }
        };
        if stored.as_ref().is_some_and(|stored| stored.fields.settings.kind() != self.kind) {
            return Err(ApiError::invalid(NON_FIELD, OTHER_KIND));
        }
        if is_whole {
            self.refuse_missing();
        }
        let fields = fields.with(std::mem::take(&mut self.values))?;
        let kept = stored.as_ref().map_or_else(|| Secrets::none(self.kind), |stored| stored.secrets.clone());
        let draft = Draft { fields, secrets: kept.with(&self.secrets).map_err(ApiError::internal)? };
        if let Some(stored) = &stored {
            self.require_secrets(stored, &draft);
        }
        if let Err(error) = KeyFilter::of(&draft.fields.settings) {
            self.refuse("regex_filter", error.to_string());
        }
        if !self.errors.is_empty() {
            return Err(ApiError::Invalid(self.errors));
        }
        check_settings(&draft.fields.settings).map_err(|setting| ApiError::invalid(setting.field, setting.message))?;
        if !self.required_secrets.is_empty() {
            return Err(ApiError::SecretsRequired(self.required_secrets));
        }
        Ok(draft)
    }

    fn refuse_missing(&mut self) {
        for field in self.kind.data().fields() {
            if field.is_required && field.is_part_of(self.direction) && !self.sends(field) {
                self.refuse(field.name, REQUIRED);
            }
        }
    }

    /// Requires stored secrets again where the change would lend them: bound ones to another server or account, and all of
    /// them to another project.
    fn require_secrets(&mut self, stored: &Draft, draft: &Draft) {
        let server = |draft: &Draft| draft.fields.settings.connection.server(&draft.secrets);
        let has_moved = server(stored) != server(draft);
        let changes_project = stored.fields.project_id != draft.fields.project_id;
        let is_stored = |name: &str| stored.secrets.texts().iter().any(|(own, text)| *own == name && text.is_some());
        for field in self.kind.data().secret_fields().filter(|field| is_stored(field.name)) {
            let reason = match (has_moved && field.is_bound(), changes_project) {
                (true, _) => ADDRESS_CHANGED,
                (false, true) => PROJECT_CHANGED,
                (false, false) => continue,
            };
            if !self.sends(field) {
                self.required_secrets.entry(field.name.into()).or_default().push(reason.to_owned());
            }
        }
    }
}

impl Draft {
    /// The columns to write.
    pub(super) fn written<'a>(&'a self, secrets: Option<&'a SealedSecrets>) -> StorageValues<'a> {
        StorageValues {
            project_id: self.fields.project_id,
            title: self.fields.title.as_deref(),
            description: self.fields.description.as_deref(),
            settings: &self.fields.settings,
            synchronizable: self.fields.synchronizable,
            secrets,
            server: self.fields.settings.connection.server(&self.secrets),
        }
    }
}

#[cfg(test)]
mod tests;
