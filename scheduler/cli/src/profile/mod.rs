//! `longshore profile`: named schedulers with their tokens, so that a command needs no environment variables.

mod file;

use std::path::PathBuf;

use clap::{Args, Subcommand};
use longshore_model::Secret;
use serde_json::json;

use crate::error::{CliError, Result};
use crate::secret;
use crate::show::Output;
use file::{File, Profile};

/// The URL without a flag, an environment variable and a profile.
const DEFAULT_URL: &str = "http://127.0.0.1:8080";

/// The options that say which scheduler a command calls, and as whom.
#[derive(Debug, Args)]
#[command(next_help_heading = crate::HEADING)]
pub(crate) struct Access {
    /// URL of the scheduler's API. Without it, that of the profile, else `http://127.0.0.1:8080`.
    #[arg(long, global = true, env = "LONGSHORE_URL")]
    url: Option<String>,
    /// API token, or `-` to read it from standard input. Prefer the environment variable or a profile: arguments show up
    /// in process lists.
    #[arg(long, global = true, env = "LONGSHORE_TOKEN", hide_env_values = true, value_parser = secret)]
    token: Option<Secret>,
    /// Profile to use instead of the one that `profile use` chose. Options and environment variables win over it.
    #[arg(long, global = true, env = "LONGSHORE_PROFILE", value_name = "NAME")]
    profile: Option<String>,
    /// File of the profiles. Without it, `longshore/profiles.json` in `$XDG_CONFIG_HOME` or `~/.config`.
    #[arg(long, global = true, env = "LONGSHORE_PROFILES", value_name = "FILE")]
    profiles: Option<PathBuf>,
    /// The folder of configuration files.
    #[arg(skip = file::default_path())]
    default_path: Option<PathBuf>,
}

/// The scheduler that a command calls.
#[derive(Debug)]
pub(crate) struct Target {
    pub(crate) url: String,
    pub(crate) token: Option<Secret>,
}

impl Access {
    /// The scheduler and the token: options first, then environment variables, then the profile.
    ///
    /// The token of a profile is only for the URL of that profile: no other server gets it.
    ///
    /// # Errors
    /// The named profile does not exist, or the file of profiles is not private or not readable.
    pub(crate) fn target(self) -> Result<Target> {
        let given = self.url.clone().filter(|url| !url.is_empty());
        let token = self.given_token()?;
        // A file that is not needed is not read, so a script with both variables does not depend on it.
        let profile = match (&given, &token, self.profile_name()) {
            (Some(_), Some(_), None) => None,
            (_, _, name) => self.read_profile(name)?,
        };
        let stored = profile.filter(|profile| given.as_ref().is_none_or(|url| profile.is_at(url)));
        let (stored_url, stored_token) = stored.map(|profile| (profile.url, profile.token)).unzip();
        Ok(Target {
            url: given.or(stored_url).unwrap_or_else(|| DEFAULT_URL.to_owned()),
            token: token.or_else(|| stored_token.flatten().map(Secret::new)),
        })
    }

    fn given_token(&self) -> Result<Option<Secret>> {
        let token = self.token.clone().filter(|token| !token.expose().is_empty());
        match token {
            Some(token) if token.expose() == "-" => {
                let text = std::io::read_to_string(std::io::stdin()).map_err(CliError::Input)?;
                Ok(Some(Secret::new(text.trim())))
            }
            token => Ok(token),
        }
    }

    fn profile_name(&self) -> Option<&str> {
        self.profile.as_deref().filter(|name| !name.is_empty())
    }

    /// The profile of this name, or the chosen one; `None` if none is chosen.
    fn read_profile(&self, name: Option<&str>) -> Result<Option<Profile>> {
        let Ok(path) = self.path() else {
            return match name {
                Some(name) => Err(CliError::NoProfile { name: name.to_owned(), known: String::new() }),
                None => Ok(None),
            };
        };
        let file = File::read(&path)?;
        match name.or(file.current.as_deref()) {
            Some(name) => file.profile(name).map(Some),
            None => Ok(None),
        }
    }

    fn path(&self) -> Result<PathBuf> {
        self.profiles.clone().or_else(|| self.default_path.clone()).ok_or(CliError::NoHome)
    }
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Stores --url and --token, or `LONGSHORE_URL` and `LONGSHORE_TOKEN`, under a name. Replaces a profile of that name. The
    /// first profile is used from then on.
    Add { name: String },
    /// Lists profiles, without their tokens.
    List,
    /// Uses a profile in later commands.
    Use { name: String },
    /// Removes a profile and its token.
    Remove { name: String },
}

impl Command {
    pub(crate) fn run(self, access: Access, output: Output) -> Result<()> {
        let path = access.path()?;
        let mut file = File::read(&path)?;
        match self {
            Self::Add { name } => {
                let token = access.given_token()?.map(|token| token.expose().to_owned());
                let url = access.url.filter(|url| !url.is_empty()).unwrap_or_else(|| DEFAULT_URL.to_owned());
                crate::client::check_url(&url)?;
                file.current.get_or_insert_with(|| name.clone());
                file.profiles.insert(name.clone(), Profile { url, token });
                file.write(&path)?;
                output.one(&json!({"profile": name}), |_| format!("Profile {name} was stored in {}.", path.display()));
            }
            Self::List => {
                let rows = file.profiles.iter().map(|(name, profile)| {
                    let is_used = file.current.as_ref() == Some(name);
                    json!({"name": name, "url": profile.url, "token": profile.token.is_some(), "used": is_used})
                });
                let columns = [("NAME", "/name"), ("URL", "/url"), ("TOKEN", "/token"), ("USED", "/used")];
                output.list(&rows.collect::<Vec<_>>().into(), &columns);
            }
            Self::Use { name } => {
                file.profile(&name)?;
                file.current = Some(name.clone());
                file.write(&path)?;
                output.one(&json!({"profile": name}), |_| format!("Profile {name} is used from now on."));
            }
            Self::Remove { name } => {
                file.profile(&name)?;
                file.profiles.remove(&name);
                file.current = file.current.filter(|current| *current != name);
                file.write(&path)?;
                output.one(&json!({"profile": name}), |_| format!("Profile {name} was removed."));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Access with these options, and a file with one profile in a new folder.
    fn access(test: &str, url: Option<&str>, token: Option<&str>) -> Access {
        let folder = std::env::temp_dir().join(format!("longshore-profile-{test}-{}", std::process::id()));
        let path = folder.join("profiles.json");
        let profile = Profile { url: "http://stored:1/".to_owned(), token: Some("stored".to_owned()) };
        let mut file = File { current: Some("one".to_owned()), ..File::default() };
        file.profiles.insert("one".to_owned(), profile);
        file.write(&path).unwrap();
        Access {
            url: url.map(str::to_owned),
            token: token.map(Secret::new),
            profile: None,
            profiles: Some(path),
            default_path: None,
        }
    }

    fn target(test: &str, url: Option<&str>, token: Option<&str>) -> (String, Option<String>) {
        let target = access(test, url, token).target().unwrap();
        (target.url, target.token.map(|token| token.expose().to_owned()))
    }

    #[test]
    fn the_token_of_a_profile_goes_to_no_other_server() {
        assert_eq!(target("stored", None, None), ("http://stored:1/".to_owned(), Some("stored".to_owned())));
        assert_eq!(target("same", Some("http://stored:1"), None).1.as_deref(), Some("stored"));
        assert_eq!(target("other", Some("http://other"), None), ("http://other".to_owned(), None));
        assert_eq!(target("token", None, Some("given")).1.as_deref(), Some("given"));
        assert_eq!(target("both", Some("http://o"), Some("given")), ("http://o".to_owned(), Some("given".to_owned())));
    }

    #[test]
    fn an_unknown_profile_is_refused_with_the_known_ones() {
        let mut access = access("unknown", None, None);
        access.profile = Some("two".to_owned());
        let error = access.target().unwrap_err();
        assert!(matches!(&error, CliError::NoProfile { known, .. } if known == "one"), "{error}");
    }
}
