//! A bounded load test: one tenant sends the most expensive input, and another tenant does not notice.

mod answers;
mod attack;
mod caller;
mod connections;
mod objects;
mod tenant;
mod watch;

use std::sync::Arc;
use std::time::Duration;

use attack::Attack;
use longshore_local::App;
use longshore_rig::rig::{Rig, until_within};
use longshore_rig::usage::{allow_open_files, peak_mib};
use tenant::Tenant;
use tokio_util::sync::CancellationToken;

/// Peaks that processes with default settings stay below, in MiB.
const WORKER_PEAK_MIB: u64 = 256;
const SCHEDULER_PEAK_MIB: u64 = 512;

/// How long one sync may take before the test fails. Shorter fails on a busy machine; longer only delays a failure.
const PATIENCE: Duration = Duration::from_secs(900);

/// Answers (status and code) that every run must contain, to show that the attacks took place. Not `too_many_bytes`: a
/// fast machine completes each answer before the next request; module `answers` tests it with clients that do not read.
const REFUSALS: [(u16, &str); 5] = [
    (400, "validation_error"),
    (400, "too_many_uris"),
    (401, "unauthorized"),
    (429, "too_many_deletions"),
    (429, "too_many_streams"),
];

/// Goal: whatever a token with one project does, another tenant's syncs are exact, its requests are answered,
/// `/healthz` answers, and memory stays within its limits. Method: default settings, two schedulers and two workers;
/// the attacks one after another and then all at the same time, each with a fixed number of requests and objects;
/// meanwhile the other tenant syncs, and the health of every process is probed.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "takes minutes: make soak"]
async fn no_tenant_stops_another() {
    allow_open_files();
    let rig = Arc::new(Rig::with_defaults().schedulers(2).workers(2).start().await);
    let pids = rig.pids();
    let tenant = Tenant::new(Arc::clone(&rig)).await;
    let attack = Attack::prepare(Arc::clone(&rig)).await;

    let over = CancellationToken::new();
    let health = tokio::spawn(watch::health(Arc::clone(&rig), over.clone()));
    let served = tokio::spawn(tenant.sync_until(over.clone()));
    let attacked = tokio::spawn(async move {
        attack.run().await;
        over.cancel();
        attack
    });
    let (attack, tenant, health) = match tokio::try_join!(attacked, served, health) {
        Ok(parts) => parts,
        Err(error) => {
            rig.print_logs();
            panic!("a part of the test ended: {error}");
        }
    };

    let db = rig.database().await;
    until_within(PATIENCE, "every sync of the attacker ends too", || async {
        let live = db.query_one("SELECT count(*) FROM syncs WHERE finished_at IS NULL", &[]).await.expect("syncs");
        (live.get::<_, i64>(0) == 0).then_some(())
    })
    .await;
    println!("--- peak resident memory");
    let apps = || rig.schedulers.iter().chain(&rig.workers);
    for app in apps() {
        println!("{:<12} {:>5} MiB", app.process.name(), peak_mib(app));
    }
    println!("--- answers to the attacker\n{}", attack.caller.summary());
    println!("--- answers to the other tenant, {} syncs, {} connections reset", tenant.syncs, tenant.caller.resets());
    println!("{}", tenant.caller.summary());
    println!("--- health\n{health}");

    assert_eq!(rig.pids(), pids, "a process died");
    assert_eq!(tenant.caller.resets(), 0, "connections of the other tenant were reset");
    let below = |apps: &[App], bound| {
        for app in apps {
            assert!(peak_mib(app) < bound, "{}: {} MiB", app.process.name(), peak_mib(app));
        }
    };
    below(&rig.schedulers, SCHEDULER_PEAK_MIB);
    below(&rig.workers, WORKER_PEAK_MIB);
    for (status, code) in REFUSALS {
        assert!(attack.caller.count(status, code) > 0, "the attacker was never answered {status} {code}");
    }
    assert_eq!(attack.caller.count(500, "internal"), 0, "the attacker found a failure");
}
