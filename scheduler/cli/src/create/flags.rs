//! The flags of a kind, and their values.

use clap::{Arg, ArgAction, ArgMatches, Command, value_parser};
use longshore_model::kinds::{Field, Secrecy, Value};
use longshore_model::{Secret, StorageKind};
use serde_json::Value as Json;

use crate::error::{CliError, Result};
use crate::named::Named;
use crate::secret;

/// The flag that creates an export storage.
pub(super) const EXPORT: &str = "export";

/// The flag that only probes and stores nothing.
pub(super) const DRY_RUN: &str = "dry-run";

/// The field whose value may be a title instead of an ID.
pub(crate) const PROJECT: &str = "project";

/// The flag that refuses settings with warnings.
pub(super) const STRICT: &str = "strict";

/// The value of a flag that means standard input.
const STDIN: &str = "-";

/// The value of a flag.
#[derive(Debug)]
pub(crate) enum FlagValue {
    Value(Json),
    /// A secret, or [`STDIN`].
    Secret(Secret),
    /// The path of a file that contains a secret, or [`STDIN`].
    File(String),
}

/// The command that creates a storage of a kind.
pub(super) fn command(kind: &StorageKind) -> Command {
    let switch =
        |name: &'static str, help: &'static str| Arg::new(name).long(name).action(ArgAction::SetTrue).help(help);
    Command::new(kind.as_str())
        .about(kind.data().about)
        .arg(switch(EXPORT, "Create an export storage, to which annotations are written"))
        .arg(switch(DRY_RUN, "Only probe the connection and say what a sync would do; store nothing"))
        .arg(switch(STRICT, "Refuse settings that have warnings"))
        .args(kind.data().fields().filter_map(arg))
}

/// The argument of a field; `None` if the field has no flag.
fn arg(field: &'static Field) -> Option<Arg> {
    let flag = field.flag?;
    let mut arg = Arg::new(flag.name).long(flag.name).required(field.is_required).help(help(field));
    if let Some(name) = flag.value_name {
        arg = arg.value_name(name);
    }
    if let Some(env) = flag.env {
        arg = arg.env(env).hide_env_values(field.secrecy().is_some());
    }
    if field.name == PROJECT {
        return Some(arg.value_name("PROJECT").value_parser(value_parser!(Named)));
    }
    Some(match field.value {
        Value::Bool { .. } | Value::BoolOrNull => arg.action(ArgAction::SetTrue),
        Value::Integer { min, max } => arg.value_parser(value_parser!(i64).range(min..=max)),
        Value::Secret(Secrecy::Plain | Secrecy::Bound | Secrecy::Password) => arg.value_parser(secret),
        Value::Text | Value::ShortText(_) | Value::Word | Value::Path | Value::Secret(Secrecy::KeyFile) => arg,
    })
}

pub(crate) fn help(field: &Field) -> String {
    let meaning = field.meaning();
    match field.secrecy() {
        Some(Secrecy::KeyFile) => format!("Path of a file that contains it, or `-` for standard input. {meaning}"),
        Some(_) => format!("{meaning} Use `-` to read it from standard input, because process lists show arguments."),
        None if field.name == PROJECT => format!("{}, by ID or title", meaning.trim_end_matches('.')),
        None => meaning.trim_end_matches('.').to_owned(),
    }
}

/// The project as the flag names it.
pub(crate) fn project(matches: &ArgMatches) -> Option<Named> {
    matches.get_one(PROJECT).cloned()
}

/// The value of a field's flag; `None` if the flag was not used, and for the project.
pub(super) fn value(field: &Field, matches: &ArgMatches) -> Option<FlagValue> {
    let name = field.flag.filter(|_| field.name != PROJECT)?.name;
    let text = || matches.get_one::<String>(name).cloned();
    match field.value {
        // The flag sets the opposite of the default.
        Value::Bool { default } => matches.get_flag(name).then_some(FlagValue::Value((!default).into())),
        Value::BoolOrNull => matches.get_flag(name).then_some(FlagValue::Value(true.into())),
        Value::Integer { .. } => matches.get_one::<i64>(name).map(|number| FlagValue::Value((*number).into())),
        Value::Secret(Secrecy::KeyFile) => text().map(FlagValue::File),
        Value::Secret(_) => matches.get_one::<Secret>(name).cloned().map(FlagValue::Secret),
        Value::Text | Value::ShortText(_) | Value::Word | Value::Path => {
            text().map(|text| FlagValue::Value(text.into()))
        }
    }
}

impl FlagValue {
    /// The JSON value to send.
    ///
    /// # Errors
    /// The file or standard input cannot be read.
    pub(crate) fn into_json(self) -> Result<Json> {
        Ok(match self {
            Self::Value(value) => value,
            Self::Secret(secret) if secret.expose() == STDIN => stdin()?.into(),
            Self::Secret(secret) => secret.expose().into(),
            Self::File(path) if path == STDIN => stdin()?.into(),
            Self::File(path) => match std::fs::read_to_string(&path) {
                Ok(text) => text.into(),
                Err(cause) => return Err(CliError::UnreadableFile { path, cause }),
            },
        })
    }
}

fn stdin() -> Result<String> {
    Ok(std::io::read_to_string(std::io::stdin()).map_err(CliError::Input)?.trim().to_owned())
}
