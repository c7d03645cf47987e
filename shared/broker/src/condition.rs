//! What this process knows about the broker: whether it takes messages, and if not, why and since when.

use std::time::Duration;

use longshore_telemetry::waiting::{Fault, Faults};
use tokio::sync::watch;
use tracing::info;

use crate::PublishError;

/// The parts that report faults.
const CONNECTION: &str = "connection";
const ALARM: &str = "alarm";
const CONFIRMS: &str = "confirms";

/// How long a missing confirm is shown without another one. The relay sends again within a second and waits ten seconds
/// for the confirm, so a shorter time would end the fault while it lasts.
const CONFIRMS_VALID: Duration = Duration::from_secs(30);

/// The condition of the broker. It has no fault until something fails.
#[derive(Default)]
pub(crate) struct Condition {
    /// Whether the broker blocks publishers, because of a memory or disk alarm.
    is_blocked: watch::Sender<bool>,
    faults: Faults,
}

impl Condition {
    pub(crate) fn fault(&self) -> Option<Fault> {
        self.faults.current()
    }

    pub(crate) fn connected(&self) {
        self.faults.worked(CONNECTION);
    }

    /// Records that there is no connection. `cause` is for the log.
    pub(crate) fn disconnected(&self, cause: String) {
        self.faults.failed(CONNECTION, "RabbitMQ cannot be reached.", cause);
        // These were faults of the lost connection.
        self.faults.worked(CONFIRMS);
    }

    pub(crate) fn is_blocked(&self) -> bool {
        *self.is_blocked.borrow()
    }

    pub(crate) async fn wait_unblocked(&self) {
        let mut blocked = self.is_blocked.subscribe();
        // The sender lives in `self`, so waiting cannot fail.
        drop(blocked.wait_for(|blocked| !*blocked).await);
    }

    /// Records that the broker blocks publishers, with its reason, or that it does not.
    pub(crate) fn set_blocked(&self, reason: Option<&str>) {
        match reason {
            Some(reason) => {
                let error = "RabbitMQ takes no messages: its memory or its disk space is short.";
                self.faults.failed(ALARM, error, format!("connection blocked: {reason}"));
                // Messages that were sent before the broker said so.
                self.faults.worked(CONFIRMS);
            }
            None => self.faults.worked(ALARM),
        }
        let is_blocked = reason.is_some();
        let is_change = self.is_blocked.send_if_modified(|before| std::mem::replace(before, is_blocked) != is_blocked);
        if is_change {
            info!(event = "broker_alarm", blocked = is_blocked, "RabbitMQ began or ceased to block publishers");
        }
    }

    /// Records whether the broker confirmed the latest messages.
    pub(crate) fn record_confirms(&self, failure: Option<PublishError>) {
        let error = match failure {
            Some(PublishError::TimedOut) => "RabbitMQ did not confirm a message in time.",
            Some(PublishError::Refused) => "RabbitMQ refused a message, because its queue is full.",
            // The connection or the alarm is reported by its own part, and a missing queue is declared again.
            None | Some(PublishError::Disconnected | PublishError::Blocked | PublishError::Unroutable) => {
                return self.faults.worked(CONFIRMS);
            }
        };
        self.faults.failed_for(CONFIRMS_VALID, CONFIRMS, error, error);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn an_alarm_is_a_fault_until_it_ends() {
        let condition = Condition::default();
        assert_eq!(condition.fault(), None);
        condition.record_confirms(Some(PublishError::TimedOut));
        condition.set_blocked(Some("low on memory"));
        let fault = condition.fault().unwrap();
        assert!(fault.error.contains("memory") && fault.cause.ends_with("low on memory"), "{fault:?}");
        assert!(condition.is_blocked());
        condition.set_blocked(None);
        condition.wait_unblocked().await;
        assert_eq!(condition.fault(), None);
    }

    #[test]
    fn a_missing_confirm_is_a_fault_until_one_comes() {
        let condition = Condition::default();
        condition.record_confirms(Some(PublishError::Refused));
        assert!(condition.fault().unwrap().error.contains("full"));
        condition.record_confirms(None);
        assert_eq!(condition.fault(), None);
        condition.disconnected("refused".to_owned());
        assert_eq!(condition.fault().unwrap().cause, "refused");
        condition.connected();
        assert_eq!(condition.fault(), None);
    }
}
