//! Reads a server's answers to the commands of one exchange.

use bytes::Bytes;
use longshore_model::FailureReason;
use redis::Value;

use super::failure::refusal_error;
use crate::{ErrorKind, Op, StorageError};

/// The answers to some commands, in order.
pub(super) struct Answers {
    op: Op,
    answers: std::vec::IntoIter<Value>,
}

impl Answers {
    pub(super) fn new(op: Op, answers: Vec<Value>) -> Self {
        Self { op, answers: answers.into_iter() }
    }

    /// Returns the next answer, or the error for a refusal.
    pub(super) fn next(&mut self) -> Result<Value, StorageError> {
        match self.answers.next() {
            Some(Value::ServerError(error)) => Err(refusal_error(self.op, &error)),
            Some(value) => Ok(value),
            None => Err(self.bad()),
        }
    }

    /// Checks that none of the remaining answers is a refusal.
    pub(super) fn all(mut self) -> Result<(), StorageError> {
        while self.answers.len() > 0 {
            self.next()?;
        }
        Ok(())
    }

    pub(super) fn bad(&self) -> StorageError {
        bad_answer(self.op)
    }

    pub(super) fn bytes(&mut self) -> Result<Bytes, StorageError> {
        match self.next()? {
            Value::BulkString(bytes) => Ok(bytes.into()),
            _ => Err(self.bad()),
        }
    }

    pub(super) fn number(&mut self) -> Result<u64, StorageError> {
        match self.next()? {
            Value::Int(number) => u64::try_from(number).map_err(|_| self.bad()),
            _ => Err(self.bad()),
        }
    }

    pub(super) fn text(&mut self) -> Result<String, StorageError> {
        match self.next()? {
            Value::SimpleString(text) => Ok(text),
            _ => Err(self.bad()),
        }
    }
}

/// The error for an answer that no Redis server gives.
pub(super) fn bad_answer(op: Op) -> StorageError {
    StorageError::new(op, ErrorKind::Invalid, FailureReason::BadAnswer)
}
