//! Pages that end where they would be too many bytes.

/// Rows of a page, as many as fit.
#[derive(Debug, Clone)]
pub struct Bounded<T> {
    /// The first rows of the page: at least one, unless the page is empty.
    pub rows: Vec<T>,
    /// Whether rows were left out because they did not fit. They follow the last one given.
    pub is_cut: bool,
}

/// SQL that keeps the first rows of `page` (a query, with its own order and limit) that print as at most `most` bytes
/// together, and always one.
///
/// `bytes` says how large a row is, by columns that need not be unpacked for it; `order` is the page's order. Column
/// `page_rows` of each row counts the rows of the page, kept or not. What a kept row shows is computed by `shown`,
/// after the others are left out.
pub(crate) fn bounded(page: &str, bytes: &str, order: &str, shown: &str, most: &str) -> String {
    format!(
        "SELECT {shown}, page_rows FROM (
             SELECT page.*, count(*) OVER () AS page_rows, row_number() OVER (ORDER BY {order}) AS page_number,
                    sum({bytes}) OVER (ORDER BY {order} ROWS UNBOUNDED PRECEDING) AS page_bytes
               FROM ({page}) page) kept
          WHERE page_number = 1 OR page_bytes <= {most}::bigint
          ORDER BY {order}"
    )
}

/// SQL for the most bytes as which a small `jsonb` column can print. TOAST packs a row of more than 2 kB, and at most
/// about 250 times; the columns that this is for hold no wide numbers.
pub(crate) fn settings_bytes(column: &str) -> String {
    format!(
        "CASE WHEN pg_column_size({column}) < 2048 THEN octet_length({column}::text)
              ELSE pg_column_size({column}) * 256::bigint END"
    )
}

impl<T> Bounded<T> {
    /// Reads the rows of a statement of [`bounded`].
    pub(crate) fn read(
        rows: &[tokio_postgres::Row],
        read: impl FnMut(&tokio_postgres::Row) -> crate::Result<T>,
    ) -> crate::Result<Self> {
        let in_all = rows.first().map_or(0, |row| row.get::<_, i64>("page_rows"));
        let is_cut = i64::try_from(rows.len()).is_ok_and(|count| count < in_all);
        Ok(Self { rows: rows.iter().map(read).collect::<crate::Result<_>>()?, is_cut })
    }
}
