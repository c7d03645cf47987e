//! A command line that clap refuses, in the words of the other errors: what is wrong, then a hint.
//!
//! Clap's own usage line is left out: it names every option that an environment variable sets, as if all were required.

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Command, Error};
use longshore_model::StorageKind;
use longshore_model::kinds::Field;

use crate::exit::Exit;

/// A refused command line.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Refusal {
    /// The stable code, for programs.
    pub(crate) code: &'static str,
    pub(crate) message: String,
    pub(crate) hint: String,
}

/// The code of an option that a kind of storage does not have.
pub(crate) const NOT_APPLICABLE: &str = "option_not_applicable";

/// Reads clap's error. `root` is the command `longshore`, and `words` are its arguments.
pub(crate) fn read(error: &Error, root: &Command, words: impl Iterator<Item = String>) -> Refusal {
    let text = error.render().to_string();
    let text = text.strip_prefix("error: ").unwrap_or(&text);
    let mut parts = text.split("\n\n");
    let message = parts.next().unwrap_or_default().trim_end();
    let path = path(text, root, words);
    let words = path.join(" ");
    let refusal = |message: &str, hint: String| Refusal { code: Exit::USAGE_CODE, message: message.to_owned(), hint };
    match error.kind() {
        ErrorKind::InvalidSubcommand if path.last() == Some(&"create") && path.contains(&"storage") => {
            let name = context(error, ContextKind::InvalidSubcommand);
            refusal(&format!("unknown storage kind: {name}"), kinds())
        }
        ErrorKind::InvalidSubcommand | ErrorKind::MissingSubcommand => {
            let names: Vec<&str> = find(&path, root).get_subcommands().map(Command::get_name).collect();
            let message = match error.kind() {
                ErrorKind::MissingSubcommand => format!("`{words}` needs a command"),
                _ => format!("unknown command: {words} {}", context(error, ContextKind::InvalidSubcommand)),
            };
            refusal(&message, format!("the commands are: {}", names.join(", ")))
        }
        ErrorKind::UnknownArgument => {
            let option = context(error, ContextKind::InvalidArg);
            if let Some((kind, hint)) = of_other_kind(&path, &option) {
                let message = format!("option {option} does not apply to storages of kind {kind}");
                return Refusal { code: NOT_APPLICABLE, message, hint };
            }
            let similar = context(error, ContextKind::SuggestedArg);
            let hint = if similar.is_empty() { help(&words) } else { format!("there is an option {similar}") };
            refusal(&format!("unknown option or argument: {option}"), hint)
        }
        ErrorKind::MissingRequiredArgument => {
            let missing: Vec<&str> = message.lines().skip(1).map(str::trim).collect();
            refusal(&format!("missing: {}", missing.join(", ")), help(&words))
        }
        _ => {
            // The values that an option can have are in a second line.
            let lines: Vec<&str> = message.lines().map(str::trim).collect();
            refusal(&lines.join(" "), help(&words))
        }
    }
}

fn help(words: &str) -> String {
    format!("`{words} --help` lists the options")
}

/// The text of one part of the error; empty if there is none.
fn context(error: &Error, kind: ContextKind) -> String {
    match error.get(kind) {
        Some(ContextValue::String(text)) => text.clone(),
        Some(ContextValue::Strings(texts)) => texts.join(", "),
        _ => String::new(),
    }
}

/// The command that was refused, word by word: from clap's usage line, or from the arguments where it prints none.
fn path<'a>(text: &str, root: &'a Command, words: impl Iterator<Item = String>) -> Vec<&'a str> {
    let usage = text.split("Usage: ").nth(1).and_then(|usage| usage.lines().next());
    let words: Vec<String> = match usage {
        Some(usage) => usage.split_whitespace().map(str::to_owned).collect(),
        None => words.collect(),
    };
    let mut path = vec![root.get_name()];
    let mut command = root;
    for word in words {
        // Options stand between the commands.
        let Some(below) = command.find_subcommand(&word) else { continue };
        path.push(below.get_name());
        command = below;
    }
    path
}

fn find<'a>(path: &[&str], root: &'a Command) -> &'a Command {
    path.iter().skip(1).fold(root, |command, name| command.find_subcommand(name).unwrap_or(command))
}

/// The kinds with a word for each.
fn kinds() -> String {
    let kinds: Vec<String> = StorageKind::ALL.iter().map(|kind| format!("{kind} ({})", kind.data().about)).collect();
    format!("the kinds are: {}", kinds.join(", "))
}

/// The kind of a new storage that has not this option, and what to use instead. `None` if no other kind has the option.
fn of_other_kind(path: &[&str], option: &str) -> Option<(StorageKind, String)> {
    let ["longshore", "storage", "create", kind] = path else { return None };
    let kind: StorageKind = kind.parse().ok()?;
    let name = option.trim_start_matches('-').split('=').next().unwrap_or_default();
    let has = |kind: &&StorageKind| fields(**kind).any(|(flag, _)| flag == name);
    let others: Vec<&str> = StorageKind::ALL.iter().filter(has).map(|kind| kind.as_str()).collect();
    if others.is_empty() {
        return None;
    }
    let place = fields(kind).find(|(_, field)| field.name == kind.data().place).map(|(flag, _)| flag);
    let hint = match (name, kind) {
        ("bucket" | "container" | "path", _) if place.is_some() => format!("use --{}", place.unwrap_or_default()),
        ("prefix", StorageKind::Redis) => "use --path, the beginning of the keys".to_owned(),
        ("prefix", StorageKind::Localfiles) => "name the folder itself with --path".to_owned(),
        ("endpoint", StorageKind::Redis) => "use --host and --port".to_owned(),
        ("host" | "port", _) if fields(kind).any(|(flag, _)| flag == "endpoint") => "use --endpoint".to_owned(),
        ("recursive", _) => "leave it out: keys of Redis have no folders".to_owned(),
        _ => format!("leave it out: it is an option of {}", others.join(", ")),
    };
    Some((kind, hint))
}

/// The fields of a kind that have an option, by its name.
fn fields(kind: StorageKind) -> impl Iterator<Item = (&'static str, &'static Field)> {
    kind.data().fields().filter_map(|field| Some((field.flag?.name, field)))
}
