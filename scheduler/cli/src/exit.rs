//! The exit codes, in one place: the help, the page and the code read this table.

use std::process::ExitCode;

/// How a command ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Exit {
    Success,
    Failure,
    Usage,
    Quarantined,
    Interrupted,
}

impl Exit {
    /// The code of an error in the command line, for programs.
    pub(crate) const USAGE_CODE: &str = "invalid_command_line";

    const ALL: [Self; 5] = [Self::Success, Self::Failure, Self::Usage, Self::Quarantined, Self::Interrupted];

    /// The number that the shell gets. Scripts rely on these numbers: they do not change.
    pub(crate) const fn code(self) -> u8 {
        match self {
            Self::Success => 0,
            Self::Failure => 1,
            Self::Usage => 2,
            Self::Quarantined => 3,
            // As shells report a program that Ctrl-C ended.
            Self::Interrupted => 130,
        }
    }

    const fn meaning(self) -> &'static str {
        match self {
            Self::Success => "success; a followed sync completed",
            Self::Failure => {
                "the command failed, a followed sync failed or was cancelled, a check of the doctor failed, or a deletion \
                 needs `--yes`"
            }
            Self::Usage => {
                "the command line is invalid: an unknown or missing option, one that does not apply, or a title of several \
                 storages or projects"
            }
            Self::Quarantined => "a followed sync completed, but some objects are in quarantine",
            Self::Interrupted => "Ctrl-C ended the display of a sync, which continues",
        }
    }

    /// The table for `--help`.
    pub(crate) fn help() -> String {
        let row = |exit: &Self| format!("  {:<3}  {}", exit.code(), exit.meaning().replace('`', ""));
        let rows: Vec<String> = Self::ALL.iter().map(row).collect();
        format!("Exit codes:\n{}", rows.join("\n"))
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.code())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_has_the_same_table_as_the_code() {
        let row = |exit: &Exit| format!("| {} | {} |\n", exit.code(), exit.meaning());
        let table = format!("| exit code | meaning |\n|---|---|\n{}", Exit::ALL.iter().map(row).collect::<String>());
        assert!(include_str!("../README.md").contains(&table), "replace the table in the page with:\n{table}");
        assert!(Exit::ALL.iter().all(|exit| Exit::help().contains(&exit.code().to_string())));
    }
}
