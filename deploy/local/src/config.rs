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

impl Existing {
    pub fn from_env() -> Self {
        Self {
            database_url: var("DATABASE_URL"),
            amqp_url: var("AMQP_URL"),
            amqp_management_url: var("AMQP_MANAGEMENT_URL"),
            redis_url: var("REDIS_URL"),
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "this is the place that reads the environment")]
fn var(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}
