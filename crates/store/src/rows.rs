//! Rows that go into one statement at once, as the table `r`: arrays on PostgreSQL, values on SQLite.

use crate::change::Error;
use crate::place::Conn;
use crate::sql::DocumentRow;
use sqlx::postgres::PgArguments;
use sqlx::sqlite::SqliteArguments;
use sqlx::{Arguments as _, AssertSqlSafe};

/// Rows per statement on SQLite at most; fewer are sent in powers of two, so that there are few texts to prepare.
const CHUNK: usize = 128;

/// The values of one column, one per row.
pub(crate) enum Column<'a> {
    Int(Vec<i64>),
    Text(Vec<&'a str>),
    Maybe(Vec<Option<&'a str>>),
    Bytes(Vec<&'a [u8]>),
}

impl Column<'_> {
    const fn len(&self) -> usize {
        match self {
            Self::Int(values) => values.len(),
            Self::Text(values) => values.len(),
            Self::Maybe(values) => values.len(),
            Self::Bytes(values) => values.len(),
        }
    }

    const fn array(&self) -> &'static str {
        match self {
            Self::Int(_) => "BIGINT[]",
            Self::Text(_) | Self::Maybe(_) => "TEXT[]",
            Self::Bytes(_) => "BYTEA[]",
        }
    }
}

/// The table `r` of a statement.
pub(crate) struct Rows<'a>(Vec<(&'static str, Column<'a>)>);

impl<'a> Rows<'a> {
    pub(crate) const fn new() -> Self {
        Self(Vec::new())
    }

    pub(crate) fn with(mut self, name: &'static str, column: Column<'a>) -> Self {
        self.0.push((name, column));
        self
    }

    fn len(&self) -> usize {
        self.0.first().map_or(0, |(_, column)| column.len())
    }

    fn named(&self) -> String {
        self.0.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(", ")
    }

    /// The whole table as arrays.
    fn arrays(&self, text: &str) -> String {
        // By its full name: a function of the same name in our schema may fit the type better.
        let arrays = (1..).zip(&self.0).map(|(n, (_, column))| format!("pg_catalog.unnest(${n}::{})", column.array()));
        let arrays = arrays.collect::<Vec<_>>().join(", ");
        format!("WITH r ({}) AS (SELECT * FROM ROWS FROM ({arrays}) AS a) {text}", self.named())
    }

    /// `count` rows of the table as values.
    fn values(&self, count: usize, text: &str) -> String {
        let width = self.0.len();
        let row = |at: usize| {
            let cells = (1..=width).map(|n| format!("${}", at * width + n)).collect::<Vec<_>>().join(", ");
            format!("({cells})")
        };
        let rows = (0..count).map(row).collect::<Vec<_>>().join(", ");
        format!("WITH r ({}) AS (VALUES {rows}) {text}", self.named())
    }

    /// Begin and length of each piece that goes into one statement on SQLite.
    fn pieces(&self) -> Vec<(usize, usize)> {
        let mut pieces = Vec::new();
        let (mut at, mut left) = (0, self.len());
        while left > 0 {
            let count = CHUNK.min(1 << left.ilog2());
            pieces.push((at, count));
            at += count;
            left -= count;
        }
        pieces
    }

    fn array_arguments(&self) -> Result<PgArguments, Error> {
        let mut arguments = PgArguments::default();
        for (_, column) in &self.0 {
            let added = match column {
                Column::Int(values) => arguments.add(values),
                Column::Text(values) => arguments.add(values),
                Column::Maybe(values) => arguments.add(values),
                Column::Bytes(values) => arguments.add(values),
            };
            added.map_err(unfit)?;
        }
        Ok(arguments)
    }

    fn value_arguments(&self, (from, count): (usize, usize)) -> Result<SqliteArguments, Error> {
        let mut arguments = SqliteArguments::default();
        for row in from..from + count {
            for (_, column) in &self.0 {
                // A column that is shorter than the first one gives NULL, which no table here takes.
                let added = match column {
                    Column::Int(values) => arguments.add(values.get(row)),
                    Column::Text(values) => arguments.add(values.get(row)),
                    Column::Maybe(values) => arguments.add(values.get(row).copied().flatten()),
                    Column::Bytes(values) => arguments.add(values.get(row)),
                };
                added.map_err(unfit)?;
            }
        }
        Ok(arguments)
    }

    /// Runs a statement that writes; answers how many rows it touched. No rows, no statement.
    pub(crate) async fn execute(&self, conn: &mut Conn<'_>, text: &str) -> Result<u64, Error> {
        if self.len() == 0 {
            return Ok(0);
        }
        let mut touched = 0;
        match conn {
            Conn::Sqlite(conn) => {
                for piece in self.pieces() {
                    let text = AssertSqlSafe(self.values(piece.1, text));
                    let query = sqlx::query_with(text, self.value_arguments(piece)?);
                    touched += query.execute(&mut **conn).await?.rows_affected();
                }
            }
            Conn::Postgres(conn) => {
                let query = sqlx::query_with(AssertSqlSafe(self.arrays(text)), self.array_arguments()?);
                touched = query.execute(&mut **conn).await?.rows_affected();
            }
        }
        Ok(touched)
    }

    /// Runs a statement that reads documents. No rows, no statement.
    pub(crate) async fn fetch(&self, conn: &mut Conn<'_>, text: &str) -> Result<Vec<DocumentRow>, Error> {
        let mut found = Vec::new();
        if self.len() == 0 {
            return Ok(found);
        }
        match conn {
            Conn::Sqlite(conn) => {
                for piece in self.pieces() {
                    let text = AssertSqlSafe(self.values(piece.1, text));
                    let query = sqlx::query_as_with(text, self.value_arguments(piece)?);
                    found.extend(query.fetch_all(&mut **conn).await?);
                }
            }
            Conn::Postgres(conn) => {
                let query = sqlx::query_as_with(AssertSqlSafe(self.arrays(text)), self.array_arguments()?);
                found = query.fetch_all(&mut **conn).await?;
            }
        }
        Ok(found)
    }
}

fn unfit(error: Box<dyn std::error::Error + Send + Sync>) -> Error {
    Error::Sql(error.to_string())
}
