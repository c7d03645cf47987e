//! The command `check`: whether the programs can work with their broker. Changes nothing.
//!
//! AMQP has no question "may I?". So each right is tested with a call that `RabbitMQ` refuses in any case, but with
//! another code: 403 without the right, and 406 with it, because an argument is invalid. It checks rights first.

use std::time::Duration;

use lapin::options::{
    BasicConsumeOptions, BasicPublishOptions, ConfirmSelectOptions, ExchangeDeclareOptions, QueueDeclareOptions,
};
use lapin::types::{AMQPValue, FieldTable};
use lapin::{BasicProperties, Channel, Connection, ErrorKind};
use longshore_telemetry::Finding;
use tokio::time::timeout;

use crate::error::{BrokerError, failed};
use crate::topology::{self, EVENTS_EXCHANGE, Queue, REQUESTS_EXCHANGE};
use crate::{Address, handshake};

/// Time limit of one call. A broker answers within milliseconds; a person waits for all of them.
const PATIENCE: Duration = Duration::from_secs(10);

/// A routing key, expiration and argument that nothing has.
const NONE: &str = "longshore-check";

/// The broker's answer to one call.
#[derive(Debug, PartialEq, Eq)]
enum Answer {
    /// The call is allowed, or failed only by its invalid argument.
    Allowed,
    /// 403: the user lacks the right.
    Denied,
    /// 404: there is no such queue or exchange.
    Missing,
    /// 406: it exists with other arguments. The broker's text.
    Different(String),
}

/// Checks the connection, the arguments of existing queues and exchanges, and the rights of the user.
pub async fn check(address: &Address) -> Vec<Finding> {
    let mut findings = Vec::new();
    let checked = match handshake::open(address, "longshore-check").await {
        Ok(connection) => run(address, &connection, &mut findings).await,
        Err(error) => Err(error),
    };
    if let Err(error) = checked {
        findings.push(Finding::failed("broker", address.explain(&error)));
    }
    findings
}

async fn run(address: &Address, connection: &Connection, findings: &mut Vec<Finding>) -> Result<(), BrokerError> {
    let text = format!("RabbitMQ at {}, virtual host {:?}, user {:?}", address.host(), address.vhost(), address.user());
    findings.push(Finding::ok("broker", text));
    findings.push(match (address.is_plaintext(), address.tls.is_some()) {
        (true, _) => Finding::warning(
            "network",
            "RabbitMQ: NOT encrypted; everyone on the network can read the password: use amqps://",
        ),
        (false, true) => Finding::ok("network", "RabbitMQ: TLS, certificate and host name checked"),
        (false, false) => Finding::ok("network", "RabbitMQ: not encrypted, on this machine"),
    });
    let probe = Probe(connection);
    topology_findings(&probe, findings).await?;
    rights(address, &probe, findings).await?;
    // The broker forgets the connection either way.
    timeout(PATIENCE, connection.close(200, "checked".into())).await.ok();
    Ok(())
}

/// Compares existing queues and exchanges with those of this program.
async fn topology_findings(probe: &Probe<'_>, findings: &mut Vec<Finding>) -> Result<(), BrokerError> {
    let (mut missing, mut different) = (Vec::new(), Vec::new());
    for (name, kind) in topology::EXCHANGES {
        match probe.exchange(name, kind).await? {
            Answer::Missing => missing.push(*name),
            Answer::Different(text) => different.push(text),
            Answer::Allowed | Answer::Denied => {}
        }
    }
    for queue in Queue::ALL {
        match probe.queue(*queue).await? {
            Answer::Missing => missing.push(queue.as_str()),
            Answer::Different(text) => different.push(text),
            Answer::Allowed | Answer::Denied => {}
        }
    }
    findings.push(if !different.is_empty() {
        let text = format!(
            "these exist with other arguments: {}; delete them if they are empty (messages of jobs are sent again), or use \
             another virtual host",
            different.join("; ")
        );
        Finding::failed("queues", text)
    } else if !missing.is_empty() {
        Finding::ok("queues", format!("the first program that starts declares {}", missing.join(", ")))
    } else {
        Finding::ok("queues", "all queues and exchanges exist with the right arguments")
    });
    Ok(())
}

async fn rights(address: &Address, probe: &Probe<'_>, findings: &mut Vec<Finding>) -> Result<(), BrokerError> {
    let mut lacking = Vec::new();
    for queue in Queue::ALL {
        if probe.configures(*queue).await? == Answer::Denied {
            lacking.push(format!("configure on {}", queue.as_str()));
        }
        if probe.reads(*queue).await? == Answer::Denied {
            lacking.push(format!("read on {}", queue.as_str()));
        }
    }
    for (exchange, shown) in [("", "amq.default"), (EVENTS_EXCHANGE, EVENTS_EXCHANGE)] {
        if probe.writes(exchange).await? == Answer::Denied {
            lacking.push(format!("write on {shown}"));
        }
    }
    if probe.binds().await? == Answer::Denied {
        lacking.push(format!("write on queue and read on exchange {REQUESTS_EXCHANGE}"));
    }
    findings.push(if lacking.is_empty() {
        Finding::ok("permissions", "the user may declare, publish and consume")
    } else {
        let text = format!(
            "user {:?} lacks {}; run the `rabbitmqctl set_permissions` of deploy/operations/rights.md",
            address.user(),
            lacking.join("; ")
        );
        Finding::failed("permissions", text)
    });
    Ok(())
}

/// Sends calls, each on a new channel: a refusal closes its channel.
struct Probe<'a>(&'a Connection);

impl Probe<'_> {
    /// Whether the exchange exists like this. Declares nothing.
    async fn exchange(&self, name: &str, kind: &lapin::ExchangeKind) -> Result<Answer, BrokerError> {
        for options in [ExchangeDeclareOptions { passive: true, ..topology::DURABLE }, topology::DURABLE] {
            let channel = self.channel().await?;
            let declared = channel.exchange_declare(name.into(), kind.clone(), options, FieldTable::default());
            let answer = in_time("declare an exchange", declared).await?;
            if answer != Answer::Allowed {
                return Ok(answer);
            }
        }
        Ok(Answer::Allowed)
    }

    /// Whether the queue exists like this. Declares nothing.
    async fn queue(&self, queue: Queue) -> Result<Answer, BrokerError> {
        for (options, arguments) in [
            (QueueDeclareOptions::durable().passive(), FieldTable::default()),
            (QueueDeclareOptions::durable(), queue.arguments()),
        ] {
            let channel = self.channel().await?;
            let declared = channel.queue_declare(queue.as_str().into(), options, arguments);
            let answer = in_time("declare a queue", declared).await?;
            if answer != Answer::Allowed {
                return Ok(answer);
            }
        }
        Ok(Answer::Allowed)
    }

    /// Whether the user may declare the queue, and dead-letter from it: by an invalid length.
    async fn configures(&self, queue: Queue) -> Result<Answer, BrokerError> {
        let mut arguments = queue.arguments();
        arguments.insert("x-max-length".into(), AMQPValue::LongString(NONE.into()));
        let channel = self.channel().await?;
        in_time(
            "declare a queue",
            channel.queue_declare(queue.as_str().into(), QueueDeclareOptions::durable(), arguments),
        )
        .await
    }

    /// Whether the user may consume from the queue: by an invalid priority.
    async fn reads(&self, queue: Queue) -> Result<Answer, BrokerError> {
        let mut arguments = FieldTable::default();
        arguments.insert("x-priority".into(), AMQPValue::LongString(NONE.into()));
        let channel = self.channel().await?;
        let consumed =
            channel.basic_consume(queue.as_str().into(), "".into(), BasicConsumeOptions::default(), arguments);
        in_time("consume", consumed).await
    }

    /// Whether the user may publish to the exchange: by an invalid expiration.
    async fn writes(&self, exchange: &str) -> Result<Answer, BrokerError> {
        let channel = self.channel().await?;
        let published = async {
            channel.confirm_select(ConfirmSelectOptions::default()).await?;
            let properties = BasicProperties::default().with_expiration(NONE.into());
            let options = BasicPublishOptions::default();
            channel.basic_publish(exchange.into(), NONE.into(), options, b"", properties).await?.await
        };
        in_time("publish", published).await
    }

    /// Whether the user may bind the queue of requests: by removing a binding that does not exist.
    async fn binds(&self) -> Result<Answer, BrokerError> {
        let channel = self.channel().await?;
        let (queue, exchange) = (Queue::Requests.as_str().into(), REQUESTS_EXCHANGE.into());
        in_time("bind a queue", channel.queue_unbind(queue, exchange, NONE.into(), FieldTable::default())).await
    }

    async fn channel(&self) -> Result<Channel, BrokerError> {
        timeout(PATIENCE, self.0.create_channel())
            .await
            .map_err(|_| BrokerError::TimedOut { op: "open a channel" })?
            .map_err(failed("open a channel"))
    }
}

/// Waits for the answer to a call.
async fn in_time<T>(
    op: &'static str,
    call: impl Future<Output = Result<T, lapin::Error>>,
) -> Result<Answer, BrokerError> {
    let error = match timeout(PATIENCE, call).await {
        Ok(Ok(_)) => return Ok(Answer::Allowed),
        Ok(Err(error)) => error,
        Err(_) => return Err(BrokerError::TimedOut { op }),
    };
    let ErrorKind::ProtocolError(refusal) = error.kind() else { return Err(failed(op)(error)) };
    match refusal.get_id() {
        403 => Ok(Answer::Denied),
        404 => Ok(Answer::Missing),
        406 if refusal.get_message().as_str().contains("inequivalent") => {
            Ok(Answer::Different(refusal.get_message().as_str().to_owned()))
        }
        406 => Ok(Answer::Allowed),
        _ => Err(failed(op)(error)),
    }
}
