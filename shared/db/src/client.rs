//! A database connection lent by the pool, and the trait for what statements run on.

use std::ops::{Deref, DerefMut};

use deadpool_postgres::{GenericClient as Driver, Transaction};
use tokio::sync::OwnedSemaphorePermit;
use tokio_postgres::types::{ToSql, Type};
use tokio_postgres::{Error, Row, Statement, ToStatement};

/// A database connection lent by the pool. Dropping it returns it to the pool, and its permit to its
/// [`Share`](crate::Share).
pub struct Client {
    // Fields are dropped in order: the connection is back in the pool before another caller of the share gets the
    // permit.
    lent: deadpool_postgres::Client,
    _permit: Option<OwnedSemaphorePermit>,
}

impl Client {
    pub(crate) fn new(lent: deadpool_postgres::Client, permit: Option<OwnedSemaphorePermit>) -> Self {
        Self { lent, _permit: permit }
    }

    /// Removes the connection from the pool permanently. For one that may be in the middle of a statement or
    /// transaction.
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
/// The driver's trait of this name is sealed, so [`Client`] cannot implement it. This trait forwards the methods that
/// this crate uses.
pub trait GenericClient: Sync {
    /// The driver's type.
    type Driver: Driver;

    /// The driver's object that gets the calls.
    fn driver(&self) -> &Self::Driver;

    /// Runs a statement, and returns the number of affected rows.
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

    /// Returns all rows of a statement.
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

    /// Returns the only row of a statement.
    ///
    /// # Errors
    /// There is not exactly one row.
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

    /// Returns the row of a statement, or `None`.
    ///
    /// # Errors
    /// There is more than one row.
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

    /// Like [`Self::prepare_cached`], with given types of the parameters.
    fn prepare_typed_cached<'a>(
        &'a self,
        statement: &'a str,
        types: &'a [Type],
    ) -> impl Future<Output = Result<Statement, Error>> + Send {
        self.driver().prepare_typed_cached(statement, types)
    }

    /// Runs statements without parameters.
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
