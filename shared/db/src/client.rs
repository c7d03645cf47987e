//! A database connection on loan from the pool, and what statements run on.

use std::ops::{Deref, DerefMut};

use deadpool_postgres::{GenericClient as Driver, Transaction};
use tokio::sync::OwnedSemaphorePermit;
use tokio_postgres::types::{ToSql, Type};
use tokio_postgres::{Error, Row, Statement, ToStatement};

/// A database connection on loan. Dropped, it goes back to the pool, and its place back to its
/// [`Share`](crate::Share).
pub struct Client {
    // First: the connection is back in the pool before another caller of the share asks for one.
    lent: deadpool_postgres::Client,
    _place: Option<OwnedSemaphorePermit>,
}

impl Client {
    pub(crate) fn new(lent: deadpool_postgres::Client, place: Option<OwnedSemaphorePermit>) -> Self {
        Self { lent, _place: place }
    }

    /// Takes the database connection out of the pool for good: one that may be in the middle of something.
    pub fn take(client: Self) -> deadpool_postgres::ClientWrapper {
        deadpool_postgres::Client::take(client.lent)
    }
}

impl Deref for Client {
    type Target = deadpool_postgres::Client;

    fn deref(&self) -> &Self::Target {
        &self.lent
    }
}

impl DerefMut for Client {
    fn deref_mut(&mut self) -> &mut Self::Target {
        &mut self.lent
    }
}

/// What a statement runs on: a [`Client`], or a transaction.
///
/// The driver's trait of this name is sealed, so it cannot be given to [`Client`]; this one passes on the
/// methods that statements here use.
pub trait GenericClient: Sync {
    /// What the driver knows.
    type Driver: Driver;

    /// What the calls are passed on to.
    fn driver(&self) -> &Self::Driver;

    /// Runs a statement, and gives the number of rows that it touched.
    fn execute<'a, T>(
        &'a self,
        statement: &'a T,
        values: &'a [&'a (dyn ToSql + Sync)],
    ) -> impl Future<Output = Result<u64, Error>> + Send
    where
        T: ?Sized + ToStatement + Sync + Send,
    {
        self.driver().execute(statement, values)
    }

    /// Gives all rows of a statement.
    fn query<'a, T>(
        &'a self,
        statement: &'a T,
        values: &'a [&'a (dyn ToSql + Sync)],
    ) -> impl Future<Output = Result<Vec<Row>, Error>> + Send
    where
        T: ?Sized + ToStatement + Sync + Send,
    {
        self.driver().query(statement, values)
    }

    /// Gives the one row of a statement.
    fn query_one<'a, T>(
        &'a self,
        statement: &'a T,
        values: &'a [&'a (dyn ToSql + Sync)],
    ) -> impl Future<Output = Result<Row, Error>> + Send
    where
        T: ?Sized + ToStatement + Sync + Send,
    {
        self.driver().query_one(statement, values)
    }

    /// Gives the row of a statement, if there is one.
    fn query_opt<'a, T>(
        &'a self,
        statement: &'a T,
        values: &'a [&'a (dyn ToSql + Sync)],
    ) -> impl Future<Output = Result<Option<Row>, Error>> + Send
    where
        T: ?Sized + ToStatement + Sync + Send,
    {
        self.driver().query_opt(statement, values)
    }

    /// Prepares a statement, once per database connection.
    fn prepare_cached<'a>(&'a self, statement: &'a str) -> impl Future<Output = Result<Statement, Error>> + Send {
        self.driver().prepare_cached(statement)
    }

    /// The same with the types of its values.
    fn prepare_typed_cached<'a>(
        &'a self,
        statement: &'a str,
        types: &'a [Type],
    ) -> impl Future<Output = Result<Statement, Error>> + Send {
        self.driver().prepare_typed_cached(statement, types)
    }

    /// Runs statements that take no values.
    fn batch_execute<'a>(&'a self, statements: &'a str) -> impl Future<Output = Result<(), Error>> + Send {
        self.driver().batch_execute(statements)
    }
}

impl GenericClient for Client {
    type Driver = deadpool_postgres::Client;

    fn driver(&self) -> &Self::Driver {
        &self.lent
    }
}

impl GenericClient for deadpool_postgres::Client {
    type Driver = Self;

    fn driver(&self) -> &Self {
        self
    }
}

impl<'a> GenericClient for Transaction<'a> {
    type Driver = Transaction<'a>;

    fn driver(&self) -> &Self::Driver {
        self
    }
}
