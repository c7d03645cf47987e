//! Whether a storage can be reached: its name, its port, its certificate.

use std::sync::Arc;

use longshore_model::FailureReason;
use rustls::pki_types::ServerName;
use tokio_rustls::TlsConnector;

use super::{Check, Examination, in_time};
use crate::{Endpoint, ErrorKind, Op, Storage, StorageError};

impl Examination<'_> {
    /// Resolves, connects and shakes hands. Whether the storage can be asked.
    pub(super) async fn reach(&mut self, storage: &dyn Storage) -> bool {
        let Some(endpoint) = storage.endpoint() else {
            for check in [Check::Resolve, Check::Connect, Check::Tls] {
                self.skipped(check, "storages of this kind are not reached over a network");
            }
            return true;
        };
        let connected = in_time(Op::Connect, self.wire.tcp(Op::Connect, &endpoint.host, endpoint.port)).await;
        let stream = match connected {
            Ok(stream) => stream,
            Err(error) => {
                // One call does both; which of them failed is in the name.
                match self.wire.resolves(&endpoint.host, endpoint.port).await {
                    true if error.reason == FailureReason::BlockedAddress => self.failed(Check::Resolve, &error),
                    true => {
                        self.ok(Check::Resolve, "the name is known");
                        self.failed(Check::Connect, &error);
                    }
                    false => self.failed(Check::Resolve, &error),
                }
                return false;
            }
        };
        self.ok(Check::Resolve, format!("{} is known, and may be reached", endpoint.host));
        self.ok(Check::Connect, format!("port {} accepts connections", endpoint.port));
        if !endpoint.is_encrypted {
            self.skipped(Check::Tls, "the endpoint is not encrypted");
            return true;
        }
        let Endpoint { host, .. } = endpoint;
        let shaken = async {
            let name = ServerName::try_from(host).map_err(refused)?;
            TlsConnector::from(Arc::new(self.wire.tls().clone())).connect(name, stream).await.map_err(refused)
        };
        match in_time(Op::Connect, shaken).await {
            Ok(_) => self.ok(Check::Tls, "the certificate is trusted"),
            Err(error) => self.failed(Check::Tls, &error),
        }
        !self.has_failed(Check::Tls)
    }
}

fn refused(error: impl std::error::Error + Send + Sync + 'static) -> StorageError {
    StorageError::caused(Op::Connect, ErrorKind::Invalid, FailureReason::Tls, error)
}
