//! Checks that a storage can be reached: its name, its port, its certificate.

use std::sync::Arc;

use longshore_model::{Connection, FailureReason};
use longshore_telemetry::is_loopback;
use rustls::pki_types::ServerName;
use tokio_rustls::TlsConnector;

use super::{Check, Examination, in_time};
use crate::{Endpoint, ErrorKind, Op, Storage, StorageError};

/// The code of the warning about an endpoint without TLS.
const UNENCRYPTED: &str = "unencrypted";

impl Examination<'_> {
    /// Resolves the name, connects, and makes the TLS handshake. Returns whether the storage can be called.
    pub(super) async fn reach(&mut self, storage: &dyn Storage) -> bool {
        let Some(endpoint) = storage.endpoint() else {
            for check in [Check::Resolve, Check::Connect, Check::Tls] {
                self.skip(check, "storages of this kind do not use a network");
            }
            return true;
        };
        let connected = in_time(Op::Connect, self.wire.tcp(Op::Connect, &endpoint.host, endpoint.port)).await;
        let stream = match connected {
            Ok(stream) => stream,
            Err(error) => {
                // `tcp` resolves and connects; if the name resolves, connecting failed.
                match self.wire.resolves(&endpoint.host, endpoint.port).await {
                    true if error.reason == FailureReason::BlockedAddress => self.fail(Check::Resolve, &error),
                    true => {
                        self.pass(Check::Resolve, "the name resolves");
                        self.fail(Check::Connect, &error);
                    }
                    false => self.fail(Check::Resolve, &error),
                }
                return false;
            }
        };
        self.pass(Check::Resolve, format!("{} resolves to an allowed address", endpoint.host));
        self.pass(Check::Connect, format!("port {} accepts connections", endpoint.port));
        if !endpoint.is_encrypted {
            self.judge_plaintext(&endpoint.host);
            return true;
        }
        let Endpoint { host, .. } = endpoint;
        let handshake = async {
            let name = ServerName::try_from(host).map_err(refusal_error)?;
            TlsConnector::from(Arc::new(self.wire.tls().clone())).connect(name, stream).await.map_err(refusal_error)
        };
        match in_time(Op::Connect, handshake).await {
            Ok(_) => self.pass(Check::Tls, "the certificate is trusted"),
            Err(error) => self.fail(Check::Tls, &error),
        }
        !self.has_failed(Check::Tls)
    }

    /// Warns of an endpoint without TLS, unless it is on this machine.
    fn judge_plaintext(&mut self, host: &str) {
        if is_loopback(host) {
            return self.skip(Check::Tls, "the endpoint is not encrypted, and on this machine");
        }
        let advice = match self.settings.connection {
            Connection::Redis(_) => {
                "The password and all values cross the network unencrypted. Turn on `tls`, and let the server listen with \
                 TLS."
            }
            _ => "Objects cross the network unencrypted. Use an endpoint with https://.",
        };
        self.warn(Check::Tls, UNENCRYPTED, advice);
    }
}

fn refusal_error(error: impl std::error::Error + Send + Sync + 'static) -> StorageError {
    StorageError::with_source(Op::Connect, ErrorKind::Invalid, FailureReason::Tls, error)
}
