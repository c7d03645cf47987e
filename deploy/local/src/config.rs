//! Environment variables. Only this file reads them.

/// Running servers to use instead of private ones.
///
/// No `Debug`: the URLs contain passwords.
#[derive(Clone, Default)]
pub struct ExistingServers {
    /// `DATABASE_URL`. For tests, its role must be a superuser: they create databases and roles.
    pub database_url: Option<String>,
    /// `AMQP_URL`. For tests, its user must be an administrator.
    pub amqp_url: Option<String>,
    /// `AMQP_MANAGEMENT_URL`: RabbitMQ's management API; by default port 15672 of the broker's host.
    pub amqp_management_url: Option<String>,
    /// `REDIS_URL`.
    pub redis_url: Option<String>,
}

/// Prefix of the variables that contain the servers that all test processes of one run share.
const TEST_RUN: &str = "LONGSHORE_TEST_";

impl ExistingServers {
    /// The servers that the operator sets.
    pub fn from_env() -> Self {
        Self::prefixed("")
    }

    /// The servers that [`crate::beside`] started for all test processes of one run. A server that it did not start is
    /// `None`.
    pub fn of_test_run() -> Self {
        Self::prefixed(TEST_RUN)
    }

    /// These servers, and those of `others` for each that is `None`.
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

    /// The variables that [`ExistingServers::of_test_run`] reads these servers from.
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

#[expect(clippy::disallowed_methods, reason = "only this function reads the environment")]
fn var(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}
