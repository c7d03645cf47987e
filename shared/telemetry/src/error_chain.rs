//! Formats an error with all its causes, for the log.

use std::error::Error;

/// The error and its causes on one line, outermost first.
///
/// The `Display` of our errors names only the operation, so a log line without the chain would lose the cause.
pub fn error_chain(error: &(dyn Error + 'static)) -> String {
    let mut line = error.to_string();
    for cause in causes(error).skip(1) {
        let cause = cause.to_string();
        // Some libraries repeat the cause in the text of the error.
        if !line.ends_with(&cause) {
            line.push_str(": ");
            line.push_str(&cause);
        }
    }
    line
}

/// The error and its causes, outermost first.
pub fn causes<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    std::iter::successors(Some(error), |error: &&'a (dyn Error + 'static)| Error::source(*error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("{0}")]
    struct Link(&'static str, #[source] Option<Box<Self>>);

    #[test]
    fn every_cause_is_named_once() {
        let refused = Link("connection refused", None);
        let repeated = Link("cannot connect: connection refused", Some(Box::new(refused)));
        let outermost = Link("claim failed", Some(Box::new(repeated)));
        assert_eq!(error_chain(&outermost), "claim failed: cannot connect: connection refused");
    }
}
