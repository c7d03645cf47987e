//! `longshore storage update`: an option for each field of each kind. Those that the storage's kind does not have are
//! refused, because a changed option that has no effect looks like a change.

use std::collections::BTreeMap;

use clap::{Arg, ArgAction, ArgMatches, Args, Command, FromArgMatches, builder::BoolishValueParser, value_parser};
use longshore_model::kinds::{Field, Secrecy, Value};
use longshore_model::{Secret, StorageKind};
use serde_json::{Map, Value as Json};

use crate::client::Client;
use crate::create::flags::{self, FlagValue};
use crate::error::{CliError, Result};
use crate::find::{Found, find};
use crate::forecast;
use crate::named::Named;
use crate::secret;
use crate::show::Output;
use crate::titles::project_id;

/// The argument that names the storage.
const STORAGE: &str = "storage";

/// The option that probes the changed storage and stores nothing.
const DRY_RUN: &str = "dry-run";

/// The option that refuses values with warnings.
const STRICT: &str = "strict";

/// A change of a stored storage.
#[derive(Debug)]
pub(crate) struct Update {
    storage: Named,
    is_dry_run: bool,
    is_strict: bool,
    project: Option<Named>,
    given: BTreeMap<&'static str, Given>,
}

/// The value of an option, before the kind is known.
#[derive(Debug)]
enum Given {
    Switch(bool),
    Text(String),
    Secret(Secret),
}

/// The fields of all kinds that have an option, by the option's name.
fn by_flag() -> BTreeMap<&'static str, Vec<(StorageKind, &'static Field)>> {
    let mut all: BTreeMap<&'static str, Vec<_>> = BTreeMap::new();
    for kind in StorageKind::ALL {
        for field in kind.data().fields() {
            if let Some(flag) = field.flag {
                all.entry(flag.name).or_default().push((*kind, field));
            }
        }
    }
    all
}

const fn is_switch(field: &Field) -> bool {
    matches!(field.value, Value::Bool { .. } | Value::BoolOrNull)
}

/// The option of these fields. No environment variable sets it: a change must be asked for.
fn arg(name: &'static str, fields: &[(StorageKind, &'static Field)]) -> Arg {
    let (_, field) = fields[0];
    let kinds: Vec<&str> = fields.iter().map(|(kind, _)| kind.as_str()).collect();
    let mut help = flags::help(field);
    if kinds.len() < StorageKind::ALL.len() {
        help = format!("{} [{}]", help.trim_end_matches('.'), kinds.join(", "));
    }
    let mut arg = Arg::new(name).long(name).help(help);
    if let Some(name) = field.flag.and_then(|flag| flag.value_name) {
        arg = arg.value_name(name);
    }
    if field.name == flags::PROJECT {
        return arg.value_name("PROJECT").value_parser(value_parser!(Named));
    }
    if is_switch(field) {
        let arg = arg.num_args(0..=1).require_equals(true).default_missing_value("true").value_name("BOOL");
        return arg.value_parser(BoolishValueParser::new());
    }
    match field.secrecy() {
        Some(Secrecy::Plain | Secrecy::Bound | Secrecy::Password) => arg.value_parser(secret),
        Some(Secrecy::KeyFile) | None => arg.allow_hyphen_values(true),
    }
}

impl Args for Update {
    fn augment_args(command: Command) -> Command {
        let storage =
            Arg::new(STORAGE).required(true).help("ID or title of the storage").value_parser(value_parser!(Named));
        let switch = |name: &'static str| Arg::new(name).long(name).action(ArgAction::SetTrue);
        command
            .arg(storage)
            .arg(switch(DRY_RUN).help("Only probe the connection with the new values; store nothing"))
            .arg(switch(STRICT).help("Refuse values that have warnings"))
            .args(by_flag().iter().map(|(name, fields)| arg(name, fields)))
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl FromArgMatches for Update {
    fn from_arg_matches(matches: &ArgMatches) -> std::result::Result<Self, clap::Error> {
        let missing = || clap::Error::new(clap::error::ErrorKind::MissingRequiredArgument);
        let mut given = BTreeMap::new();
        for (name, fields) in by_flag() {
            let (_, field) = fields[0];
            let value = match (is_switch(field), field.secrecy()) {
                _ if field.name == flags::PROJECT => None,
                (true, _) => matches.get_one::<bool>(name).map(|on| Given::Switch(*on)),
                (false, Some(Secrecy::Plain | Secrecy::Bound | Secrecy::Password)) => {
                    matches.get_one::<Secret>(name).cloned().map(Given::Secret)
                }
                (false, Some(Secrecy::KeyFile) | None) => matches.get_one::<String>(name).cloned().map(Given::Text),
            };
            given.extend(value.map(|value| (name, value)));
        }
        Ok(Self {
            storage: matches.get_one::<Named>(STORAGE).cloned().ok_or_else(missing)?,
            is_dry_run: matches.get_flag(DRY_RUN),
            is_strict: matches.get_flag(STRICT),
            project: flags::project(matches),
            given,
        })
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> std::result::Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

impl Update {
    pub(crate) async fn run(self, client: &Client, output: Output) -> Result<()> {
        let found = find(client, &self.storage).await?;
        let mut body = changes(&found, self.given)?;
        if let Some(project) = &self.project {
            body.insert(flags::PROJECT.to_owned(), project_id(client, project).await?.into());
        }
        if body.is_empty() {
            return Err(CliError::NothingToChange { command: "storage update" });
        }
        let query = forecast::query(self.is_strict);
        if !self.is_dry_run {
            let answer = client.patch(&format!("{}{query}", found.path), &body.into()).await?;
            forecast::print_saved(&answer, output);
            return Ok(());
        }
        let collection = found.collection();
        let mut changed = found.storage;
        for (name, value) in body {
            changed[name.as_str()] = value;
        }
        let answer = client.post(&format!("{collection}/validate{query}"), &changed).await?;
        forecast::print_validated(&answer, output);
        Ok(())
    }
}

/// The fields that the options set.
///
/// # Errors
/// An option does not apply to this kind or direction, or its value is invalid.
fn changes(found: &Found, given: BTreeMap<&'static str, Given>) -> Result<Map<String, Json>> {
    let fields = || found.kind.data().fields().filter_map(|field| Some((field.flag?.name, field)));
    let applies = |field: &Field| field.used_by().is_none_or(|only| only == found.direction);
    let mut body = Map::new();
    for (name, value) in given {
        let Some((_, field)) = fields().find(|(flag, field)| *flag == name && applies(field)) else {
            let known: Vec<String> =
                fields().filter(|(_, field)| applies(field)).map(|(flag, _)| format!("--{flag}")).collect();
            return Err(CliError::OptionNotApplicable {
                option: format!("--{name}"),
                to: format!("storage {}, which is an {} storage of kind {}", found.id, found.direction, found.kind),
                instead: format!("its options are: {}", known.join(", ")),
            });
        };
        body.insert(field.name.to_owned(), json(name, field, value)?);
    }
    Ok(body)
}

/// The value of a field.
fn json(name: &str, field: &Field, given: Given) -> Result<Json> {
    let invalid = |fault: String| CliError::InvalidOption { option: format!("--{name}"), fault };
    Ok(match (field.value, given) {
        // The option sets the opposite of the default.
        (Value::Bool { default }, Given::Switch(on)) => (on != default).into(),
        (Value::BoolOrNull, Given::Switch(on)) => on.into(),
        (Value::Integer { min, max }, Given::Text(text)) => match text.parse::<i64>() {
            Ok(number) if (min..=max).contains(&number) => number.into(),
            _ => return Err(invalid(format!("write a whole number from {min} to {max}"))),
        },
        // An empty text deletes a secret; it is not the name of a file.
        (Value::Secret(Secrecy::KeyFile), Given::Text(path)) if !path.is_empty() => {
            FlagValue::File(path).into_json()?
        }
        (_, Given::Secret(secret)) => FlagValue::Secret(secret).into_json()?,
        (_, Given::Text(text)) => text.into(),
        (_, Given::Switch(on)) => on.into(),
    })
}

#[cfg(test)]
mod tests {
    use clap::Parser;
    use longshore_model::Direction;
    use serde_json::json;

    use super::*;

    #[derive(Debug, Parser)]
    struct Line {
        #[command(flatten)]
        update: Update,
    }

    fn changed(kind: StorageKind, direction: Direction, words: &str) -> Result<Json> {
        let line = Line::try_parse_from(["update", "7"].into_iter().chain(words.split(' '))).unwrap();
        let found = Found { id: 7, storage: Json::Null, kind, direction, path: String::new() };
        changes(&found, line.update.given).map(Json::Object)
    }

    /// One option is parsed before the kind is known, so it must have the same form in all kinds.
    #[test]
    fn an_option_has_the_same_form_in_every_kind() {
        for (name, fields) in by_flag() {
            let form = |field: &Field| (is_switch(field), field.secrecy().map(|secrecy| secrecy == Secrecy::KeyFile));
            let forms: Vec<_> = fields.iter().map(|(_, field)| form(field)).collect();
            assert!(forms.iter().all(|form| *form == forms[0]), "{name}: {forms:?}");
        }
    }

    #[test]
    fn only_given_options_change_the_storage() {
        let body = changed(StorageKind::S3, Direction::Import, "--title T --recursive --presign-ttl 5").unwrap();
        assert_eq!(body, json!({"title": "T", "recursive_scan": true, "presign_ttl": 5}));
        let body = changed(StorageKind::S3, Direction::Import, "--no-presign=false --blob=no --recursive=yes").unwrap();
        assert_eq!(body, json!({"presign": true, "use_blob_urls": false, "recursive_scan": true}));
        let body = changed(StorageKind::Redis, Direction::Import, "--password hunter2 --path -x").unwrap();
        assert_eq!(body, json!({"password": "hunter2", "path": "-x"}));
    }

    #[test]
    fn an_option_of_another_kind_or_direction_is_refused() {
        for (kind, direction, words) in [
            (StorageKind::Gcs, Direction::Import, "--endpoint http://h"),
            (StorageKind::S3, Direction::Export, "--recursive"),
            (StorageKind::S3, Direction::Import, "--can-delete"),
            (StorageKind::Redis, Direction::Import, "--no-presign"),
            (StorageKind::Localfiles, Direction::Import, "--bucket b"),
        ] {
            let error = changed(kind, direction, words).unwrap_err();
            assert!(matches!(error, CliError::OptionNotApplicable { .. }), "{words}: {error}");
        }
        let error = changed(StorageKind::S3, Direction::Import, "--presign-ttl soon").unwrap_err();
        assert!(matches!(error, CliError::InvalidOption { .. }), "{error}");
    }

    #[test]
    fn debug_hides_secrets() {
        let line = Line::try_parse_from(["update", "7", "--secret-access-key", "hunter2"]).unwrap();
        assert!(!format!("{line:?}").contains("hunter2"));
    }
}
