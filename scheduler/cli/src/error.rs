//! The errors that users see: what happened, then a `hint:` line with what to do.

use std::fmt::Write as _;
use std::path::PathBuf;

use longshore_model::StorageKind;
use serde_json::{Value, json};

use crate::exit::Exit;
use crate::named::Named;
use crate::text::{escaped, safe_lines};
use crate::usage::Refusal;

pub(crate) type Result<T> = std::result::Result<T, CliError>;

/// A command that failed. `Display` may take several lines and never holds a secret.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CliError {
    #[error("{}\nhint: {}", safe_lines(&.0.message), safe_lines(&.0.hint))]
    CommandLine(Refusal),
    #[error("not a URL: `{url}`\nhint: set LONGSHORE_URL or --url to a URL such as http://127.0.0.1:8080")]
    BadUrl { url: String },
    #[error(
        "cannot reach {url}: {cause}\nhint: check that the scheduler runs, and that LONGSHORE_URL or --url is its address"
    )]
    Unreachable { url: String, cause: String },
    #[error(
        "{url} refused the token: {detail}\nhint: set LONGSHORE_TOKEN or --token to a valid token, or use a profile"
    )]
    Unauthorized {
        url: String,
        detail: String,
        /// The status of the answer; `None` if the token was not sent.
        status: Option<u16>,
    },
    #[error(
        "{url} returned {what}, which is not a Longshore response\nhint: set LONGSHORE_URL or --url to the address of a scheduler"
    )]
    NotLongshore { url: String, what: String },
    #[error("{}", refusal(body))]
    Api { body: Value },
    #[error(
        "{what} {name} not found, or this token cannot access it\nhint: `longshore {what} list` shows the {what}s of this token"
    )]
    NotFound { what: &'static str, name: Named },
    #[error(
        "quarantined object {id} not found, or this token cannot access it\nhint: `longshore quarantine list` shows those of this token"
    )]
    NotQuarantined { id: i64 },
    #[error("{what} {name} not found\nhint: similar titles: {similar}")]
    Similar { what: &'static str, name: Named, similar: String },
    #[error("storage {storage} has no sync\nhint: `longshore sync start {storage} --follow` starts one")]
    NoSync { storage: i64 },
    #[error("several {what}s have the title `{}`\nhint: use the ID of one of them: {candidates}", escaped(title))]
    Ambiguous { what: &'static str, title: String, candidates: String },
    #[error("option {option} does not apply to {to}\nhint: {instead}")]
    OptionNotApplicable { option: String, to: String, instead: String },
    #[error(
        "invalid value of option {option}: {fault}\nhint: `longshore --help` and the help of each command list the values"
    )]
    InvalidOption { option: String, fault: String },
    #[error("nothing to change: no option names a new value\nhint: `longshore {command} --help` lists the options")]
    NothingToChange { command: &'static str },
    #[error("{takes}\nhint: add --yes to do it{}", if keeps.is_empty() { String::new() } else { format!("; {keeps}") })]
    Unconfirmed { takes: String, keeps: String },
    #[error("profile `{}` not found\nhint: {}", escaped(name), profiles(known))]
    NoProfile { name: String, known: String },
    #[error(
        "there is no folder for profiles: neither XDG_CONFIG_HOME nor HOME is set\nhint: set LONGSHORE_PROFILES or --profiles to a file"
    )]
    NoHome,
    #[error(
        "{} holds tokens, and other users may read or change it\nhint: run `chmod 600 {}`, and replace the tokens if someone may have read them",
        path.display(), path.display()
    )]
    PublicProfiles { path: PathBuf },
    #[error("cannot use {}: {fault}\nhint: correct or remove the file, or set LONGSHORE_PROFILES to another", path.display())]
    Profiles { path: PathBuf, fault: String },
    #[error("DATABASE_URL {fault}\nhint: set DATABASE_URL or --database-url to the URL of Label Studio's database")]
    BadDatabaseUrl { fault: String },
    #[error("{}", escaped(text))]
    Database { text: String },
    #[error(
        "programs of Longshore are connected to this database: {programs}\nhint: stop all schedulers and workers first, or add --force"
    )]
    Running { programs: String },
    #[error(
        "what follows from imports is not done, and would never be: {due}\nhint: start a scheduler and a worker until it is, or add --force to give it up"
    )]
    Due { due: String },
    #[error(
        "{}\nhint: use a role that owns Label Studio's tables and is a member of the owner of schema longshore: `GRANT longshore_owner TO label_studio`; see \"How to go back\" in deploy/label-studio/README.md",
        escaped(text)
    )]
    NoOwner { text: String },
    #[error("cannot read {}: {cause}\nhint: give the path of a file, or `-` for standard input", unreadable(path))]
    UnreadableFile { path: String, cause: std::io::Error },
    #[error("cannot read the secret from standard input")]
    Input(#[source] std::io::Error),
}

impl CliError {
    /// The stable code, for programs. A refusal of the API has the API's code.
    pub(crate) fn code(&self) -> &str {
        match self {
            Self::CommandLine(refusal) => refusal.code,
            Self::BadUrl { .. } => "invalid_url",
            Self::Unreachable { .. } => "unreachable",
            Self::Unauthorized { .. } => "unauthorized",
            Self::NotLongshore { .. } => "not_longshore",
            Self::Api { body } => body["code"].as_str().unwrap_or("unknown"),
            Self::NotFound { .. } | Self::Similar { .. } | Self::NotQuarantined { .. } | Self::NoSync { .. } => {
                "not_found"
            }
            Self::Ambiguous { .. } => "ambiguous_name",
            Self::OptionNotApplicable { .. } => "option_not_applicable",
            Self::InvalidOption { .. } => "invalid_option",
            Self::NothingToChange { .. } => "nothing_to_change",
            Self::Unconfirmed { .. } => "confirmation_required",
            Self::NoProfile { .. } => "unknown_profile",
            Self::NoHome => "no_home",
            Self::PublicProfiles { .. } => "profiles_not_private",
            Self::Profiles { .. } => "invalid_profiles",
            Self::BadDatabaseUrl { .. } => "invalid_database_url",
            Self::Database { .. } => "database",
            Self::Running { .. } => "programs_running",
            Self::Due { .. } => "work_due",
            Self::NoOwner { .. } => "not_the_owner",
            Self::UnreadableFile { .. } | Self::Input(_) => "unreadable_secret",
        }
    }

    /// The exit code of a command that ends with this error.
    pub(crate) const fn exit(&self) -> Exit {
        match self {
            Self::CommandLine(_)
            | Self::Ambiguous { .. }
            | Self::OptionNotApplicable { .. }
            | Self::InvalidOption { .. }
            | Self::NothingToChange { .. } => Exit::Usage,
            Self::BadUrl { .. }
            | Self::Unreachable { .. }
            | Self::Unauthorized { .. }
            | Self::NotLongshore { .. }
            | Self::Api { .. }
            | Self::Unconfirmed { .. }
            | Self::NotFound { .. }
            | Self::Similar { .. }
            | Self::NotQuarantined { .. }
            | Self::NoSync { .. }
            | Self::NoProfile { .. }
            | Self::NoHome
            | Self::PublicProfiles { .. }
            | Self::Profiles { .. }
            | Self::BadDatabaseUrl { .. }
            | Self::Database { .. }
            | Self::Running { .. }
            | Self::Due { .. }
            | Self::NoOwner { .. }
            | Self::UnreadableFile { .. }
            | Self::Input(_) => Exit::Failure,
        }
    }

    /// The error for programs. `fields` and `status` are those of a refusal by the API.
    pub(crate) fn to_json(&self) -> Value {
        let text = self.to_string();
        let (mut message, hint) = match text.split_once("\nhint: ") {
            Some((message, hint)) => (message.to_owned(), Some(hint)),
            None => (text, None),
        };
        let body = if let Self::Api { body } = self { body } else { &Value::Null };
        if let Some(detail) = body["detail"].as_str() {
            detail.clone_into(&mut message);
        }
        if let Some(cause) = std::error::Error::source(self) {
            write!(message, ": {cause}").expect("writing to a string cannot fail");
        }
        let status = match self {
            Self::Unauthorized { status, .. } => json!(status),
            _ => body["status_code"].clone(),
        };
        json!({
            "event": "error", "code": self.code(), "message": message, "hint": hint,
            "fields": body["validation_errors"], "status": status,
        })
    }
}

fn profiles(known: &str) -> String {
    match known {
        "" => "`longshore profile add` stores one".to_owned(),
        known => format!("the profiles are: {}", escaped(known)),
    }
}

/// The file of a secret as an error names it. A value that is the secret itself is not shown.
fn unreadable(path: &str) -> String {
    if path.trim_start().starts_with('{') || path.contains('\n') {
        "the file of the secret, because the option has its content in place of its path".to_owned()
    } else {
        format!("the file `{}`", escaped(path))
    }
}

/// A field of a storage, and the option that sets it.
pub(crate) fn field_and_option(field: &str) -> String {
    let flags = StorageKind::ALL.iter().flat_map(|kind| kind.data().fields()).filter(|known| known.name == field);
    match flags.filter_map(|known| known.flag).next() {
        Some(flag) => format!("{} (--{})", escaped(field), flag.name),
        None => escaped(field),
    }
}

/// What to do about a refusal whose own text does not say it; empty if it does.
fn advice(body: &Value) -> &'static str {
    let is_unknown = |message: &Value| message.as_str().is_some_and(|message| message.contains("does not exist"));
    if body["code"] == "no_such_route" {
        "\nhint: LONGSHORE_URL or --url is the address alone, without a path such as /api"
    } else if body["validation_errors"]["project"].as_array().is_some_and(|messages| messages.iter().any(is_unknown)) {
        "\nhint: `longshore project list` shows the projects of this token"
    } else {
        ""
    }
}

/// The text of an error body of the API: its detail and code, then the messages by field.
fn refusal(body: &Value) -> String {
    let text = |name: &str| escaped(body[name].as_str().unwrap_or_default());
    let mut words = format!("{} [{}]", text("detail"), text("code"));
    for (field, messages) in body["validation_errors"].as_object().into_iter().flatten() {
        for message in messages.as_array().into_iter().flatten() {
            let message = escaped(message.as_str().unwrap_or_default());
            if message == text("detail") {
                // The detail already states the message, so only name the field.
                if field != "non_field_errors" {
                    write!(words, "\n  field: {}", field_and_option(field)).expect("writing to a string cannot fail");
                }
            } else if field == "non_field_errors" {
                write!(words, "\n  {message}").expect("writing to a string cannot fail");
            } else {
                write!(words, "\n  {}: {message}", field_and_option(field)).expect("writing to a string cannot fail");
            }
        }
    }
    words.push_str(advice(body));
    words
}

#[cfg(test)]
mod tests;
