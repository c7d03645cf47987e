//! The programs' and the host's own roles, with exactly the rights of `deploy/operations/rights.md`.
//!
//! The statements are read from that page, so a test fails if the page grants too little. Only names and passwords
//! differ, because roles belong to a whole server.

use std::process::Command;

use longshore_db::Address;
use longshore_local::Stack;
use longshore_local::app::program;
use longshore_local::rabbitmq::Permissions;
use longshore_model::Secret;

use crate::installed::workspace;

/// URLs with the rights that the page gives.
#[derive(Clone)]
pub struct Roles {
    /// `DATABASE_URL` of the role that owns the schema.
    pub owner_database_url: String,
    /// `DATABASE_URL` of schedulers and workers.
    pub database_url: String,
    /// `AMQP_URL` of schedulers and workers.
    pub amqp_url: String,
    /// `DATABASE_URL` of the labeling app.
    pub host_database_url: String,
    /// `AMQP_URL` of the labeling app.
    pub host_amqp_url: String,
}

/// Follows the page for one database and virtual host, whose administrators' URLs are given.
pub(crate) async fn prepare(stack: &Stack, name: &str, database_url: &str, amqp_url: &str) -> Roles {
    let page = std::fs::read_to_string(workspace().join("deploy/operations/rights.md")).expect("the page");
    let (owner, app, host) = (format!("{name}_owner"), format!("{name}_app"), format!("{name}_host"));
    let password = || format!("{:032x}", rand::random::<u128>());
    let (owner_password, app_password, host_password) = (password(), password(), password());
    let named = |text: String| {
        text.replace("longshore_owner", &owner)
            .replace("longshore_app", &app)
            .replace("label_studio", &host)
            .replace("owner-password", &owner_password)
            .replace("app-password", &app_password)
    };
    let statements: Vec<String> = blocks(&page, "sql").into_iter().map(named).collect();
    let [administrator, programs, app_grants] = statements.as_slice() else {
        panic!("three blocks of statements: {statements:?}")
    };
    run(database_url, administrator).await;
    run(database_url, &format!("CREATE ROLE {host} LOGIN PASSWORD '{host_password}'")).await;
    let owner_database_url = with_user(database_url, &owner, &owner_password);
    migrate(&owner_database_url).await;
    run(&owner_database_url, programs).await;
    run(&owner_database_url, app_grants).await;

    let permissions = permissions(&page);
    let [for_programs, for_host] = permissions.as_slice() else { panic!("two users: {permissions:?}") };
    for (user, password, permissions) in [(&app, &app_password, for_programs), (&host, &host_password, for_host)] {
        stack.rabbitmq.create_user(user, password).await.expect("a user");
        stack.rabbitmq.permit(name, user, permissions).await.expect("permissions");
    }
    Roles {
        owner_database_url,
        database_url: with_user(database_url, &app, &app_password),
        amqp_url: with_user(amqp_url, &app, &app_password),
        host_database_url: with_user(database_url, &host, &host_password),
        host_amqp_url: with_user(amqp_url, &host, &host_password),
    }
}

/// Follows the page of rights on Label Studio's tables, as their owner.
pub(crate) async fn grant_host_tables(database_url: &str, roles: &Roles) {
    let page = std::fs::read_to_string(workspace().join("deploy/label-studio/rights.md")).expect("the page");
    let app: reqwest::Url = roles.database_url.parse().expect("a URL");
    for statements in blocks(&page, "sql") {
        run(database_url, &statements.replace("longshore_app", app.username())).await;
    }
}

/// The fenced blocks of a language.
fn blocks(page: &str, language: &str) -> Vec<String> {
    let opening = format!("```{language}");
    let inside = page.split("```").collect::<Vec<_>>();
    let blocks = inside.iter().skip(1).step_by(2);
    blocks.filter_map(|block| format!("```{block}").strip_prefix(&opening).map(str::to_owned)).collect()
}

/// The permissions in the calls of `rabbitmqctl set_permissions`.
fn permissions(page: &str) -> Vec<Permissions> {
    let calls = page.lines().filter(|line| line.starts_with("rabbitmqctl set_permissions"));
    calls
        .map(|call| {
            let quoted: Vec<&str> = call.split('\'').skip(1).step_by(2).collect();
            let [configure, write, read] = quoted.as_slice() else { panic!("three expressions: {call}") };
            Permissions { configure: (*configure).to_owned(), write: (*write).to_owned(), read: (*read).to_owned() }
        })
        .collect()
}

/// Runs `longshore-scheduler migrate`.
async fn migrate(url: &str) {
    let mut command = Command::new(program("longshore-scheduler").expect("the programs are built"));
    command.arg("migrate").env_clear().env("DATABASE_URL", url);
    let output = tokio::task::spawn_blocking(move || command.output()).await.expect("no panic").expect("it starts");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

/// The address in a URL.
pub(crate) fn address(url: &str) -> Address {
    Address::parse(&Secret::new(url)).unwrap_or_else(|error| panic!("DATABASE_URL {error}"))
}

async fn run(url: &str, statements: &str) {
    let (client, connection) = address(url).connect().await.expect("the database answers");
    let driver = tokio::spawn(connection);
    client.batch_execute(statements).await.unwrap_or_else(|error| panic!("{error:?}: {statements}"));
    drop(client);
    driver.await.expect("no panic").expect("the connection ends");
}

/// The URL with another user.
fn with_user(url: &str, user: &str, password: &str) -> String {
    let mut url: reqwest::Url = url.parse().expect("a URL");
    url.set_username(user).expect("a URL that may have a user");
    url.set_password(Some(password)).expect("a URL that may have a password");
    url.into()
}
