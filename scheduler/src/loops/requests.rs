//! Consumes the sync requests that hosts send over AMQP.
//!
//! An invalid request becomes a dead letter, and the log has the reason. There are no replies, because no caller waits.

use longshore_telemetry::error_chain;
use std::time::Duration;

use longshore_broker::{Broker, Queue};
use longshore_db::audit::{self, Source};
use longshore_db::host::{self, HostKind};
use longshore_db::lifecycle::{EnqueuedSync, RequestedBy};
use longshore_db::{Db, Error, Result, storages};
use longshore_model::SyncRequest;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

/// Unacknowledged requests per consumer. They are handled one after the other, so more would only wait here.
const PREFETCH: u16 = 16;

/// Pause before the next try while the database is unavailable. The request is not acknowledged meanwhile.
const PAUSE: Duration = Duration::from_millis(500);

/// Enqueues requested syncs until stopped.
pub(crate) async fn run(db: Db, host: HostKind, broker: Broker, stop: CancellationToken) {
    let mut consumer = broker.consumer(Queue::Requests, PREFETCH, stop.clone());
    while let Some((request, delivery)) = consumer.next_message::<SyncRequest>().await {
        loop {
            match db.in_time(enqueue_request(&db, host, &request, delivery.user())).await {
                Ok(enqueued) => {
                    info!(
                        event = "sync_requested",
                        sync.id = enqueued.sync_id,
                        storage.id = request.storage,
                        created = enqueued.created,
                        "sync requested over AMQP"
                    );
                    delivery.ack().await;
                    break;
                }
                // A conflict with another transaction, such as a deadlock, is no fault of the request, too.
                Err(error) if error.outage().is_some() => {
                    if stop.run_until_cancelled(sleep(PAUSE)).await.is_none() {
                        delivery.requeue().await;
                        return;
                    }
                }
                Err(error) => {
                    warn!(
                        event = "sync_request_rejected",
                        storage.id = request.storage,
                        error = error_chain(&error),
                        "invalid sync request, dead-lettered"
                    );
                    delivery.reject().await;
                    break;
                }
            }
        }
    }
}

/// Enqueues a sync, and writes an audit entry if it is new.
async fn enqueue_request(db: &Db, host: HostKind, request: &SyncRequest, user: Option<&str>) -> Result<EnqueuedSync> {
    let mut client = db.client().await?;
    let tx = client.transaction().await?;
    let storage = storages::get(&tx, request.storage).await?;
    if storage.kind != request.kind || storage.direction != request.direction {
        return Err(Error::NotFound(format!("{} {} storage {}", request.kind, request.direction, request.storage)));
    }
    let key = request.idempotency_key.as_deref();
    let by = RequestedBy::Amqp;
    let enqueued = host::enqueue(&tx, host, request.storage, by, key, request.options.as_ref()).await?;
    if enqueued.created {
        let entry = audit::Entry {
            source: Source::Amqp,
            actor: user,
            action: "sync.start",
            project_id: Some(storage.project_id),
            storage_id: Some(storage.id),
            sync_id: Some(enqueued.sync_id),
            ..audit::Entry::default()
        };
        audit::write(&tx, &entry).await?;
    }
    tx.commit().await?;
    db.wake_relay();
    Ok(enqueued)
}
