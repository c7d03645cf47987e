//! A host on the broker: it publishes messages and receives events.

use futures::StreamExt;
use lapin::options::{
    BasicConsumeOptions, BasicGetOptions, BasicPublishOptions, ConfirmSelectOptions, QueueBindOptions,
    QueueDeclareOptions, QueueDeleteOptions, QueuePurgeOptions,
};
use lapin::types::{AMQPValue, FieldTable};
use lapin::{BasicProperties, Channel, Connection, ConnectionProperties};
use longshore_local::rabbitmq::Queue;
use serde_json::Value;

/// The broker connection of a host.
pub struct AmqpHost {
    connection: Connection,
    channel: Channel,
}

/// Receives all messages of an exchange.
pub struct EventListener {
    messages: lapin::Consumer,
}

impl AmqpHost {
    pub async fn connect(url: &str) -> Self {
        let connection = Connection::connect(url, ConnectionProperties::default()).await.expect("the broker answers");
        let channel = connection.create_channel().await.expect("a channel");
        channel.confirm_select(ConfirmSelectOptions::default()).await.expect("confirms");
        Self { connection, channel }
    }

    /// Publishes a message, and returns after the broker's confirm.
    pub async fn publish(&self, exchange: &str, body: &[u8]) {
        let properties = BasicProperties::default();
        let sent =
            self.channel.basic_publish(exchange.into(), "any".into(), BasicPublishOptions::default(), body, properties);
        sent.await.expect("the broker accepts the message").await.expect("the broker confirms the message");
    }

    /// Publishes a message that names its user, which must be the user of the connection.
    pub async fn publish_as(&self, user: &str, exchange: &str, body: &[u8]) {
        let properties = BasicProperties::default().with_user_id(user.into());
        let sent =
            self.channel.basic_publish(exchange.into(), "any".into(), BasicPublishOptions::default(), body, properties);
        sent.await.expect("the broker accepts the message").await.expect("the broker confirms the message");
    }

    /// Publishes a message directly to a queue, and returns after the broker's confirm.
    pub async fn send(&self, queue: &str, body: &[u8]) {
        let properties = BasicProperties::default();
        let sent =
            self.channel.basic_publish("".into(), queue.into(), BasicPublishOptions::default(), body, properties);
        sent.await.expect("the broker accepts the message").await.expect("the broker confirms the message");
    }

    /// Deletes all messages of a queue.
    pub async fn purge(&self, queue: &str) {
        self.channel.queue_purge(queue.into(), QueuePurgeOptions::default()).await.expect("the queue exists");
    }

    /// Deletes a queue and declares it again, before a client can notice that it was missing.
    pub async fn replace(&self, queue: &Queue) {
        let mut arguments = FieldTable::default();
        for (key, value) in &queue.arguments {
            let value = match value {
                Value::Number(number) => AMQPValue::LongLongInt(number.as_i64().expect("a small number")),
                text => AMQPValue::LongString(text.as_str().expect("text or a number").into()),
            };
            arguments.insert(key.as_str().into(), value);
        }
        // Send both before the first is answered.
        let deleted = self.channel.queue_delete(queue.name.as_str().into(), QueueDeleteOptions::default());
        let declared =
            self.channel.queue_declare(queue.name.as_str().into(), QueueDeclareOptions::durable(), arguments);
        let (deleted, declared) = tokio::join!(deleted, declared);
        deleted.expect("the queue is deleted");
        declared.expect("the queue is declared again");
    }

    /// Receives all messages that are published to a topic exchange from now on.
    pub async fn listen(&self, exchange: &str) -> EventListener {
        let exclusive = QueueDeclareOptions { exclusive: true, ..QueueDeclareOptions::default() };
        let queue = self.channel.queue_declare("".into(), exclusive, FieldTable::default()).await.expect("a queue");
        let (name, all) = (queue.name().clone(), "#");
        self.channel
            .queue_bind(name.clone(), exchange.into(), all.into(), QueueBindOptions::default(), FieldTable::default())
            .await
            .expect("a binding");
        let options = BasicConsumeOptions { no_ack: true, ..BasicConsumeOptions::default() };
        let messages =
            self.channel.basic_consume(name, "".into(), options, FieldTable::default()).await.expect("a consumer");
        EventListener { messages }
    }

    /// The bodies of all messages in a queue. The messages stay in it.
    pub async fn waiting_in(&self, queue: &str) -> Vec<String> {
        // A separate channel: closing it requeues all of them.
        let channel = self.connection.create_channel().await.expect("a channel");
        let mut bodies = Vec::new();
        while let Some(message) = channel.basic_get(queue.into(), BasicGetOptions::default()).await.expect("a queue") {
            bodies.push(String::from_utf8_lossy(&message.data).into_owned());
        }
        channel.close(200, "seen".into()).await.expect("the channel closes");
        bodies
    }
}

impl EventListener {
    /// Waits for the next message and returns its routing key and body.
    pub async fn next(&mut self) -> (String, Value) {
        let message = self.messages.next().await.expect("the connection stays").expect("a message");
        let body = serde_json::from_slice(&message.data).expect("a JSON event");
        (message.routing_key.to_string(), body)
    }
}
