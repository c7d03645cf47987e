//! Redis and compatible servers: strings under unordered keys.
//!
//! Redis keeps no modification times or etags. We derive an etag from `STRLEN` and a digest of both ends of the
//! value.

mod address;
mod answers;
mod budget;
mod connection;
mod failure;
mod guard;
mod scan;
mod value;
mod watched_stream;

use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::{self, StreamExt};
use longshore_model::{FailureReason, RedisConnection, RedisSecrets, Secret, StorageKind};
use redis::Pipeline;

use crate::wire::Call;
use crate::{
    Endpoint, ErrorKind, InvalidSetting, ListPage, ListRequest, ObjectBody, ObjectMeta, ObjectStream, Op, Probe,
    PutOptions, Range, Storage, StorageError,
};
use address::RedisAddress;
use budget::AnswerSize;
pub(crate) use connection::Connections;
use connection::LiveConnection;
pub(crate) use failure::RefusalCode;

use value::etag_of;

/// Bytes per piece of a stream.
const PIECE: u64 = 256 * 1024;

/// Seconds until the server deletes a probe's key, in case the probe may not delete it.
const PROBE_LASTS: u64 = 60;

/// The keys of one database that start with a prefix.
pub(crate) struct Redis {
    client: Client,
    prefix: String,
}

/// A database and the connections to it.
#[derive(Clone)]
struct Client {
    connections: Connections,
    address: RedisAddress,
}

/// Checks the settings as far as possible without the server.
pub(crate) fn check(connection: &RedisConnection) -> Result<(), InvalidSetting> {
    RedisAddress::new(connection, None).map(drop)
}

impl Redis {
    /// Opens a storage; makes no request yet.
    pub(crate) fn new(
        connection: &RedisConnection,
        secrets: &RedisSecrets,
        prefix: String,
        connections: Connections,
    ) -> Result<Self, InvalidSetting> {
        let address = RedisAddress::new(connection, secrets.password.clone())?;
        Ok(Self { client: Client { connections, address }, prefix })
    }

    /// Writes a key that expires, and deletes it immediately if that is allowed.
    async fn check_write(&self, live: &LiveConnection) -> Result<(), StorageError> {
        let key = self.probe_key();
        let content = "Longshore checks that it may write here.";
        let mut set = Pipeline::new();
        set.cmd("SET").arg(&key).arg(content).arg("EX").arg(PROBE_LASTS);
        live.send(Op::Put, &set, AnswerSize::lines(1)).await?.next()?;
        let mut delete = Pipeline::new();
        delete.cmd("DEL").arg(&key);
        match live.send(Op::Delete, &delete, AnswerSize::lines(1)).await?.next() {
            // An export needs no right to delete.
            Err(error) if error.kind != ErrorKind::Denied => Err(error),
            _ => Ok(()),
        }
    }

    /// Makes the calls of a listing and of a read, for a key that does not exist.
    async fn check_read(&self, live: &LiveConnection) -> Result<(), StorageError> {
        scan::next_keys(live, "0", &self.prefix, 10).await?;
        let mut commands = Pipeline::new();
        let key = self.probe_key();
        value::push_commands(&mut commands, key.as_bytes());
        commands.cmd("TYPE").arg(&key);
        live.send(Op::List, &commands, AnswerSize::lines(commands.len())).await?.all()
    }

    fn probe_key(&self) -> String {
        format!("{}.longshore-probe-{:016x}", self.prefix, rand::random::<u64>())
    }
}

impl Client {
    /// Does work on a connection, with retries on new connections, until it succeeds or fails for good.
    async fn with<T, Fut>(&self, op: Op, work: impl Fn(LiveConnection) -> Fut + Send + Sync) -> Result<T, StorageError>
    where
        T: Send,
        Fut: Future<Output = Result<T, StorageError>> + Send,
    {
        let call = Call { kind: StorageKind::Redis, op, endpoint: &self.address.endpoint, max_bytes: 0 };
        let wire = self.connections.wire();
        wire.attempt(call, || async { work(self.connections.get(op, &self.address).await?).await }).await
    }

    /// Runs one command and checks that it succeeds.
    async fn run(&self, op: Op, commands: &Pipeline) -> Result<(), StorageError> {
        let most = AnswerSize::lines(commands.len());
        self.with(op, |live| async move { live.send(op, commands, most).await?.all() }).await
    }

    /// Returns the metadata of a value.
    async fn metadata(&self, op: Op, key: &str) -> Result<ObjectMeta, StorageError> {
        let found =
            self.with(op, |live| async move { value::read_metadata(&live, op, vec![key.into()]).await }).await?;
        let object = found.into_iter().next().ok_or_else(|| not_found(op))?;
        object.fault.map_or(Ok(object.meta), |fault| Err(fault.error(op)))
    }

    /// Reads `length` bytes of a value from `first` on.
    async fn read(&self, key: &str, first: u64, length: u64) -> Result<Bytes, StorageError> {
        let mut commands = Pipeline::new();
        commands.cmd("GETRANGE").arg(key).arg(first).arg(first.saturating_add(length).saturating_sub(1));
        let (commands, most) = (&commands, AnswerSize::strings(1, length));
        let bytes = self.with(Op::Get, |live| async move { live.send(Op::Get, commands, most).await?.bytes() }).await?;
        self.connections.wire().metrics().add_received(bytes.len() as u64);
        Ok(bytes)
    }
}

#[async_trait]
impl Storage for Redis {
    async fn list_page(&self, request: ListRequest<'_>) -> Result<ListPage, StorageError> {
        self.client.with(Op::List, |live| async move { scan::page(&live, request).await }).await
    }

    async fn get(&self, key: &str, range: Option<Range>, max_bytes: u64) -> Result<ObjectBody, StorageError> {
        let too_large = || StorageError::new(Op::Get, ErrorKind::Invalid, FailureReason::TooLarge);
        let (bytes, etag, size) = match range {
            None => {
                // Reading one byte more shows whether the value is larger than the limit.
                let bytes = self.client.read(key, 0, max_bytes.saturating_add(1)).await?;
                if bytes.is_empty() {
                    self.client.metadata(Op::Get, key).await?;
                }
                let etag = etag_of(&bytes);
                (bytes, etag, None)
            }
            Some(range) => {
                let object = self.client.metadata(Op::Get, key).await?;
                let (first, last) = part(range, object.size)?;
                let length = last - first + 1;
                if length > max_bytes {
                    return Err(too_large());
                }
                (self.client.read(key, first, length).await?, object.etag.unwrap_or_default(), Some(object.size))
            }
        };
        if bytes.len() as u64 > max_bytes {
            return Err(too_large());
        }
        let stored_size = size.unwrap_or(bytes.len() as u64);
        Ok(ObjectBody { bytes, stored_size, etag: Some(etag), ..ObjectBody::default() })
    }

    async fn stream(&self, key: &str, range: Option<Range>) -> Result<ObjectStream, StorageError> {
        let object = self.client.metadata(Op::Get, key).await?;
        let part = range.map(|range| part(range, object.size)).transpose()?;
        let (from, end) = part.map_or((0, object.size), |(first, last)| (first, last + 1));
        let (client, key, etag) = (self.client.clone(), key.to_owned(), object.etag.clone());
        let body = stream::try_unfold(from, move |at| {
            let (client, key, etag) = (client.clone(), key.clone(), etag.clone());
            async move {
                if at >= end {
                    return Ok(None);
                }
                let bytes = client.read(&key, at, PIECE.min(end - at)).await?;
                // The value changed meanwhile: pieces of different values must not be mixed.
                if client.metadata(Op::Get, &key).await?.etag != etag || bytes.is_empty() {
                    return Err(StorageError::new(Op::Get, ErrorKind::Unavailable, FailureReason::BadAnswer));
                }
                let next = at + bytes.len() as u64;
                Ok(Some((bytes, next)))
            }
        });
        Ok(ObjectStream {
            size: object.size,
            part,
            etag: object.etag,
            content_type: None,
            content_encoding: None,
            modified_at: None,
            body: body.boxed(),
        })
    }

    async fn put(&self, key: &str, body: Bytes, _: &PutOptions) -> Result<Option<String>, StorageError> {
        let mut commands = Pipeline::new();
        commands.cmd("SET").arg(key).arg(body.as_ref());
        self.client.connections.wire().metrics().add_sent(body.len() as u64);
        self.client.run(Op::Put, &commands).await?;
        Ok(Some(etag_of(&body)))
    }

    async fn delete(&self, key: &str) -> Result<(), StorageError> {
        let mut commands = Pipeline::new();
        commands.cmd("DEL").arg(key);
        self.client.run(Op::Delete, &commands).await
    }

    async fn head(&self, key: &str) -> Result<ObjectMeta, StorageError> {
        self.client.metadata(Op::Head, key).await
    }

    async fn probe(&self, probe: Probe) -> Result<(), StorageError> {
        // On a new connection, because an existing one was authenticated with the rights of that time.
        let live = self.client.connections.open(Op::Connect, &self.client.address).await?;
        match probe {
            Probe::Read => self.check_read(&live).await,
            Probe::Write => self.check_write(&live).await,
        }
    }

    async fn presign(&self, _: &str, _: Duration) -> Result<Secret, StorageError> {
        Err(StorageError::new(Op::Presign, ErrorKind::Invalid, FailureReason::NoSignedUrls))
    }

    fn uri(&self, key: &str) -> String {
        format!("redis://{}/{}/{key}", self.client.address.endpoint, self.client.address.db)
    }

    fn endpoint(&self) -> Option<Endpoint> {
        let RedisAddress { host, port, tls, .. } = &self.client.address;
        Some(Endpoint { host: host.clone(), port: *port, is_encrypted: *tls })
    }

    fn is_ordered(&self) -> bool {
        false
    }

    async fn databases(&self) -> Result<Vec<(u16, u64)>, StorageError> {
        let mut commands = Pipeline::new();
        commands.cmd("INFO").arg("keyspace");
        let commands = &commands;
        let info = self.client.with(Op::List, |live| async move {
            // Many users may not call `INFO`.
            let mut answers = live.send(Op::List, commands, AnswerSize::strings(1, LONGEST_KEYSPACE)).await?;
            Ok(answers.bytes().unwrap_or_default())
        });
        Ok(keyspace(&String::from_utf8_lossy(&info.await?)))
    }
}

/// The longest answer with the numbers of keys, in bytes: a line of about 60 bytes for each database that has keys.
const LONGEST_KEYSPACE: u64 = 64 * 1024;

/// The databases in the lines `db0:keys=5,expires=0,avg_ttl=0`.
fn keyspace(info: &str) -> Vec<(u16, u64)> {
    let read = |line: &str| {
        let (number, counts) = line.trim().strip_prefix("db")?.split_once(':')?;
        let keys = counts.split(',').find_map(|count| count.strip_prefix("keys="))?;
        Some((number.parse().ok()?, keys.parse().ok()?))
    };
    info.lines().filter_map(read).collect()
}

/// The first and the last byte of a range of a value.
fn part(range: Range, size: u64) -> Result<(u64, u64), StorageError> {
    if range.first >= size || range.last.is_some_and(|last| last < range.first) {
        return Err(StorageError::new(Op::Get, ErrorKind::Invalid, FailureReason::NoSuchRange));
    }
    Ok((range.first, range.last.unwrap_or(u64::MAX).min(size - 1)))
}

fn not_found(op: Op) -> StorageError {
    StorageError::new(op, ErrorKind::NotFound, FailureReason::NoSuchObject)
}
