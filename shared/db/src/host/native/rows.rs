//! Rows on their way into a table by binary `COPY`, in pieces.
//!
//! The driver's own writer holds a row as a whole, twice. A task may have 32 MiB, and several jobs commit at once,
//! so a value goes out in pieces here: what is held is a piece, whatever a row's size.

use std::pin::Pin;

use bytes::{BufMut, Bytes, BytesMut};
use futures::SinkExt;
use tokio_postgres::CopyInSink;
use tokio_postgres::types::{IsNull, ToSql, Type};

use crate::{Error, Result, Transaction};

/// What is sent at once. Less would cost more messages; the driver holds about two pieces per connection.
const PIECE_BYTES: usize = 64 * 1024;

/// What starts the binary form, with no flags and no extension.
const HEAD: &[u8] = b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0";

/// The first byte of the binary form of `jsonb`.
const JSONB_VERSION: u8 = 1;

/// One value of a row.
pub(super) enum Value<'a> {
    /// A small one, with its column's type.
    Plain(&'a (dyn ToSql + Sync), Type),
    /// A JSON text for a column of `jsonb`.
    Json(&'a str),
    /// For a column of `text`, of any size.
    Text(&'a str),
}

/// Rows of one `COPY`.
pub(super) struct Rows {
    sink: Pin<Box<CopyInSink<Bytes>>>,
    piece: BytesMut,
}

impl Rows {
    /// Starts the statement.
    ///
    /// # Errors
    /// It is not a `COPY`, or the database does not take it.
    pub(super) async fn begin(tx: &Transaction<'_>, copy: &str) -> Result<Self> {
        let statement = tx.prepare_cached(copy).await?;
        let sink = Box::pin(tx.copy_in(&statement).await?);
        let mut piece = BytesMut::with_capacity(PIECE_BYTES);
        piece.put_slice(HEAD);
        Ok(Self { sink, piece })
    }

    /// Adds a row; the values are in the order of the columns.
    ///
    /// # Errors
    /// The connection ended, or a value has no place in its column.
    pub(super) async fn add(&mut self, values: &[Value<'_>]) -> Result<()> {
        self.piece.put_i16(i16::try_from(values.len()).unwrap_or(i16::MAX));
        for value in values {
            match value {
                Value::Plain(value, column) => self.plain(*value, column)?,
                Value::Json(text) => self.pieces(&[JSONB_VERSION], text).await?,
                Value::Text(text) => self.pieces(&[], text).await?,
            }
        }
        if self.piece.len() >= PIECE_BYTES {
            self.send().await?;
        }
        Ok(())
    }

    fn plain(&mut self, value: &(dyn ToSql + Sync), column: &Type) -> Result<()> {
        let start = self.piece.len();
        self.piece.put_i32(-1);
        let written = value
            .to_sql_checked(column, &mut self.piece)
            .map_err(|error| Error::unreadable("a value to write", error))?;
        if matches!(written, IsNull::No) {
            let length = i32::try_from(self.piece.len() - start - 4).unwrap_or(i32::MAX);
            self.piece[start..start + 4].copy_from_slice(&length.to_be_bytes());
        }
        Ok(())
    }

    async fn pieces(&mut self, head: &[u8], text: &str) -> Result<()> {
        self.piece.put_i32(i32::try_from(head.len() + text.len()).unwrap_or(i32::MAX));
        self.piece.put_slice(head);
        let mut rest = text.as_bytes();
        loop {
            let room = PIECE_BYTES.saturating_sub(self.piece.len());
            let (now, later) = rest.split_at(rest.len().min(room));
            self.piece.put_slice(now);
            rest = later;
            if rest.is_empty() {
                return Ok(());
            }
            self.send().await?;
        }
    }

    async fn send(&mut self) -> Result<()> {
        let piece = self.piece.split().freeze();
        self.piece.reserve(PIECE_BYTES);
        Ok(self.sink.send(piece).await?)
    }

    /// Ends the statement.
    ///
    /// # Errors
    /// The database refuses a row.
    pub(super) async fn finish(mut self) -> Result<()> {
        self.piece.put_i16(-1);
        self.send().await?;
        self.sink.as_mut().finish().await?;
        Ok(())
    }
}
