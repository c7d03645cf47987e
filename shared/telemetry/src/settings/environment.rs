//! Reads settings and reports all invalid ones together.

use std::fmt;
use std::num::NonZeroUsize;
use std::str::FromStr;
use std::time::Duration;

use super::{Default, Program, Setting};

/// Returns the value of a variable, by its name.
type Variables<'a> = Box<dyn Fn(&str) -> Option<String> + 'a>;

/// The environment of one program, for reading its configuration.
///
/// An invalid setting does not stop the reading: the method returns a placeholder, and [`Environment::finish`]
/// reports all faults, so that the operator can fix them together.
pub struct Environment<'a> {
    program: Program,
    variable: Variables<'a>,
    faults: Vec<String>,
}

/// Settings with which a program cannot start. Does not contain their values, which may be secrets.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub struct InvalidSettings(Vec<String>);

impl InvalidSettings {
    /// One text for each fault.
    pub fn faults(&self) -> &[String] {
        &self.0
    }
}

impl fmt::Display for InvalidSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "invalid settings: {}", self.0.join("; "))
    }
}

impl Environment<'static> {
    /// Returns the environment of this process.
    pub fn of_process(program: Program) -> Self {
        #[expect(clippy::disallowed_methods, reason = "the one place that reads the environment")]
        Self::new(program, |name| std::env::var(name).ok())
    }
}

impl<'a> Environment<'a> {
    /// Returns an environment that takes its values from `variable`. Empty values count as unset.
    pub fn new(program: Program, variable: impl Fn(&str) -> Option<String> + 'a) -> Self {
        let variable = Box::new(move |name: &str| variable(name).filter(|value| !value.is_empty()));
        Self { program, variable, faults: Vec::new() }
    }

    /// The variable's text, else the default. `None` if there is neither; for a required setting this is a fault.
    pub fn text(&mut self, setting: &Setting) -> Option<String> {
        let text = self.given(setting).or_else(|| setting.default_text(self.program).map(str::to_owned));
        if text.is_none() && setting.default == Default::Required {
            self.fault(setting, "must be set");
        }
        text.filter(|text| !text.is_empty())
    }

    /// The variable's text, if the operator set it.
    pub fn given(&self, setting: &Setting) -> Option<String> {
        (self.variable)(setting.name)
    }

    /// The setting to read of two names for the same thing: the first if the operator set it, else the second.
    pub fn either<'s>(&self, first: &'s Setting, second: &'s Setting) -> &'s Setting {
        if self.given(first).is_some() { first } else { second }
    }

    /// A variable that is not in the table of settings, such as one that the system sets.
    pub fn variable(&self, name: &str) -> Option<String> {
        (self.variable)(name)
    }

    /// The text parsed as a `T`. `None` if there is no text or it is invalid, which is a fault.
    pub fn parsed<T: FromStr<Err: fmt::Display>>(&mut self, setting: &Setting) -> Option<T> {
        let text = self.text(setting)?;
        text.parse().map_err(|error| self.fault(setting, format!("is invalid: {error}"))).ok()
    }

    /// A number; `T`'s default, usually zero, if the text is invalid.
    pub fn number<T: FromStr<Err: fmt::Display> + std::default::Default>(&mut self, setting: &Setting) -> T {
        self.parsed(setting).unwrap_or_default()
    }

    /// A number of at least one.
    pub fn count(&mut self, setting: &Setting) -> usize {
        self.parsed(setting).map_or(1, NonZeroUsize::get)
    }

    /// A number of mebibytes, returned in bytes. Saturates.
    pub fn mebibytes(&mut self, setting: &Setting) -> u64 {
        self.number::<u64>(setting).saturating_mul(1024 * 1024)
    }

    /// A number of seconds, with optional decimals.
    pub fn seconds(&mut self, setting: &Setting) -> Duration {
        let Some(seconds) = self.parsed(setting) else { return Duration::ZERO };
        Duration::try_from_secs_f64(seconds).unwrap_or_else(|_| {
            self.fault(setting, "must be a number of seconds, zero or more");
            Duration::ZERO
        })
    }

    /// Whether the text is `true`, `yes`, `on` or `1`, in any case; every other text is false, as in Label Studio.
    pub fn is_on(&mut self, setting: &Setting) -> bool {
        is_on(&self.text(setting).unwrap_or_default())
    }

    /// Records a fault; `fault` completes a sentence that begins with the setting's name.
    pub fn fault(&mut self, setting: &Setting, fault: impl fmt::Display) {
        self.faults.push(format!("{} {fault}", setting.name));
    }

    /// Ends the reading.
    ///
    /// # Errors
    /// At least one setting is invalid.
    pub fn finish(self) -> Result<(), InvalidSettings> {
        if self.faults.is_empty() { Ok(()) } else { Err(InvalidSettings(self.faults)) }
    }
}

/// Whether a text turns a setting on.
pub fn is_on(text: &str) -> bool {
    matches!(text.to_ascii_lowercase().as_str(), "true" | "yes" | "on" | "1")
}

#[cfg(test)]
mod tests {
    use super::super::table;
    use super::*;

    fn environment<'a>(variables: &'a [(&str, &str)]) -> Environment<'a> {
        Environment::new(Program::Worker, |name| {
            variables.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned())
        })
    }

    #[test]
    fn all_faults_are_reported_together_without_values() {
        let mut read = environment(&[
            ("LONGSHORE_JOBS", "hidden"),
            ("LONGSHORE_LEASE_SECONDS", "-1"),
            ("LONGSHORE_CONNECTIONS", "0"),
            ("AMQP_URL", ""),
        ]);
        read.number::<u16>(&table::JOBS);
        read.seconds(&table::LEASE_SECONDS);
        read.count(&table::CONNECTIONS);
        read.text(&table::AMQP_URL);
        let error = read.finish().unwrap_err().to_string();
        for name in ["LONGSHORE_JOBS", "LONGSHORE_LEASE_SECONDS", "LONGSHORE_CONNECTIONS", "AMQP_URL must be set"] {
            assert!(error.contains(name), "{error}");
        }
        assert!(!error.contains("hidden"), "{error}");
    }

    #[test]
    fn an_unset_or_empty_variable_has_the_default_of_its_program() {
        let mut read = environment(&[("LONGSHORE_LEASE_SECONDS", "")]);
        assert_eq!(read.seconds(&table::LEASE_SECONDS), Duration::from_secs(60));
        assert_eq!(read.count(&table::CONNECTIONS), 256);
        let mut read = Environment::new(Program::Scheduler, |_| None);
        assert_eq!(read.count(&table::CONNECTIONS), 1024);
        assert_eq!(read.text(&table::METRICS_LISTEN), None);
        assert_eq!(read.finish(), Ok(()));
    }

    #[test]
    fn only_some_words_turn_a_setting_on() {
        for (text, expected) in
            [("true", true), ("YES", true), ("1", true), ("on", true), ("false", false), ("2", false)]
        {
            let variables = [("LOCAL_FILES_SERVING_ENABLED", text)];
            assert_eq!(environment(&variables).is_on(&table::LOCAL_FILES_SERVING_ENABLED), expected, "{text}");
        }
    }
}
