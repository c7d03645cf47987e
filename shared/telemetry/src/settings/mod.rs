//! Settings: the environment variables that an operator sets for both programs.
//!
//! A setting is declared once, in [`table`]: its name, which programs read it, its default and its description. The
//! programs read their configuration through [`Environment`], which takes defaults from that table, and
//! `longshore-scheduler settings` prints the table for the documentation.

mod environment;
pub mod table;

pub use environment::{Environment, InvalidSettings, is_on};

/// One environment variable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Setting {
    /// The variable's name, such as `LONGSHORE_LEASE_SECONDS`. A name ends with its unit.
    pub name: &'static str,
    pub readers: Readers,
    pub default: Default,
    /// The description, in one line of Markdown.
    pub about: &'static str,
}

/// The programs that read a setting.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Readers {
    Scheduler,
    Worker,
    Both,
}

/// The default if the variable is unset or empty.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Default {
    /// None: the program does not start.
    Required,
    /// This text, read as if it were the variable's value.
    Value(&'static str),
    /// A different text for each program.
    Each { scheduler: &'static str, worker: &'static str },
    /// None: the feature is off.
    None,
    /// A value that the program computes; the text says how.
    Computed(&'static str),
}

/// The program that reads its settings.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Program {
    Scheduler,
    Worker,
}

impl Setting {
    /// The default's text for a program, if there is one.
    pub(crate) fn default_text(&self, program: Program) -> Option<&'static str> {
        match (self.default, program) {
            (Default::Value(text), _) => Some(text),
            (Default::Each { scheduler, .. }, Program::Scheduler) => Some(scheduler),
            (Default::Each { worker, .. }, Program::Worker) => Some(worker),
            (Default::Required | Default::None | Default::Computed(_), _) => None,
        }
    }
}

/// All settings as a Markdown table, for `deploy/operations/settings.md`.
pub fn markdown() -> String {
    markdown_rows(|_| true)
}

/// The required settings as a Markdown table, for the README.
pub fn required_markdown() -> String {
    markdown_rows(|setting| matches!(setting.default, Default::Required))
}

fn markdown_rows(is_shown: impl Fn(&Setting) -> bool) -> String {
    let rows = table::ALL.iter().filter(|setting| is_shown(setting)).map(|setting| {
        let readers = match setting.readers {
            Readers::Scheduler => "scheduler",
            Readers::Worker => "worker",
            Readers::Both => "both",
        };
        let code = |text: &str| if text.is_empty() { "none".to_owned() } else { format!("`{text}`") };
        let default = match setting.default {
            Default::Required => "required".to_owned(),
            Default::Value(text) => code(text),
            Default::Each { scheduler, worker } => {
                format!("scheduler: {}; worker: {}", code(scheduler), code(worker))
            }
            Default::None => "none".to_owned(),
            Default::Computed(how) => how.to_owned(),
        };
        format!("| `{}` | {readers} | {default} | {} |\n", setting.name, setting.about)
    });
    let head = "| variable | read by | default | what it does |\n|---|---|---|---|\n".to_owned();
    std::iter::once(head).chain(rows).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn a_setting_is_declared_once_and_its_description_fits_one_cell() {
        let names: BTreeSet<_> = table::ALL.iter().map(|setting| setting.name).collect();
        assert_eq!(names.len(), table::ALL.len());
        for setting in table::ALL {
            assert!(!setting.about.is_empty() && !setting.about.contains(['|', '\n']), "{}", setting.name);
        }
        assert_eq!(markdown().lines().count(), table::ALL.len() + 2);
    }
}
