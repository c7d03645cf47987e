//! A failover to a copy of the database that lacks the last commits of the old primary.

use std::net::SocketAddr;

use longshore_local::postgres::Postgres;
use longshore_local::standby::{self, BaseBackup};

use crate::proxy::{Direction, Mode, Proxy};
use crate::rig::{Rig, until};

/// The kind of copy that takes over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CopyKind {
    /// A streaming standby.
    Streaming,
    /// A base backup, started as the new primary.
    BaseBackup,
}

/// The copy that takes over from the rig's database server.
pub struct Successor {
    state: State,
}

enum State {
    /// A standby that streams through the proxy `link`.
    Following { standby: Box<Postgres>, link: Proxy },
    /// No base backup yet.
    Unprepared,
    /// A base backup that is not started.
    Backup(BaseBackup),
}

impl Successor {
    /// Prepares a copy of the rig's database. On return, a standby is streaming.
    pub async fn prepare(rig: &Rig, kind: CopyKind) -> Self {
        if kind == CopyKind::BaseBackup {
            return Self { state: State::Unprepared };
        }
        let (primary, run_dir) = (&rig.stack.postgres, rig.stack.run_dir());
        let backup = BaseBackup::take(primary, run_dir, "standby").await.expect("a base backup");
        let link = Proxy::start(address(primary.url())).await.expect("a proxy");
        let standby = backup.follow(run_dir, link.address()).await.expect("a standby");
        let db = rig.database().await;
        until("the standby streams", || async {
            let streams = "SELECT 1 FROM pg_stat_replication WHERE state = 'streaming'";
            db.query_opt(streams, &[]).await.expect("replication is shown")
        })
        .await;
        Self { state: State::Following { standby: Box::new(standby), link } }
    }

    /// Disconnects the copy: commits from now on are lost in the failover.
    pub async fn cut_off(&mut self, rig: &Rig) {
        match &self.state {
            State::Following { link, .. } => link.set(Mode::Stall(Direction::Both)).await,
            State::Unprepared => {
                let backup = BaseBackup::take(&rig.stack.postgres, rig.stack.run_dir(), "backup");
                self.state = State::Backup(backup.await.expect("a base backup"));
            }
            State::Backup(_) => panic!("the copy is already disconnected"),
        }
    }

    /// Kills the old primary and lets the copy take over behind the rig's proxies. New database connections of the test
    /// also go to the new primary, which lives as long as the returned value.
    pub async fn take_over(self, rig: &mut Rig) -> Postgres {
        rig.stack.postgres.kill().await.expect("the old primary is killed");
        let server = match self.state {
            State::Following { standby, .. } => {
                standby::promote(&standby).await.expect("the standby becomes the primary");
                *standby
            }
            State::Backup(backup) => backup.restore(rig.stack.run_dir()).await.expect("the backup becomes the primary"),
            State::Unprepared => panic!("the copy was not prepared"),
        };
        let name = rig.database_url.rsplit('/').next().expect("a URL with a database").to_owned();
        rig.database_url = server.url_of(&name).expect("a URL");
        for links in [&rig.worker_links, &rig.scheduler_links] {
            links.database.set_upstream(address(server.url()));
            links.database.cut();
        }
        server
    }
}

fn address(url: &str) -> SocketAddr {
    let url: reqwest::Url = url.parse().expect("a URL");
    SocketAddr::from(([127, 0, 0, 1], url.port().expect("a URL with a port")))
}

/// Resets the sequences of these tables, so that the database uses all IDs of lost rows again.
///
/// PostgreSQL logs a sequence up to 32 values ahead, so a copy skips a random number of the lost IDs. This is the worst
/// case: it skips none.
pub async fn reuse_lost_ids(db: &tokio_postgres::Client) {
    for table in ["projects", "storages", "syncs", "jobs", "tasks", "annotations", "quarantine"] {
        let reset = format!("SELECT setval('{table}_id_seq', (SELECT coalesce(max(id), 0) FROM {table}) + 1, false)");
        db.query_one(&reset, &[]).await.expect("a sequence is set");
    }
}

/// Rows that must never exist, each with a statement that counts them.
const ORPHAN_ROWS: [(&str, &str); 11] = [
    (
        "ledger rows of a storage that does not exist",
        "SELECT count(*) FROM objects WHERE storage_id NOT IN (SELECT id FROM storages)",
    ),
    (
        "ledger rows of a sync that does not exist",
        "SELECT count(*) FROM objects WHERE sync_id NOT IN (SELECT id FROM syncs)",
    ),
    (
        "ledger rows of a sync of another storage",
        "SELECT count(*) FROM objects o JOIN syncs s ON s.id = o.sync_id WHERE s.storage_id <> o.storage_id",
    ),
    (
        "tasks of a storage that does not exist",
        "SELECT count(*) FROM tasks WHERE storage_id NOT IN (SELECT id FROM storages)",
    ),
    (
        "tasks of a storage in another project",
        "SELECT count(*) FROM tasks t JOIN storages s ON s.id = t.storage_id WHERE s.project_id <> t.project_id",
    ),
    (
        "tasks without a ledger row",
        "SELECT count(*) FROM tasks t WHERE storage_id IS NOT NULL AND NOT EXISTS
             (SELECT FROM objects o WHERE o.storage_id = t.storage_id AND o.key = t.storage_key AND o.task_id = t.id)",
    ),
    (
        "ledger rows without their task",
        "SELECT count(*) FROM objects o WHERE task_id IS NOT NULL AND NOT EXISTS
             (SELECT FROM tasks t WHERE t.id = o.task_id AND t.storage_id = o.storage_id AND t.storage_key = o.key)",
    ),
    (
        "quarantine rows of a storage or a sync that does not exist",
        "SELECT count(*) FROM quarantine WHERE storage_id NOT IN (SELECT id FROM storages)
             OR sync_id NOT IN (SELECT id FROM syncs)",
    ),
    (
        "exports of a storage or a sync that does not exist",
        "SELECT count(*) FROM exports WHERE storage_id NOT IN (SELECT id FROM storages)
             OR sync_id NOT IN (SELECT id FROM syncs)",
    ),
    (
        "exports of a sync of another storage",
        "SELECT count(*) FROM exports e JOIN syncs s ON s.id = e.sync_id WHERE s.storage_id <> e.storage_id",
    ),
    (
        "syncs that ended with unfinished jobs",
        "SELECT count(*) FROM syncs s WHERE finished_at IS NOT NULL AND EXISTS
             (SELECT FROM jobs j WHERE j.sync_id = s.id AND j.finished_at IS NULL)",
    ),
];

/// Rows that refer to missing rows or contradict others; one sentence for each kind that exists.
pub async fn orphan_rows(db: &tokio_postgres::Client) -> Vec<String> {
    let mut found = Vec::new();
    for (what, query) in ORPHAN_ROWS {
        let count: i64 = db.query_one(query, &[]).await.expect("a count").get(0);
        if count > 0 {
            found.push(format!("{count} {what}"));
        }
    }
    found
}

/// Differences between the rows of an ended import and its bucket; one sentence each.
pub async fn import_faults(db: &tokio_postgres::Client, storage: i64, keys: i64, prefix: &str) -> Vec<String> {
    let row = db
        .query_one(
            "SELECT count(*), count(DISTINCT storage_key), count(*) FILTER (WHERE NOT starts_with(storage_key, $2)),
                    (SELECT count(*) FROM objects WHERE storage_id = $1)
               FROM tasks WHERE storage_id = $1",
            &[&storage, &prefix],
        )
        .await
        .expect("tasks");
    let (tasks, distinct, foreign, ledger): (i64, i64, i64, i64) = (row.get(0), row.get(1), row.get(2), row.get(3));
    if (tasks, distinct, foreign, ledger) == (keys, keys, 0, keys) {
        return Vec::new();
    }
    vec![format!(
        "storage {storage} ({prefix}): {keys} keys, {tasks} tasks of {distinct} keys, {foreign} of another bucket, \
         {ledger} ledger rows"
    )]
}
