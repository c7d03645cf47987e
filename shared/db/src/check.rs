//! The command `check`: whether the programs can work with their database. Changes nothing.

use std::time::Duration;

use longshore_model::Secret;
use longshore_telemetry::Finding;

use crate::host::{HostKind, label_studio};
use crate::migrate::{self, SchemaState};
use crate::pool::Check;
use crate::{Address, Client, Db, GenericClient as _, Result, Sealer, rights, storages, workers};

/// Storages per query when keys are checked.
const PAGE: i64 = 100;

/// The storages that a finding names at most. More would not fit on a line, and the fix is the same.
const NAMED: usize = 5;

/// The program that the check is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Migrates {
    /// A scheduler: it migrates the schema when it starts.
    AtStart,
    /// A worker.
    Never,
}

/// Checks that the host of this kind is one that Longshore can work for. The native host always is.
pub async fn check_host(address: &Address, kind: HostKind, patience: Duration) -> Vec<Finding> {
    if kind == HostKind::Native {
        return Vec::new();
    }
    let found = async {
        let db = Db::open(address, "longshore-check", 1, patience, Check::Always)?;
        db.in_time(async { label_studio::check(&db.client().await?, address.role()).await }).await
    };
    found.await.unwrap_or_else(|error| vec![Finding::failed("host", address.explain(&error))])
}

/// Checks the connection, the schema, the rights of the role, and that the keys open every stored secret.
pub async fn check(address: &Address, keys: &Secret, patience: Duration, migrates: Migrates) -> Vec<Finding> {
    let mut findings = Vec::new();
    let sealer = match Sealer::parse(keys) {
        Ok(sealer) => Some(sealer),
        Err(error) => {
            findings.push(Finding::failed("keys", error.to_string()));
            None
        }
    };
    if let Err(error) = run(address, sealer.as_ref(), patience, migrates, &mut findings).await {
        findings.push(Finding::failed("database", address.explain(&error)));
    }
    findings
}

async fn run(
    address: &Address,
    sealer: Option<&Sealer>,
    patience: Duration,
    migrates: Migrates,
    findings: &mut Vec<Finding>,
) -> Result<()> {
    let db = Db::open(address, "longshore-check", 1, patience, Check::Always)?;
    let client = db.client().await?;
    db.in_time(connection(address, &client, findings)).await?;
    if db.in_time(schema(&client, migrates, findings)).await? == SchemaState::Current {
        db.in_time(role_rights(address, &client, findings)).await?;
        if let Some(sealer) = sealer {
            keys(&db, &client, sealer, findings).await?;
        }
    }
    Ok(())
}

async fn connection(address: &Address, client: &Client, findings: &mut Vec<Finding>) -> Result<()> {
    workers::can_write(client).await?;
    let row = client.query_one("SELECT current_setting('server_version'), current_user::text", &[]).await?;
    let (version, role): (&str, &str) = (row.get(0), row.get(1));
    let version = version.split_whitespace().next().unwrap_or_default();
    let text = format!("PostgreSQL {version} at {}, database {:?}, role {role:?}", address.hosts(), address.database());
    findings.push(Finding::ok("database", text));
    findings.push(match address.is_plaintext() {
        false => Finding::ok("network", format!("Postgres: {}", address.encryption())),
        true => Finding::warning(
            "network",
            "Postgres: NOT encrypted; everyone on the network can read passwords and tasks: set sslmode=verify-full",
        ),
    });
    Ok(())
}

async fn schema(client: &Client, migrates: Migrates, findings: &mut Vec<Finding>) -> Result<SchemaState> {
    let state = migrate::state(client).await?;
    let can_create = "SELECT has_database_privilege(current_database(), 'CREATE')";
    let owns = "SELECT pg_has_role(nspowner, 'USAGE') FROM pg_namespace WHERE nspname = 'longshore'";
    findings.push(match (&state, migrates) {
        (SchemaState::Current, _) => Finding::ok("schema", "up to date"),
        (SchemaState::Missing, Migrates::Never) => {
            Finding::failed("schema", "schema \"longshore\" does not exist; start a scheduler first")
        }
        (SchemaState::Missing, Migrates::AtStart) => match client.query_one(can_create, &[]).await?.get(0) {
            true => Finding::ok("schema", "does not exist yet; a scheduler creates it when it starts"),
            false => Finding::failed(
                "schema",
                "schema \"longshore\" does not exist, and this role may not create it; run the statements of \
                 deploy/operations/rights.md",
            ),
        },
        (SchemaState::Behind(pending), Migrates::Never) => {
            Finding::failed("schema", format!("lacks {}; start a scheduler of this release first", pending.join(", ")))
        }
        (SchemaState::Behind(pending), Migrates::AtStart) => match client.query_one(owns, &[]).await?.get(0) {
            true => Finding::ok("schema", format!("a scheduler applies {} when it starts", pending.join(", "))),
            false => Finding::failed(
                "schema",
                format!(
                    "lacks {}, and this role does not own it; run `longshore-scheduler migrate` as its owner",
                    pending.join(", ")
                ),
            ),
        },
    });
    Ok(state)
}

async fn role_rights(address: &Address, client: &Client, findings: &mut Vec<Finding>) -> Result<()> {
    let missing = rights::missing(client).await?;
    let is_superuser: bool =
        client.query_one("SELECT rolsuper FROM pg_roles WHERE rolname = current_user", &[]).await?.get(0);
    findings.push(if !missing.is_empty() {
        let text = format!(
            "the role lacks {}; run what `longshore-scheduler grants {}` prints, as the owner of the schema",
            missing.join("; "),
            rights::quoted(address.role())
        );
        Finding::failed("rights", text)
    } else if is_superuser {
        Finding::warning(
            "rights",
            "the role is a superuser, which Longshore does not need; see deploy/operations/rights.md",
        )
    } else {
        Finding::ok("rights", "the role has all rights on the tables that it needs")
    });
    Ok(())
}

/// Opens every stored secret and forgets it.
async fn keys(db: &Db, client: &Client, sealer: &Sealer, findings: &mut Vec<Finding>) -> Result<()> {
    let (mut opened, mut unopened, mut last) = (0_usize, Vec::new(), 0);
    loop {
        let page = db.in_time(storages::secrets_after(client, last, PAGE)).await?;
        let Some((id, _)) = page.last() else { break };
        last = *id;
        for (id, sealed) in page {
            match sealer.open(&storages::seal_name(id), &sealed) {
                Ok(_) => opened += 1,
                Err(_) => unopened.push(format!("{id} (key {:?})", sealed.key_id)),
            }
        }
    }
    findings.push(if unopened.is_empty() {
        Finding::ok("keys", format!("LONGSHORE_SECRET_KEYS open the secrets of all storages ({opened})"))
    } else {
        let more = unopened.len().saturating_sub(NAMED);
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        unopened.truncate(NAMED);
        let text = format!(
            "LONGSHORE_SECRET_KEYS do not open the secrets of storages {}{more}; add the key that sealed them, or enter \
             their secrets again",
            unopened.join(", ")
        );
        Finding::failed("keys", text)
    });
    Ok(())
}
