//! The findings of a command `check`: one line for each.

use std::fmt;

use crate::settings::InvalidSettings;

/// What one check found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// It works.
    Ok,
    /// It works, but an operator should know.
    Warning,
    /// It does not work.
    Failed,
}

/// One line of a report. Contains no secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    pub outcome: Outcome,
    /// What was checked, such as `database`.
    pub subject: &'static str,
    /// What was found; for a failure or a warning, also what to do.
    pub text: String,
}

impl Finding {
    pub fn ok(subject: &'static str, text: impl Into<String>) -> Self {
        Self { outcome: Outcome::Ok, subject, text: text.into() }
    }

    pub fn warning(subject: &'static str, text: impl Into<String>) -> Self {
        Self { outcome: Outcome::Warning, subject, text: text.into() }
    }

    pub fn failed(subject: &'static str, text: impl Into<String>) -> Self {
        Self { outcome: Outcome::Failed, subject, text: text.into() }
    }
}

/// All findings, in the order in which they were made.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Findings(Vec<Finding>);

impl Findings {
    /// One failure for each fault of the settings. Nothing else can be checked with them.
    pub fn of_settings(invalid: &InvalidSettings) -> Self {
        Self(invalid.faults().iter().map(|fault| Finding::failed("settings", fault.as_str())).collect())
    }

    pub fn add(&mut self, finding: Finding) {
        self.0.push(finding);
    }

    /// Whether nothing failed. Warnings do not count.
    pub fn is_ok(&self) -> bool {
        self.0.iter().all(|finding| finding.outcome != Outcome::Failed)
    }
}

impl Extend<Finding> for Findings {
    fn extend<T: IntoIterator<Item = Finding>>(&mut self, findings: T) {
        self.0.extend(findings);
    }
}

impl fmt::Display for Findings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for Finding { outcome, subject, text } in &self.0 {
            let outcome = match outcome {
                Outcome::Ok => "ok",
                Outcome::Warning => "warn",
                Outcome::Failed => "FAIL",
            };
            // A server chooses some of the words, and the line goes to a terminal.
            let text: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
            writeln!(f, "{outcome:<4}  {subject:<10}  {text}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_has_one_line_for_each_finding_and_fails_only_by_failures() {
        let mut findings = Findings::default();
        findings.add(Finding::ok("database", "PostgreSQL 15"));
        findings.add(Finding::warning("network", "not encrypted"));
        assert!(findings.is_ok());
        findings.add(Finding::failed("rights", "lacks \u{1b}[31m\nSELECT"));
        assert!(!findings.is_ok());
        let expected = "ok    database    PostgreSQL 15\n\
                        warn  network     not encrypted\n\
                        FAIL  rights      lacks  [31m SELECT\n";
        assert_eq!(findings.to_string(), expected);
    }
}
