//! `longshore storage create`: one command per kind, with a flag for each field that the kind declares.
//!
//! Secrets can come from the environment, a file or standard input, because process lists show arguments.

pub(crate) mod flags;

use clap::{ArgMatches, Command, FromArgMatches, Subcommand};
use longshore_model::kinds::Field;
use longshore_model::{Direction, StorageKind};
use serde_json::{Map, Value};

use crate::client::{Client, storage_path};
use crate::error::{CliError, Result};
use crate::forecast;
use crate::named::Named;
use crate::show::Output;
use crate::titles::optional_project;
use flags::{DRY_RUN, EXPORT, FlagValue, STRICT};

/// A storage to create. Fields without a value get the API's defaults.
#[derive(Debug)]
pub(crate) struct Create {
    kind: StorageKind,
    is_export: bool,
    is_dry_run: bool,
    is_strict: bool,
    project: Option<Named>,
    fields: Vec<(&'static Field, FlagValue)>,
}

impl Subcommand for Create {
    fn augment_subcommands(command: Command) -> Command {
        command
            .subcommand_required(true)
            .arg_required_else_help(true)
            .subcommands(StorageKind::ALL.iter().map(flags::command))
    }

    fn augment_subcommands_for_update(command: Command) -> Command {
        Self::augment_subcommands(command)
    }

    fn has_subcommand(name: &str) -> bool {
        name.parse::<StorageKind>().is_ok()
    }
}

impl FromArgMatches for Create {
    fn from_arg_matches(matches: &ArgMatches) -> std::result::Result<Self, clap::Error> {
        let chosen =
            matches.subcommand().and_then(|(name, matches)| Some((name.parse::<StorageKind>().ok()?, matches)));
        let (kind, matches) = chosen.ok_or_else(|| clap::Error::new(clap::error::ErrorKind::MissingSubcommand))?;
        let fields = kind.data().fields().filter_map(|field| Some((field, flags::value(field, matches)?)));
        Ok(Self {
            kind,
            is_export: matches.get_flag(EXPORT),
            is_dry_run: matches.get_flag(DRY_RUN),
            is_strict: matches.get_flag(STRICT),
            project: flags::project(matches),
            fields: fields.collect(),
        })
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> std::result::Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

impl Create {
    /// Refuses the options of the other direction. Clap cannot: it ignores that one option requires another if a third one
    /// excludes that.
    fn check(&self) -> Result<()> {
        let direction = if self.is_export { Direction::Export } else { Direction::Import };
        let is_of_other = |field: &&Field| field.used_by().is_some_and(|only| only != direction);
        let Some(other) = self.fields.iter().map(|(field, _)| *field).find(is_of_other) else { return Ok(()) };
        let instead =
            if self.is_export { "leave it out, or leave --export out" } else { "leave it out, or add --export" };
        Err(CliError::OptionNotApplicable {
            option: format!("--{}", other.flag.map_or(other.name, |flag| flag.name)),
            to: format!("an {direction} storage"),
            instead: instead.to_owned(),
        })
    }

    /// Makes the body of the request. Reads secrets from files or standard input where flags ask for it.
    fn body(self, project: Option<i64>) -> Result<Value> {
        let mut body = Map::new();
        body.extend(project.map(|id| (flags::PROJECT.to_owned(), id.into())));
        for (field, value) in self.fields {
            body.insert(field.name.to_owned(), value.into_json()?);
        }
        Ok(Value::Object(body))
    }

    /// Creates the storage and returns it; `None` for a dry run.
    pub(crate) async fn run(self, client: &Client, output: Output) -> Result<Option<Value>> {
        self.check()?;
        let base = storage_path(if self.is_export { "export" } else { "import" }, self.kind.as_str());
        let (is_dry_run, query) = (self.is_dry_run, forecast::query(self.is_strict));
        let project = optional_project(client, self.project.as_ref()).await?;
        let body = self.body(project)?;
        if is_dry_run {
            forecast::print_validated(&client.post(&format!("{base}/validate{query}"), &body).await?, output);
            return Ok(None);
        }
        let made = client.post(&format!("{base}{query}"), &body).await?;
        forecast::print_saved(&made, output);
        Ok(Some(made))
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;
    use serde_json::json;

    use super::*;

    #[derive(Debug, Parser)]
    struct Line {
        #[command(subcommand)]
        create: Create,
    }

    fn line(words: &str) -> Create {
        Line::try_parse_from(["create"].into_iter().chain(words.split(' '))).unwrap().create
    }

    #[test]
    fn flags_become_label_studios_fields_and_unused_flags_are_not_sent() {
        for (words, kind, body) in [
            ("s3 --project 2 --bucket b --endpoint http://h", "s3", json!({"bucket": "b", "s3_endpoint": "http://h"})),
            (
                "s3s --project 2 --bucket b --endpoint http://h --role-arn arn --region r",
                "s3s",
                json!({"bucket": "b", "s3_endpoint": "http://h", "role_arn": "arn", "region_name": "r"}),
            ),
            (
                "gcs --project 2 --bucket b --google-project p --recursive --blob",
                "gcs",
                json!({"bucket": "b", "google_project_id": "p", "recursive_scan": true, "use_blob_urls": true}),
            ),
            (
                "azure --project 2 --container c --prefix in/ --no-presign --presign-ttl 5 --account-name n --account-key k",
                "azure",
                json!({"container": "c", "prefix": "in/", "presign": false, "presign_ttl": 5, "account_name": "n",
                       "account_key": "k"}),
            ),
            (
                "redis --project 2 --path t: --host h --port 6380 --db 0 --tls --username u --password pw --export --can-delete",
                "redis",
                json!({"path": "t:", "host": "h", "port": "6380", "db": 0, "tls": true, "username": "u",
                       "password": "pw", "can_delete_objects": true}),
            ),
            (
                "localfiles --project 2 --path /data/a --recursive --regex .*json --title T",
                "localfiles",
                json!({"path": "/data/a", "recursive_scan": true, "regex_filter": ".*json", "title": "T"}),
            ),
        ] {
            let create = line(words);
            let mut expected = body;
            expected["project"] = json!(2);
            assert_eq!((create.kind.as_str(), create.body(Some(2)).unwrap()), (kind, expected), "{words}");
        }
    }

    #[test]
    fn debug_hides_secrets_and_flags_of_the_other_direction_are_refused() {
        let create = line("s3 --project 2 --bucket b --access-key-id id --secret-access-key hunter2");
        assert!(!format!("{create:?}").contains("hunter2"));
        assert_eq!(create.body(None).unwrap()["aws_secret_access_key"], "hunter2");
        for words in [
            "s3 --project 2 --bucket b --can-delete",
            "s3 --project 2 --bucket b --sse-kms-key-id k",
            "s3 --project 2 --bucket b --blob --recursive --can-delete",
            "gcs --project 2 --bucket b --export --recursive",
            "gcs --project 2 --bucket b --export --blob",
        ] {
            let error = line(words).check().unwrap_err();
            assert!(matches!(error, CliError::OptionNotApplicable { .. }), "{words}: {error}");
        }
        line("gcs --project 2 --bucket b --blob").check().unwrap();
        line("gcs --project 2 --bucket b --export --can-delete").check().unwrap();
        for words in ["gcs --bucket b", "gcs --project 2", "redis --project 2 --db 70000"] {
            assert!(Line::try_parse_from(["create"].into_iter().chain(words.split(' '))).is_err(), "{words}");
        }
    }
}
