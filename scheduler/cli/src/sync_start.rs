//! The options of `longshore sync start`.

use clap::Args;
use serde_json::{Value, json};

use crate::error::{CliError, Result};
use crate::find::Found;
use crate::named::Named;

#[derive(Debug, Args)]
pub(crate) struct Start {
    /// ID or title of an import or export storage.
    pub(crate) storage: Named,
    /// Show progress until the sync ends. The exit code is the result of the sync.
    #[arg(long)]
    pub(crate) follow: bool,
    /// Number of objects, if you know it. Needed for a progress bar in the first sync of a storage.
    #[arg(long, value_name = "OBJECTS", requires = "follow")]
    pub(crate) expect: Option<u64>,
    /// Import: say what the sync would do, for all keys of the storage. Starts and writes nothing.
    #[arg(long, conflicts_with_all = ["follow", "expect", "idempotency_key"])]
    pub(crate) dry_run: bool,
    /// Export: write all annotations again, not only new and changed ones.
    #[arg(long)]
    pub(crate) all: bool,
    /// Export: write only annotations of this task. Can be repeated.
    #[arg(long = "task", value_name = "ID")]
    pub(crate) tasks: Vec<i64>,
    /// Two starts with the same key start only one sync.
    #[arg(long, value_name = "KEY")]
    pub(crate) idempotency_key: Option<String>,
}

impl Start {
    /// Refuses the options of the other direction.
    pub(crate) fn check(&self, found: &Found) -> Result<()> {
        let (import, export) =
            ("leave it out: only imports have one", "leave it out: an import reads all new and changed objects");
        let given = [
            ("--all", self.all, export),
            ("--task", !self.tasks.is_empty(), export),
            ("--dry-run", self.dry_run, import),
        ];
        let mut others =
            given.into_iter().filter(|(_, is_given, of)| *is_given && found.is_export() == (*of == import));
        let Some((option, _, instead)) = others.next() else { return Ok(()) };
        Err(CliError::OptionNotApplicable {
            option: option.to_owned(),
            to: format!("storage {}, which is an {} storage", found.id, found.direction.as_str()),
            instead: instead.to_owned(),
        })
    }

    pub(crate) fn body(&self) -> Value {
        let mut body = json!({});
        if let Some(key) = &self.idempotency_key {
            body["idempotency_key"] = key.as_str().into();
        }
        if self.all || !self.tasks.is_empty() {
            let mode = if self.all { "all" } else { "changed" };
            body["options"] = json!({"mode": mode, "tasks": self.tasks});
        }
        body
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_are_sent_only_when_asked_for() {
        let start = Start {
            storage: Named::Id(1),
            follow: true,
            dry_run: false,
            expect: None,
            all: false,
            tasks: Vec::new(),
            idempotency_key: None,
        };
        assert_eq!(start.body(), json!({}));
        let start = Start { tasks: vec![4], idempotency_key: Some("k".to_owned()), ..start };
        assert_eq!(start.body(), json!({"idempotency_key": "k", "options": {"mode": "changed", "tasks": [4]}}));
        let start = Start { all: true, tasks: Vec::new(), idempotency_key: None, ..start };
        assert_eq!(start.body()["options"]["mode"], "all");
    }
}
