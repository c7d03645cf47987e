//! The least rights: what a host's role may do, what the programs' role may not, and upgrades.

use longshore_db::host::label_studio;
use longshore_db::rights;
use longshore_rig::installed::workspace;
use longshore_rig::rig::{Rig, StorageHandle};
use serde_json::json;
use tokio_postgres::{Client, NoTls};

use crate::programs::{run, scheduler};

async fn connect(url: &str) -> Client {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await.expect("the database answers");
    tokio::spawn(connection);
    client
}

/// The SQLSTATE of a statement that must fail.
async fn refusal(client: &Client, statement: &str) -> String {
    let error = client.batch_execute(statement).await.expect_err(statement);
    error.code().unwrap_or_else(|| panic!("{statement}: {error}")).code().to_owned()
}

async fn images(rig: &Rig) -> StorageHandle {
    let project = rig.project().await;
    rig.s3.put("pets", "1.png", "");
    rig.import_storage(project, "pets", json!({"use_blob_urls": true})).await
}

/// The name of the host's role.
fn host_role(rig: &Rig) -> String {
    let url: reqwest::Url = rig.roles.host_database_url.parse().expect("a URL");
    url.username().to_owned()
}

/// The same database as another role.
fn as_role(rig: &Rig, role: &str, password: &str) -> String {
    let mut url: reqwest::Url = rig.database_url.parse().expect("a URL");
    url.set_username(role).expect("a URL that may have a user");
    url.set_password(Some(password)).expect("a URL that may have a password");
    url.into()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_starts_syncs_by_one_function_and_may_do_nothing_else() {
    let rig = Rig::start().await;
    let storage = images(&rig).await;
    let host = connect(&rig.roles.host_database_url).await;

    let call = format!("SELECT longshore.enqueue_sync('s3', 'import', {})", storage.id);
    let sync: i64 = host.query_one(&call, &[]).await.expect("the host may start syncs").get(0);
    assert_eq!(rig.ended(sync).await["status"], "completed");

    let db = rig.database().await;
    let tables = db.query("SELECT tablename::text FROM pg_tables WHERE schemaname = 'longshore'", &[]).await;
    let tables = tables.expect("tables");
    assert!(tables.len() > 10);
    for table in tables.iter().map(|row| row.get::<_, &str>(0)) {
        assert_eq!(refusal(&host, &format!("SELECT FROM longshore.{table}")).await, "42501", "{table}");
    }
    for statement in [
        "SELECT longshore.enqueue(1, 'sql', NULL, NULL)",
        "CREATE TABLE longshore.own ()",
        "ALTER FUNCTION longshore.enqueue_sync(text, text, bigint, text, jsonb) SECURITY INVOKER",
    ] {
        assert_eq!(refusal(&host, statement).await, "42501", "{statement}");
    }
}

/// Goal: a caller cannot make the function run what the caller wrote. Method: look at how each function with its
/// owner's rights is defined, and call it with a path on which own tables and operators come first.
#[tokio::test(flavor = "multi_thread")]
async fn a_function_with_its_owners_rights_does_not_search_the_callers_path() {
    let rig = Rig::start().await;
    let storage = images(&rig).await;
    let db = rig.database().await;
    let definers = "SELECT proname::text, proconfig, has_function_privilege('public', oid, 'EXECUTE'), prosrc
                      FROM pg_proc WHERE prosecdef AND pronamespace = 'longshore'::regnamespace ORDER BY proname";
    let definers = db.query(definers, &[]).await.expect("functions");
    let names: Vec<&str> = definers.iter().map(|row| row.get(0)).collect();
    assert_eq!(names, ["audit_sql_sync", "enqueue_sync", "refuse_revoked_token", "remember_revoked_token"]);
    for row in &definers {
        assert_eq!(row.get::<_, Vec<&str>>(1), ["search_path=pg_catalog, pg_temp"]);
        assert!(!row.get::<_, bool>(2), "not everyone may execute it");
        assert!(!row.get::<_, &str>(3).contains("EXECUTE "), "no statement is made from text");
    }

    // Not temporary ones alone: Postgres never searches their schema for functions and operators.
    let (host_role, schema) = (host_role(&rig), format!("{}_own", rig.vhost));
    db.batch_execute(&format!("CREATE SCHEMA {schema} AUTHORIZATION {host_role}")).await.expect("a schema");
    let host = connect(&rig.roles.host_database_url).await;
    let own = format!(
        "GRANT USAGE ON SCHEMA {schema} TO PUBLIC;
         CREATE TEMP TABLE storages (id bigint, kind text, direction text);
         CREATE TEMP TABLE syncs (id bigint);
         CREATE FUNCTION {schema}.equal(text, text) RETURNS boolean LANGUAGE plpgsql AS
             'BEGIN RAISE EXCEPTION USING ERRCODE = ''MINE1''; END';
         CREATE OPERATOR {schema}.= (FUNCTION = {schema}.equal, LEFTARG = text, RIGHTARG = text);
         SET search_path = pg_temp, {schema}, longshore, pg_catalog"
    );
    host.batch_execute(&own).await.expect("the host may create objects of its own");
    let call = format!("SELECT longshore.enqueue_sync('s3', 'import', {})", storage.id);
    let sync: i64 = host.query_one(&call, &[]).await.expect("the host's own objects are not used").get(0);
    assert_eq!(rig.ended(sync).await["status"], "completed");

    // Without the fixed path the same call runs what the host wrote, so this test would notice.
    let reset = "ALTER FUNCTION longshore.enqueue_sync(text, text, bigint, text, jsonb) RESET search_path";
    db.batch_execute(reset).await.expect("altered");
    assert_eq!(refusal(&host, &call).await, "MINE1");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_programs_run_with_a_role_that_may_create_and_change_nothing_of_the_schema() {
    let mut rig = Rig::start().await;
    let storage = images(&rig).await;
    let db = rig.database().await;
    let (_, role) = rig.roles.database_url.split_once("://").expect("a URL");
    let (role, _) = role.split_once(':').expect("a role");
    let rights = "SELECT rolsuper, rolcreatedb, rolcreaterole,
                         has_database_privilege(rolname, current_database(), 'CREATE'),
                         has_schema_privilege(rolname, 'longshore', 'CREATE'),
                         pg_has_role(rolname, nspowner, 'MEMBER')
                    FROM pg_roles, pg_namespace WHERE rolname = $1 AND nspname = 'longshore'";
    let row = db.query_one(rights, &[&role]).await.expect("the role");
    assert_eq!((0..6).map(|column| row.get::<_, bool>(column)).collect::<Vec<_>>(), [false; 6]);

    // Both programs start again on the migrated schema, and work.
    rig.add_scheduler().await;
    rig.add_worker().await;
    assert_eq!(rig.sync_to_end(&storage).await["status"], "completed");
}

#[tokio::test(flavor = "multi_thread")]
async fn one_role_that_may_create_a_schema_is_enough_for_a_small_deployment() {
    let rig = Rig::with().schedulers(0).workers(0).start().await;
    let (database, role) = (rig.database_name(), format!("{}_small", rig.vhost));
    let admin = rig.database().await;
    let prepare = format!(
        "DROP SCHEMA longshore CASCADE; CREATE ROLE {role} LOGIN PASSWORD 'small'; GRANT CREATE ON DATABASE {database} TO {role}"
    );
    admin.batch_execute(&prepare).await.expect("an empty database and a role");
    let url = as_role(&rig, &role, "small");
    let migrated = run(scheduler(&["migrate"]).env("DATABASE_URL", &url)).await;
    assert_eq!(migrated.code, 0, "{}", migrated.text);
    let owner = "SELECT nspowner::regrole::text FROM pg_namespace WHERE nspname = 'longshore'";
    assert_eq!(admin.query_one(owner, &[]).await.expect("the schema").get::<_, &str>(0), role);

    // Again, without the right: nothing is to do.
    admin.batch_execute(&format!("REVOKE CREATE ON DATABASE {database} FROM {role}")).await.expect("revoked");
    assert_eq!(run(scheduler(&["migrate"]).env("DATABASE_URL", &url)).await.code, 0);
}

/// Goal: hosts that started syncs before keep that right, and no one else gets it. Method: a schema as the first
/// migrations left it, and three roles: with rights on the tables, with rights on the columns alone, and without.
#[tokio::test(flavor = "multi_thread")]
async fn an_upgrade_keeps_the_right_of_hosts_that_started_syncs_by_rights_on_tables() {
    let rig = Rig::with().schedulers(0).workers(0).start().await;
    let db = rig.database().await;
    let history = "SELECT version, name::text, applied_on::text, checksum::text FROM refinery_schema_history
                    WHERE version <= 4 ORDER BY version";
    let history = db.query(history, &[]).await.expect("the applied migrations");
    assert_eq!(history.len(), 4);
    let [host, columns, stranger] = ["old", "columns", "stranger"].map(|name| format!("{}_{name}", rig.vhost));
    db.batch_execute(&format!(
        "DROP SCHEMA longshore CASCADE; CREATE SCHEMA longshore; SET search_path = longshore;
         CREATE TABLE refinery_schema_history (version int4 PRIMARY KEY, name varchar(255), applied_on varchar(255),
                                               checksum varchar(255));
         CREATE ROLE {host} LOGIN PASSWORD 'old'; CREATE ROLE {columns} LOGIN PASSWORD 'old';
         CREATE ROLE {stranger} LOGIN PASSWORD 'old'"
    ))
    .await
    .expect("an empty schema");
    for row in &history {
        let (version, name): (i32, &str) = (row.get(0), row.get(1));
        let file = workspace().join(format!("shared/db/migrations/V{version}__{name}.sql"));
        db.batch_execute(&std::fs::read_to_string(file).expect("the migration")).await.expect("it applies");
        let values: [&(dyn tokio_postgres::types::ToSql + Sync); 4] =
            [&version, &name, &row.get::<_, &str>(2), &row.get::<_, &str>(3)];
        db.execute("INSERT INTO refinery_schema_history VALUES ($1, $2, $3, $4)", &values).await.expect("recorded");
    }
    db.batch_execute(&format!(
        "GRANT USAGE ON SCHEMA longshore TO {host}, {columns}, {stranger};
         GRANT SELECT, UPDATE ON storages TO {host};
         GRANT SELECT, INSERT ON syncs, jobs, outbox TO {host};
         GRANT SELECT, UPDATE (status, last_sync_job, meta) ON storages TO {columns};
         GRANT SELECT, INSERT (storage_id, requested_by, idempotency_key, options, storage_version) ON syncs TO {columns};
         GRANT SELECT, INSERT (sync_id, kind) ON jobs TO {columns};
         GRANT SELECT, INSERT (job_id) ON outbox TO {columns};
         GRANT SELECT ON storages TO {stranger};
         INSERT INTO projects (title) VALUES ('P');
         INSERT INTO storages (project_id, kind, direction, settings) VALUES (1, 's3', 'import', '{{}}')"
    ))
    .await
    .expect("hosts and a stranger of the previous release");

    let call = "SELECT longshore.enqueue_sync('s3', 'import', 1)";
    let hosts = [connect(&as_role(&rig, &host, "old")).await, connect(&as_role(&rig, &columns, "old")).await];
    let stranger = connect(&as_role(&rig, &stranger, "old")).await;
    let check = async |when: &str| {
        for host in &hosts {
            host.batch_execute(&format!("BEGIN; {call}; ROLLBACK")).await.expect(when);
        }
        assert_eq!(refusal(&stranger, call).await, "42501", "{when}");
    };
    check("before the upgrade").await;
    let migrated = run(scheduler(&["migrate"]).env("DATABASE_URL", &rig.database_url)).await;
    assert_eq!(migrated.code, 0, "{}", migrated.text);
    check("after the upgrade").await;
}

#[test]
fn the_pages_of_rights_have_the_statements_that_the_program_prints() {
    for (page, statements) in [
        ("deploy/operations/rights.md", rights::grants("longshore_app")),
        ("deploy/operations/rights.md", rights::host_grants("label_studio")),
        ("deploy/label-studio/rights.md", label_studio::rights::grants("longshore_app")),
    ] {
        let text = std::fs::read_to_string(workspace().join(page)).expect("the page");
        let unindented = |text: &str| text.lines().map(|line| format!("{}\n", line.trim_start())).collect::<String>();
        assert!(
            unindented(&text).contains(&unindented(&statements)),
            "put these statements into {page}:\n{statements}"
        );
    }
}
