//! Another program on the broker: what a host sends and hears there.

use futures::StreamExt;
use lapin::options::{
    BasicConsumeOptions, BasicGetOptions, BasicPublishOptions, ConfirmSelectOptions, QueueBindOptions,
    QueueDeclareOptions, QueueDeleteOptions, QueuePurgeOptions,
};
use lapin::types::{AMQPValue, FieldTable};
use lapin::{BasicProperties, Channel, Connection, ConnectionProperties};
use longshore_local::rabbitmq::Queue;
use serde_json::Value;

/// A host's connection.
pub struct AmqpHost {
    connection: Connection,
    channel: Channel,
}

/// Everything published to an exchange since it was listened to.
pub struct Ear {
    messages: lapin::Consumer,
}

impl AmqpHost {
    pub async fn connect(url: &str) -> Self {
        let connection = Connection::connect(url, ConnectionProperties::default()).await.expect("the broker answers");
        let channel = connection.create_channel().await.expect("a channel");
        channel.confirm_select(ConfirmSelectOptions::default()).await.expect("confirms");
        Self { connection, channel }
    }

    /// Publishes, and returns once the broker has it.
    pub async fn publish(&self, exchange: &str, body: &[u8]) {
        let properties = BasicProperties::default();
        let sent =
            self.channel.basic_publish(exchange.into(), "any".into(), BasicPublishOptions::default(), body, properties);
        sent.await.expect("the broker takes it").await.expect("the broker has it");
    }

    /// Puts a message straight into a queue, and returns once the broker has it.
    pub async fn send(&self, queue: &str, body: &[u8]) {
        let properties = BasicProperties::default();
        let sent =
            self.channel.basic_publish("".into(), queue.into(), BasicPublishOptions::default(), body, properties);
        sent.await.expect("the broker takes it").await.expect("the broker has it");
    }

    /// Throws away what waits in a queue.
    pub async fn purge(&self, queue: &str) {
        self.channel.queue_purge(queue.into(), QueuePurgeOptions::default()).await.expect("the queue is there");
    }

    /// Deletes a queue and declares it again, before anybody can notice that it was gone.
    pub async fn replace(&self, queue: &Queue) {
        let mut arguments = FieldTable::default();
        for (key, value) in &queue.arguments {
            let value = match value {
                Value::Number(number) => AMQPValue::LongLongInt(number.as_i64().expect("a small number")),
                text => AMQPValue::LongString(text.as_str().expect("text or a number").into()),
            };
            arguments.insert(key.as_str().into(), value);
        }
        // Both on their way before the first is answered.
        let deleted = self.channel.queue_delete(queue.name.as_str().into(), QueueDeleteOptions::default());
        let declared =
            self.channel.queue_declare(queue.name.as_str().into(), QueueDeclareOptions::durable(), arguments);
        let (deleted, declared) = tokio::join!(deleted, declared);
        deleted.expect("the queue goes");
        declared.expect("the queue is there again");
    }

    /// Hears all that is published to a topic exchange from now on.
    pub async fn listen(&self, exchange: &str) -> Ear {
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
        Ear { messages }
    }

    /// What waits in a queue. The messages stay there.
    pub async fn waiting_in(&self, queue: &str) -> Vec<String> {
        // Closing a channel of their own gives all of them back at once.
        let channel = self.connection.create_channel().await.expect("a channel");
        let mut bodies = Vec::new();
        while let Some(message) = channel.basic_get(queue.into(), BasicGetOptions::default()).await.expect("a queue") {
            bodies.push(String::from_utf8_lossy(&message.data).into_owned());
        }
        channel.close(200, "seen".into()).await.expect("the channel closes");
        bodies
    }
}

impl Ear {
    /// The routing key and the body of the next message.
    pub async fn next(&mut self) -> (String, Value) {
        let message = self.messages.next().await.expect("the connection stays").expect("a message");
        let body = serde_json::from_slice(&message.data).expect("a JSON event");
        (message.routing_key.to_string(), body)
    }
}
