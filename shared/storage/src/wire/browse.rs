//! Requests without credentials, as browsers send them, without retries.

use bytes::Bytes;
use http::{HeaderMap, Request, StatusCode};

use super::{Wire, connect};
use crate::{Op, StorageError};

impl Wire {
    /// Sends a request and returns the head of its answer; the body is not read.
    pub(crate) async fn browse(
        &self,
        op: Op,
        request: Request<Bytes>,
    ) -> Result<(StatusCode, HeaderMap), StorageError> {
        let (head, _) = self.exchange(op, request).await?.into_parts();
        Ok((head.status, head.headers))
    }

    /// Whether a host name resolves, to any address.
    pub(crate) async fn resolves(&self, host: &str, port: u16) -> bool {
        connect::resolve(host.trim_start_matches('[').trim_end_matches(']'), port).await.is_ok()
    }
}
