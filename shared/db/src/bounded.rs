//! Pages limited by bytes as well as by rows, so that no answer needs more memory than its caller reserved.

/// The rows of a page that fit into a number of bytes.
#[derive(Debug, Clone)]
pub struct Bounded<T> {
    /// The first rows of the page: at least one, unless the page is empty.
    pub rows: Vec<T>,
    /// Whether rows were left out because they did not fit. They come after the last row of `rows`.
    pub is_cut: bool,
}

/// SQL that keeps the first rows of `page` that print as at most `most` bytes together, and always at least one row.
///
/// * `page`: a query with its own order and limit.
/// * `bytes`: an expression for the size of a row, which must not need decompressed columns.
/// * `order`: the order of the page.
/// * `shown`: the result columns. They are computed only for the rows that are kept.
///
/// Each result row also has column `page_rows`, the number of rows of the page, including those left out.
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

/// SQL for the most bytes in which a small `jsonb` column can print.
///
/// TOAST compresses rows of more than 2 kB, by a factor of at most about 250. Use it only for columns without long
/// numbers, which print longer than they are stored.
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
