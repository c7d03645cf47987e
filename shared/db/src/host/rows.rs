//! Writes rows to a table by binary `COPY`, in chunks.
//!
//! The driver's own writer has each row in memory twice. A task may have 32 MiB, and several jobs commit at the same
//! time. So this writer sends large values in chunks, and its memory does not depend on the size of a row.

use std::pin::Pin;

use bytes::{BufMut, Bytes, BytesMut};
use futures::SinkExt;
use tokio_postgres::CopyInSink;
use tokio_postgres::types::{IsNull, ToSql, Type};

use crate::{Error, Result, Transaction};

/// Size of a chunk. Smaller chunks would need more messages; the driver has about two chunks per connection in memory.
const CHUNK_BYTES: usize = 64 * 1024;

/// The header of the binary format, with no flags and no extension.
const HEAD: &[u8] = b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0";

/// The first byte of the binary form of `jsonb`: its version.
const JSONB_VERSION: u8 = 1;

/// One value of a row.
pub(in crate::host) enum Value<'a> {
    /// A small value, with the type of its column.
    Small(&'a (dyn ToSql + Sync), Type),
    /// A JSON text for a `jsonb` column.
    Json(&'a str),
    /// A text of any size, for a `text` column.
    Text(&'a str),
}

/// The writer of one `COPY` statement.
pub(in crate::host) struct Rows {
    sink: Pin<Box<CopyInSink<Bytes>>>,
    chunk: BytesMut,
}

impl Rows {
    /// Starts the statement.
    ///
    /// # Errors
    /// The database rejects the statement, or it is not a `COPY`.
    pub(in crate::host) async fn begin(tx: &Transaction<'_>, copy: &str) -> Result<Self> {
        let statement = tx.prepare_cached(copy).await?;
        let sink = Box::pin(tx.copy_in(&statement).await?);
        let mut chunk = BytesMut::with_capacity(CHUNK_BYTES);
        chunk.put_slice(HEAD);
        Ok(Self { sink, chunk })
    }

    /// Adds a row. The values must be in the order of the columns.
    ///
    /// # Errors
    /// The connection ended, or a value does not fit its column's type.
    pub(in crate::host) async fn add(&mut self, values: &[Value<'_>]) -> Result<()> {
        self.chunk.put_i16(i16::try_from(values.len()).unwrap_or(i16::MAX));
        for value in values {
            match value {
                Value::Small(value, column) => self.put_small(*value, column)?,
                Value::Json(text) => self.put_text(&[JSONB_VERSION], text).await?,
                Value::Text(text) => self.put_text(&[], text).await?,
            }
        }
        if self.chunk.len() >= CHUNK_BYTES {
            self.send().await?;
        }
        Ok(())
    }

    fn put_small(&mut self, value: &(dyn ToSql + Sync), column: &Type) -> Result<()> {
        let start = self.chunk.len();
        self.chunk.put_i32(-1);
        let written = value
            .to_sql_checked(column, &mut self.chunk)
            .map_err(|error| Error::unreadable("a value to write", error))?;
        if matches!(written, IsNull::No) {
            let length = i32::try_from(self.chunk.len() - start - 4).unwrap_or(i32::MAX);
            self.chunk[start..start + 4].copy_from_slice(&length.to_be_bytes());
        }
        Ok(())
    }

    async fn put_text(&mut self, head: &[u8], text: &str) -> Result<()> {
        self.chunk.put_i32(i32::try_from(head.len() + text.len()).unwrap_or(i32::MAX));
        self.chunk.put_slice(head);
        let mut rest = text.as_bytes();
        loop {
            let room = CHUNK_BYTES.saturating_sub(self.chunk.len());
            let (now, later) = rest.split_at(rest.len().min(room));
            self.chunk.put_slice(now);
            rest = later;
            if rest.is_empty() {
                return Ok(());
            }
            self.send().await?;
        }
    }

    async fn send(&mut self) -> Result<()> {
        let chunk = self.chunk.split().freeze();
        self.chunk.reserve(CHUNK_BYTES);
        Ok(self.sink.send(chunk).await?)
    }

    /// Ends the statement.
    ///
    /// # Errors
    /// The database rejects a row.
    pub(in crate::host) async fn finish(mut self) -> Result<()> {
        self.chunk.put_i16(-1);
        self.send().await?;
        self.sink.as_mut().finish().await?;
        Ok(())
    }
}
