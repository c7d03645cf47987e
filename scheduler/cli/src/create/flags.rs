//! The flags of a kind, and what was given with them.

use clap::{Arg, ArgAction, ArgMatches, Command, value_parser};
use longshore_model::kinds::{Field, Secrecy, Value};
use longshore_model::{Direction, Secret, StorageKind};
use serde_json::Value as Json;

use crate::error::{CliError, Result};
use crate::secret;

/// The flag that makes an export storage.
pub(super) const EXPORT: &str = "export";

/// The flag that stores nothing.
pub(super) const DRY_RUN: &str = "dry-run";

/// What is read from standard input instead.
const STDIN: &str = "-";

/// What was given for a field.
#[derive(Debug)]
pub(super) enum Given {
    Value(Json),
    /// A secret, or [`STDIN`].
    Secret(Secret),
    /// The path of a file with a secret, or [`STDIN`].
    File(String),
}

/// The command that creates a storage of a kind.
pub(super) fn command(kind: &StorageKind) -> Command {
    let switch =
        |name: &'static str, help: &'static str| Arg::new(name).long(name).action(ArgAction::SetTrue).help(help);
    Command::new(kind.as_str())
        .about(kind.data().about)
        .arg(switch(EXPORT, "Write annotations to the storage, instead of importing from it"))
        .arg(switch(DRY_RUN, "Probe the connection and store nothing"))
        .args(kind.data().fields().filter_map(arg))
}

/// The flag of a field; `None` if it has none.
fn arg(field: &'static Field) -> Option<Arg> {
    let flag = field.flag?;
    let mut arg = Arg::new(flag.name).long(flag.name).required(field.is_required).help(help(field));
    if let Some(name) = flag.value_name {
        arg = arg.value_name(name);
    }
    if let Some(env) = flag.env {
        arg = arg.env(env).hide_env_values(field.secrecy().is_some());
    }
    arg = match field.used_by() {
        Some(Direction::Import) => arg.conflicts_with(EXPORT),
        Some(Direction::Export) => arg.requires(EXPORT),
        None => arg,
    };
    Some(match field.value {
        Value::Bool { .. } | Value::BoolOrNull => arg.action(ArgAction::SetTrue),
        Value::Integer { min, max } => arg.value_parser(value_parser!(i64).range(min..=max)),
        Value::Secret(Secrecy::Plain | Secrecy::Bound | Secrecy::Password) => arg.value_parser(secret),
        Value::Text | Value::ShortText(_) | Value::Word | Value::Path | Value::Secret(Secrecy::KeyFile) => arg,
    })
}

fn help(field: &Field) -> String {
    let meaning = field.meaning();
    match field.secrecy() {
        Some(Secrecy::KeyFile) => format!("File with it, or `-` for standard input. {meaning}"),
        Some(_) => format!("{meaning} `-` reads it from standard input: a list of processes shows arguments."),
        None => meaning.trim_end_matches('.').to_owned(),
    }
}

/// What was given for a field; `None` if nothing was.
pub(super) fn given(field: &Field, matches: &ArgMatches) -> Option<Given> {
    let name = field.flag?.name;
    let text = || matches.get_one::<String>(name).cloned();
    match field.value {
        // The flag sets the opposite of the default.
        Value::Bool { default } => matches.get_flag(name).then_some(Given::Value((!default).into())),
        Value::BoolOrNull => matches.get_flag(name).then_some(Given::Value(true.into())),
        Value::Integer { .. } => matches.get_one::<i64>(name).map(|number| Given::Value((*number).into())),
        Value::Secret(Secrecy::KeyFile) => text().map(Given::File),
        Value::Secret(_) => matches.get_one::<Secret>(name).cloned().map(Given::Secret),
        Value::Text | Value::ShortText(_) | Value::Word | Value::Path => text().map(|text| Given::Value(text.into())),
    }
}

impl Given {
    /// What to send.
    ///
    /// # Errors
    /// The file or standard input cannot be read.
    pub(super) fn into_json(self) -> Result<Json> {
        Ok(match self {
            Self::Value(value) => value,
            Self::Secret(secret) if secret.expose() == STDIN => stdin()?.into(),
            Self::Secret(secret) => secret.expose().into(),
            Self::File(path) if path == STDIN => stdin()?.into(),
            Self::File(path) => std::fs::read_to_string(path).map_err(CliError::Input)?.into(),
        })
    }
}

fn stdin() -> Result<String> {
    Ok(std::io::read_to_string(std::io::stdin()).map_err(CliError::Input)?.trim().to_owned())
}
