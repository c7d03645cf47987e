//! Loops of the schedulers are woken when there is work. Their timers only find what no wake-up announced.

use std::future::poll_fn;

use longshore_rig::amqp::AmqpHost;
use longshore_rig::rig::{PATIENCE, Rig};
use serde_json::json;
use tokio::sync::mpsc;
use tokio::time::timeout;
use tokio_postgres::{AsyncMessage, Client, NoTls};

const RELAY: &str = "longshore_outbox";
const REPORTER: &str = "longshore_syncs";

/// A connection that receives what wakes the loops.
struct Notifications {
    channels: mpsc::UnboundedReceiver<String>,
    _client: Client,
}

impl Notifications {
    async fn on(rig: &Rig) -> Self {
        let connected = tokio_postgres::connect(&rig.database_url, NoTls).await;
        let (client, mut connection) = connected.expect("the database answers");
        let (sender, channels) = mpsc::unbounded_channel();
        tokio::spawn(async move {
            while let Some(Ok(message)) = poll_fn(|context| connection.poll_message(context)).await {
                if let AsyncMessage::Notification(notification) = message {
                    sender.send(notification.channel().to_owned()).ok();
                }
            }
        });
        client.batch_execute(&format!("LISTEN {RELAY}; LISTEN {REPORTER}")).await.expect("it listens");
        Self { channels, _client: client }
    }

    async fn until(&mut self, channel: &str) {
        let received = async { while self.channels.recv().await.expect("the connection lives") != channel {} };
        timeout(PATIENCE, received).await.unwrap_or_else(|_| panic!("no notification on {channel}"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_relay_is_woken_by_every_kind_of_sync_request() {
    // Neither a worker nor the rescuer notifies.
    let rig = Rig::with().workers(0).env("LONGSHORE_RESCUE_SECONDS", "3600").start().await;
    let project = rig.project().await;
    let mut storages = Vec::new();
    for bucket in ["http", "amqp", "sql"] {
        rig.s3.put(bucket, "a.png", "image");
        storages.push(rig.import_storage(project, bucket, json!({"use_blob_urls": true})).await);
    }
    let mut notifications = Notifications::on(&rig).await;
    let first = rig.sync(&storages[0]).await;
    notifications.until(RELAY).await;
    rig.post(&format!("/api/syncs/{first}/cancel"), json!({})).await;
    notifications.until(REPORTER).await;
    rig.post(&format!("/api/syncs/{first}/retry"), json!({})).await;
    notifications.until(RELAY).await;
    let request = json!({"version": 1, "kind": "s3", "direction": "import", "storage": storages[1].id});
    AmqpHost::connect(&rig.amqp_url).await.publish("longshore.requests", request.to_string().as_bytes()).await;
    notifications.until(RELAY).await;
    let enqueue = "SELECT longshore.enqueue_sync('s3', 'import', $1)";
    rig.database().await.query_one(enqueue, &[&storages[2].id]).await.expect("a sync");
    notifications.until(RELAY).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_reporter_is_woken_when_a_sync_begins_and_when_it_ends() {
    let rig = Rig::start().await;
    rig.s3.put("images", "a.png", "image");
    let storage = rig.import_storage(rig.project().await, "images", json!({"use_blob_urls": true})).await;
    let listing = rig.s3.hold(longshore_local::s3::Op::List);
    let mut notifications = Notifications::on(&rig).await;
    let sync = rig.sync(&storage).await;
    listing.reached().await;
    notifications.until(REPORTER).await;
    listing.release();
    notifications.until(REPORTER).await;
    rig.ended(sync).await;
}
