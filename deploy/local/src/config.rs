//! What the environment says: the one place that reads it.

/// Servers that run already and are to be used instead of private ones.
///
/// No `Debug`: the URLs carry passwords.
#[derive(Clone, Default)]
pub struct Existing {
    /// `DATABASE_URL`: its role must be allowed to create databases where tests use it.
    pub database_url: Option<String>,
    /// `AMQP_URL`: its user must be an administrator where tests use it.
    pub amqp_url: Option<String>,
    /// `AMQP_MANAGEMENT_URL`: RabbitMQ's management API; else port 15672 of the broker's host.
    pub amqp_management_url: Option<String>,
    /// `REDIS_URL`
    pub redis_url: Option<String>,
}

/// Precedes the names of variables that tell the test processes of one run which servers they share.
const TEST_RUN: &str = "LONGSHORE_TEST_";

impl Existing {
    /// The servers that the operator names.
    pub fn from_env() -> Self {
        Self::prefixed("")
    }

    /// The servers that [`crate::beside`] started for all test processes of one run. Each server that it did not start is
    /// `None`.
    pub fn of_test_run() -> Self {
        Self::prefixed(TEST_RUN)
    }

    /// These servers; where there is none, that of `others`.
    #[must_use]
    pub fn or(self, others: Self) -> Self {
        Self {
            database_url: self.database_url.or(others.database_url),
            amqp_url: self.amqp_url.or(others.amqp_url),
            amqp_management_url: self.amqp_management_url.or(others.amqp_management_url),
            redis_url: self.redis_url.or(others.redis_url),
        }
    }

    fn prefixed(prefix: &str) -> Self {
        let named = |name: &str| var(&format!("{prefix}{name}"));
        Self {
            database_url: named("DATABASE_URL"),
            amqp_url: named("AMQP_URL"),
            amqp_management_url: named("AMQP_MANAGEMENT_URL"),
            redis_url: named("REDIS_URL"),
        }
    }

    /// The variables that [`Existing::of_test_run`] reads these servers from.
    pub(crate) fn variables(self) -> Vec<(String, String)> {
        let Self { database_url, amqp_url, amqp_management_url, redis_url } = self;
        let values = [
            ("DATABASE_URL", database_url),
            ("AMQP_URL", amqp_url),
            ("AMQP_MANAGEMENT_URL", amqp_management_url),
            ("REDIS_URL", redis_url),
        ];
        values.into_iter().filter_map(|(name, value)| Some((format!("{TEST_RUN}{name}"), value?))).collect()
    }
}

#[expect(clippy::disallowed_methods, reason = "this is the place that reads the environment")]
fn var(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}
