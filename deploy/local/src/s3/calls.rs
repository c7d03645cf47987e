//! The record of all requests.

use std::sync::{Mutex, MutexGuard, PoisonError};

use http::request::Parts;
use http::{HeaderMap, Method, Uri, header};
use percent_encoding::percent_decode_str;

use super::{encoding, hosts};

/// The operations that tests distinguish.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Op {
    List,
    Get,
    Put,
    Delete,
    Head,
    /// Anything else, such as creating a bucket.
    Other,
}

/// One request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Call {
    pub op: Op,
    pub bucket: String,
    /// Empty for a listing and other calls on a whole bucket.
    pub key: String,
    /// The name after which a listing starts, from `start-after` or from a continuation token.
    pub start_after: Option<String>,
    /// The access key that signed the request, in a header or in the URL.
    pub access_key: Option<String>,
    /// The region in the signature.
    pub region: Option<String>,
    /// `None` until the server answers; stays `None` if it cut the connection instead.
    pub status: Option<u16>,
}

impl Call {
    pub(super) fn of(head: &Parts) -> Self {
        let (method, uri) = (&head.method, &head.uri);
        let path = uri.path().strip_prefix('/').unwrap_or(uri.path());
        let host = head.headers.get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
        let (bucket, key) = match hosts::bucket(host) {
            Some(bucket) => (bucket, path),
            None => path.split_once('/').unwrap_or((path, "")),
        };
        let decode = |text: &str| percent_decode_str(text).decode_utf8_lossy().into_owned();
        let version = query_value(uri, "list-type");
        // The first version of a listing has only these parameters, and boto3 always sends one of them.
        let is_first = || ["prefix", "delimiter", "encoding-type"].iter().any(|name| query_value(uri, name).is_some());
        let is_list = *method == Method::GET && (version.as_deref() == Some("2") || (version.is_none() && is_first()));
        let op = match (method, key.is_empty()) {
            (_, true) if is_list => Op::List,
            (_, true) => Op::Other,
            (&Method::GET, false) => Op::Get,
            (&Method::PUT, false) => Op::Put,
            (&Method::DELETE, false) => Op::Delete,
            (&Method::HEAD, false) => Op::Head,
            (_, false) => Op::Other,
        };
        let token = query_value(uri, "continuation-token").and_then(|token| encoding::name_of(&token));
        let start_after = token.or_else(|| query_value(uri, "start-after")).filter(|_| is_list);
        let scope = scope(&head.headers, uri).unwrap_or_default();
        let part = |n| scope.split('/').nth(n).filter(|part| !part.is_empty()).map(str::to_owned);
        Self {
            op,
            bucket: decode(bucket),
            key: decode(key),
            start_after,
            access_key: part(0),
            region: part(2),
            status: None,
        }
    }
}

/// The credential scope of a signature: `key/date/region/s3/aws4_request`.
fn scope(headers: &HeaderMap, uri: &Uri) -> Option<String> {
    let header = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    let signed = header.and_then(|value| Some(value.split_once("Credential=")?.1.to_owned()));
    signed.or_else(|| query_value(uri, "X-Amz-Credential"))
}

/// The decoded value of a query parameter.
pub(super) fn query_value(uri: &Uri, name: &str) -> Option<String> {
    let pairs = uri.query().unwrap_or_default().split('&');
    let value = pairs.filter_map(|pair| pair.split_once('=')).find(|(key, _)| *key == name)?.1;
    // As `s3s` does: `+` is a space in a query, but not in a path.
    Some(percent_decode_str(&value.replace('+', " ")).decode_utf8_lossy().into_owned())
}

/// All requests so far.
#[derive(Default)]
pub(super) struct Calls(Mutex<Log>);

#[derive(Default)]
struct Log {
    calls: Vec<Call>,
    cleared: usize,
}

impl Calls {
    /// Records a request, and returns its number for [`Self::record_status`].
    pub(super) fn record(&self, call: Call) -> usize {
        let mut log = self.lock();
        log.calls.push(call);
        log.cleared + log.calls.len() - 1
    }

    pub(super) fn record_status(&self, number: usize, status: u16) {
        let mut log = self.lock();
        // A call that was cleared meanwhile is no longer recorded.
        let call = number.checked_sub(log.cleared).and_then(|index| log.calls.get_mut(index));
        if let Some(call) = call {
            call.status = Some(status);
        }
    }

    pub(super) fn all(&self) -> Vec<Call> {
        self.lock().calls.clone()
    }

    pub(super) fn count(&self, op: Op) -> usize {
        self.lock().calls.iter().filter(|call| call.op == op).count()
    }

    pub(super) fn clear(&self) {
        let mut log = self.lock();
        log.cleared += log.calls.len();
        log.calls.clear();
    }

    fn lock(&self) -> MutexGuard<'_, Log> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
