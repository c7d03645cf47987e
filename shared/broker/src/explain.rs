//! What a failure of the broker means to an operator: where, what the broker said, and what to do.

use std::io;

use longshore_telemetry::{TlsRefusal, causes, error_chain};

use crate::{Address, BrokerError};

impl Address {
    /// Explains a failure on one line: host, virtual host and user, the broker's answer or the reason why it was not
    /// reached, and what to do. Never has the password.
    pub fn explain(&self, error: &BrokerError) -> String {
        format!(
            "RabbitMQ at {}, virtual host {:?}, user {:?}: {}; {}",
            self.host(),
            self.vhost(),
            self.user(),
            error_chain(error),
            self.advice(error)
        )
    }

    fn advice(&self, error: &BrokerError) -> String {
        if let Some(refusal) = TlsRefusal::of(error) {
            return refusal.advice("LONGSHORE_AMQP_CA_FILE=/path/to/ca.pem", "");
        }
        let chain = error_chain(error);
        let is = |text: &str| chain.contains(text);
        if is("PRECONDITION") || is("inequivalent arg") {
            return "a queue or exchange of that name has other arguments: delete it if it is empty (its messages are \
                    sent again), or use another virtual host"
                .to_owned();
        }
        if is("user can't log in") || is("ACCESS_REFUSED - Login") || is("ACCESS-REFUSED - Login") {
            return "check the user and the password in AMQP_URL".to_owned();
        }
        if is("not found") && is("vhost") {
            return "create the virtual host, or correct the end of AMQP_URL: `/` alone is written %2f".to_owned();
        }
        if is("NOT_ALLOWED") || is("NOT-ALLOWED") || is("ACCESS_REFUSED") || is("ACCESS-REFUSED") {
            return "give the user the permissions of deploy/operations/rights.md; `longshore-scheduler check` lists what it \
                    lacks"
                .to_owned();
        }
        let kind = causes(error).find_map(|cause| cause.downcast_ref::<io::Error>()).map(io::Error::kind);
        match kind {
            Some(io::ErrorKind::ConnectionRefused) => "does the broker run, and listen on that address and port?",
            Some(io::ErrorKind::TimedOut) => {
                "does the broker answer at that address and port, and is there a firewall?"
            }
            Some(_) if is("lookup address") => "check the host name in AMQP_URL, and the name server",
            Some(_) if self.tls.is_some() => "does this port speak TLS? It is usually 5671",
            // A broker closes the connection after a wrong password if the client cannot be told.
            Some(_) => "does this port speak AMQP, and are the user and the password in AMQP_URL right?",
            None => "see the log of the broker",
        }
        .to_owned()
    }
}
