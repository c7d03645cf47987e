//! Stops a process at a step of its work: with database locks of the test, with SIGSTOP, or by killing it.

use std::fs;

use nix::sys::signal::Signal;
use tokio_postgres::Client;

use crate::rig::{Rig, until};

/// Locks in the database. Processes that need them wait until the release.
#[must_use = "dropping releases the locks"]
pub struct DatabaseLocks {
    locks: Client,
    /// A second connection: inside a transaction, `pg_stat_activity` does not change.
    watch: Client,
}

impl DatabaseLocks {
    /// Waits until a process is blocked in a statement that starts with this text.
    pub async fn reached(&self, statement: &str) {
        self.reached_by(statement, 1).await;
    }

    /// Waits until this many processes are blocked in such a statement at the same time.
    pub async fn reached_by(&self, statement: &str, processes: i64) {
        until(&format!("{processes} processes are blocked in {statement:?}"), || async {
            let waiting = "SELECT count(*) FROM pg_stat_activity
                            WHERE datname = current_database() AND wait_event_type = 'Lock'
                              AND starts_with(query, $1)";
            let row = self.watch.query_one(waiting, &[&statement]).await.expect("the list of processes");
            (row.get::<_, i64>(0) >= processes).then_some(())
        })
        .await;
    }

    /// Releases the locks. They are released on return.
    pub async fn release(self) {
        self.locks.batch_execute("ROLLBACK").await.expect("the locks are released");
    }
}

impl Rig {
    /// Takes the locks of a statement: `LOCK TABLE …`, or `SELECT … FOR UPDATE`.
    pub async fn freeze(&self, statement: &str) -> DatabaseLocks {
        let (locks, watch) = (self.database().await, self.database().await);
        locks.batch_execute(&format!("BEGIN; {statement}")).await.expect("the locks are available");
        DatabaseLocks { locks, watch }
    }

    /// Waits until a worker has a lease on a job of the sync, and returns the worker's index.
    pub async fn leasing_worker(&self, sync: i64) -> usize {
        let db = self.database().await;
        until("a worker has a lease on the job", || async {
            let row = db
                .query_opt("SELECT leased_by FROM jobs WHERE sync_id = $1 AND state = 'running' LIMIT 1", &[&sync])
                .await
                .expect("jobs")?;
            let name: String = row.get(0);
            self.workers.iter().position(|worker| worker.process.pid().is_some_and(|pid| is_named(&name, pid)))
        })
        .await
    }

    /// Waits until exactly this many jobs of a sync have a lease.
    pub async fn until_leased(&self, sync: i64, jobs: i64) {
        let db = self.database().await;
        until(&format!("{jobs} jobs of sync {sync} have a lease"), || async {
            let leased = "SELECT count(lease_until) FROM jobs WHERE sync_id = $1";
            let row = db.query_one(leased, &[&sync]).await.expect("jobs");
            (row.get::<_, i64>(0) == jobs).then_some(())
        })
        .await;
    }

    /// Lets the leases on a sync's jobs expire now.
    pub async fn expire_leases(&self, sync: i64) {
        self.database()
            .await
            .execute(
                "UPDATE jobs SET lease_until = now() - interval '1 second' WHERE sync_id = $1 AND state = 'running'",
                &[&sync],
            )
            .await
            .expect("leases expire");
    }

    /// Starts a killed worker again, and lets the leases of all dead workers expire now.
    pub async fn restart_worker(&self, index: usize) {
        let alive: Vec<String> =
            self.workers.iter().filter_map(|worker| worker.process.pid()).map(|pid| format!("%-{pid}")).collect();
        self.database()
            .await
            .execute(
                "UPDATE jobs SET lease_until = now() - interval '1 second'
                  WHERE state = 'running' AND NOT leased_by LIKE ANY ($1)",
                &[&alive],
            )
            .await
            .expect("leases expire");
        let worker = &self.workers[index];
        worker.process.start().expect("a worker starts again");
        worker.until_ready().await.expect("a worker becomes ready again");
    }

    /// Stops a worker with SIGSTOP until [`Rig::wake_worker`].
    pub async fn stop_worker(&self, index: usize) {
        let process = &self.workers[index].process;
        process.signal(Signal::SIGSTOP).expect("a worker can be stopped");
        let stat = format!("/proc/{}/stat", process.pid().expect("it runs"));
        until("the worker is stopped", || async {
            let stat = fs::read_to_string(&stat).expect("a process has a state");
            // The state follows the name in parentheses.
            stat.rsplit(") ").next().is_some_and(|rest| rest.starts_with('T')).then_some(())
        })
        .await;
    }

    /// Lets a stopped worker continue.
    pub fn wake_worker(&self, index: usize) {
        self.workers[index].process.signal(Signal::SIGCONT).expect("a worker can be woken");
    }

    /// Waits until a worker has logged an event.
    pub async fn until_event(&self, index: usize, event: &str) {
        let (process, field) = (&self.workers[index].process, format!("\"event\":\"{event}\""));
        until(&format!("{} logs {event}", process.name()), || async { process.log().contains(&field).then_some(()) })
            .await;
    }

    /// Waits until a counter of a sync has reached a value.
    pub async fn until_counted(&self, sync: i64, counter: &str, value: i64) {
        let path = format!("/api/syncs/{sync}");
        until(&format!("counter {counter} of sync {sync} reaches {value}"), || async {
            let row = self.get(&path).await;
            (row["counts"][counter].as_i64().expect("a counter") >= value).then_some(())
        })
        .await;
    }
}

/// Whether a worker's name ends with this pid.
fn is_named(name: &str, pid: u32) -> bool {
    name.rsplit('-').next() == Some(pid.to_string().as_str())
}
