//! JSON text that goes to a `jsonb` column unchanged, without being parsed here.

use bytes::{BufMut, BytesMut};
use postgres_types::{FromSql, IsNull, ToSql, Type, accepts, to_sql_checked};

/// A JSON text to write to a `jsonb` column, or read from one. Numbers are spelled as Postgres stores them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RawJson<T>(pub T);

/// The first byte of the binary form of `jsonb`: its version. Only this one exists.
const JSONB_VERSION: u8 = 1;

impl<T: AsRef<str> + std::fmt::Debug> ToSql for RawJson<T> {
    fn to_sql(&self, _: &Type, out: &mut BytesMut) -> Result<IsNull, Box<dyn std::error::Error + Sync + Send>> {
        out.put_u8(JSONB_VERSION);
        out.put_slice(self.0.as_ref().as_bytes());
        Ok(IsNull::No)
    }

    accepts!(JSONB);
    to_sql_checked!();
}

impl<'a> FromSql<'a> for RawJson<&'a str> {
    fn from_sql(_: &Type, raw: &'a [u8]) -> Result<Self, Box<dyn std::error::Error + Sync + Send>> {
        match raw.split_first() {
            Some((&JSONB_VERSION, text)) => Ok(Self(std::str::from_utf8(text)?)),
            _ => Err("unknown version of jsonb".into()),
        }
    }

    accepts!(JSONB);
}
