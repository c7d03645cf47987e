//! Writes requests that were denied access to the audit and to the log.

use std::time::Duration;

use longshore_db::audit::{self, Source};
use longshore_db::{Db, Error, Result};
use serde_json::json;
use tokio_util::sync::CancellationToken;
use tracing::warn;

use super::log_failed_tick;
use crate::api::{Denials, DeniedRequests};

/// Time between ticks. A first denied request of a client shows after this time.
const PERIOD: Duration = Duration::from_secs(1);

/// Writes denied requests until stopped, and then what is left.
pub(crate) async fn run(db: Db, denials: Denials, stop: CancellationToken) {
    loop {
        let is_last = stop.run_until_cancelled(tokio::time::sleep(PERIOD)).await.is_none();
        let due = denials.due(is_last);
        if !due.is_empty() {
            match db.in_time(write(&db, &due)).await {
                Ok(()) => {
                    denials.written(&due);
                    due.iter().for_each(log);
                }
                // They stay counted for the next tick.
                Err(error) => log_failed_tick("denials", &error),
            }
        }
        if is_last {
            return;
        }
    }
}

async fn write(db: &Db, due: &[DeniedRequests]) -> Result<()> {
    let mut client = db.client().await?;
    let tx = client.transaction().await.map_err(Error::from)?;
    for denied in due {
        let address = denied.address.to_network_text();
        let entry = audit::Entry {
            source: Source::Api,
            token_id: denied.token.as_ref().map(|(id, _)| *id),
            token: denied.token.as_ref().map(|(_, name)| name.as_str()),
            address: address.as_deref(),
            action: "request.denied",
            detail: json!({
                "code": denied.denial.code(),
                "reason": denied.denial.as_str(),
                "count": denied.count,
                "since": longshore_model::time::text(denied.since),
            }),
            ..audit::Entry::default()
        };
        audit::write(&tx, &entry).await?;
    }
    Ok(tx.commit().await?)
}

fn log(denied: &DeniedRequests) {
    warn!(
        event = "requests_denied",
        client.address = denied.address.to_network_text(),
        token.id = denied.token.as_ref().map(|(id, _)| *id),
        token.name = denied.token.as_ref().map(|(_, name)| name.as_str()),
        reason = denied.denial.as_str(),
        requests = denied.count,
        "requests were denied access"
    );
}
