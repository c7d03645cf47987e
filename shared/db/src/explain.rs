//! What a failure of the database means to an operator: where, what the server said, and what to do.

use std::io;

use longshore_telemetry::{TlsRefusal, causes};
use tokio_postgres::error::DbError;

use crate::host::label_studio;
use crate::{Address, Error};

impl Address {
    /// Explains a failure on one line: hosts, database and role, the server's SQLSTATE and message or the reason why it
    /// was not reached, and what to do. Never has the password.
    pub fn explain(&self, error: &Error) -> String {
        let (reason, advice) = self.reason(error);
        format!("{}: {reason}; {advice}", self.place())
    }

    /// The same without what to do, for a caller who knows better.
    pub fn explain_only(&self, error: &Error) -> String {
        format!("{}: {}", self.place(), self.reason(error).0)
    }

    fn place(&self) -> String {
        let role = if self.role().is_empty() { String::new() } else { format!(", role {:?}", self.role()) };
        format!("Postgres at {}, database {:?}{role}", self.hosts(), self.database())
    }

    fn reason(&self, error: &Error) -> (String, String) {
        if let Some(said) = causes(error).find_map(|cause| cause.downcast_ref::<DbError>()) {
            let reason = format!("SQLSTATE {}: {}", said.code().code(), said.message());
            return (reason, self.advice_for_state(said));
        }
        // The pool's own words say no more.
        let driver = causes(error).find(|cause| cause.is::<tokio_postgres::Error>());
        let chain = longshore_telemetry::error_chain(driver.unwrap_or(error));
        if let Some(refusal) = TlsRefusal::of(error) {
            let authorities = "sslrootcert=/path/to/ca.pem in DATABASE_URL";
            let other_name = ", or, for an authority of your own, set sslmode=verify-ca";
            return (chain, refusal.advice(authorities, other_name));
        }
        if chain.contains("server does not support TLS") {
            let advice = "turn on `ssl` of the server, or set sslmode=disable in DATABASE_URL if everyone on that network \
                          may read the data";
            return (chain, advice.to_owned());
        }
        let io = causes(error).find_map(|cause| cause.downcast_ref::<io::Error>()).map(io::Error::kind);
        let advice = match io {
            Some(io::ErrorKind::ConnectionRefused) => "does the server run, and listen on that address and port?",
            Some(io::ErrorKind::PermissionDenied) if chain.contains("does not allow writes") => READ_ONLY,
            Some(io::ErrorKind::NotFound) => "is that the folder of the server's socket?",
            Some(_) if chain.contains("lookup address") => "check the host name in DATABASE_URL, and the name server",
            _ => match error {
                Error::Pool(_) | Error::Silent => {
                    "does the server answer at that address and port, and is there a firewall?"
                }
                Error::ReadOnly => READ_ONLY,
                _ if chain.contains("password missing") => "give a password in DATABASE_URL",
                _ => "see the log of the server",
            },
        };
        (chain, advice.to_owned())
    }

    /// What to do about an answer of the server.
    fn advice_for_state(&self, said: &DbError) -> String {
        let message = said.message();
        match said.code().code() {
            "28P01" => "check the user and the password in DATABASE_URL".to_owned(),
            "28000" if message.contains("no pg_hba.conf entry") && message.contains("no encryption") => {
                "the server wants TLS, or lacks a line for this role and host in pg_hba.conf: add sslmode=verify-full to \
                 DATABASE_URL, or the line"
                    .to_owned()
            }
            "28000" if message.contains("no pg_hba.conf entry") => {
                "add a line for this role, database and host to pg_hba.conf".to_owned()
            }
            "28000" => "create the role, and let it log in".to_owned(),
            "3D000" => "create the database, or correct its name in DATABASE_URL".to_owned(),
            "42501" if is_of_label_studio(message) => format!(
                "give role {:?} the rights of deploy/label-studio/rights.md; `longshore host check` lists what it lacks",
                self.role()
            ),
            "42501" => format!(
                "give role {:?} the rights of deploy/operations/rights.md; `longshore-scheduler check` lists what it lacks",
                self.role()
            ),
            "42P01" | "3F000" | "42883" | "42703" => {
                "the schema is missing or older than this program: start a scheduler of this release, or run \
                 `longshore-scheduler migrate`"
                    .to_owned()
            }
            "53300" => "raise max_connections of the server, or run fewer processes; see deploy/operations/postgres.md".to_owned(),
            "57P03" => "the server starts, stops or recovers: it is tried again".to_owned(),
            "25006" => READ_ONLY.to_owned(),
            "08P01" if message.contains("startup parameter") => {
                "with PgBouncer, add `options` to its ignore_startup_parameters; see deploy/operations/postgres.md".to_owned()
            }
            _ => "see the log of the server".to_owned(),
        }
    }
}

/// Whether the server refused a table of Label Studio, or the schema with all of them.
fn is_of_label_studio(message: &str) -> bool {
    message == "permission denied for schema public"
        || message.strip_prefix("permission denied for table ").is_some_and(label_studio::rights::names)
}

const READ_ONLY: &str = "this is a standby, or read-only: name the primary in DATABASE_URL, or all servers with \
                         target_session_attrs=read-write";
