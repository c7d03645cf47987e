//! Reads values from a row.

use std::str::FromStr;

use longshore_model::UnknownWord;
use tokio_postgres::Row;

use crate::{Error, Result};

/// Reads a column that holds a word of a closed set.
///
/// # Errors
/// [`Error::Unreadable`] for a word that this release does not know.
pub(crate) fn word<T>(row: &Row, column: &'static str) -> Result<T>
where
    T: FromStr<Err = UnknownWord>,
{
    row.get::<_, &str>(column).parse().map_err(|error| Error::unreadable(column, error))
}

/// As [`word`], for a column that may be null.
pub(crate) fn optional_word<T>(row: &Row, column: &'static str) -> Result<Option<T>>
where
    T: FromStr<Err = UnknownWord>,
{
    let text = row.get::<_, Option<&str>>(column);
    text.map(str::parse).transpose().map_err(|error| Error::unreadable(column, error))
}
