//! Options of a rig, and its start.

use longshore_local::guard::{Folder, Guard};
use longshore_local::s3::{self, S3Server};
use longshore_local::{RunDir, Settings};

use super::{
    ACCESS_KEY_ID, FRESH_ACCESS_KEY_ID, Links, Rig, SECRET_ACCESS_KEY, SESSION_TOKEN, TEMPORARY_ACCESS_KEY_ID, proxy,
};
use crate::label_studio::{self, Version};
use crate::proxy::Proxy;
use crate::{rights, servers};

/// Options of a rig.
#[derive(Debug, Clone)]
pub struct RigOptions {
    workers: usize,
    schedulers: usize,
    own_servers: bool,
    label_studio: Option<Version>,
    heartbeat_seconds: Option<u16>,
    environment: Vec<(&'static str, String)>,
}

impl Rig {
    /// Options with short timeouts, to which a test adds its own.
    pub fn with() -> RigOptions {
        let environment = vec![
            ("LONGSHORE_LEASE_SECONDS", "3".to_owned()),
            ("LONGSHORE_QUANTUM_SECONDS", "1".to_owned()),
            ("LONGSHORE_RESCUE_SECONDS", "0.3".to_owned()),
            // Off, because splitting sends extra LIST requests, which tests count. Tests about splitting switch it on.
            ("LONGSHORE_SPLIT_AFTER_PAGES", "0".to_owned()),
            ("LONGSHORE_LOG", "info,longshore_worker=debug,longshore_scheduler=debug".to_owned()),
        ];
        // Two missed heartbeats end a silent broker connection.
        RigOptions {
            workers: 1,
            schedulers: 1,
            own_servers: false,
            label_studio: None,
            heartbeat_seconds: Some(2),
            environment,
        }
    }

    /// Options with the default settings of the programs.
    pub fn with_defaults() -> RigOptions {
        RigOptions { heartbeat_seconds: None, environment: Vec::new(), ..Self::with() }
    }
}

impl RigOptions {
    #[must_use]
    pub fn workers(mut self, workers: usize) -> Self {
        self.workers = workers;
        self
    }

    #[must_use]
    pub fn schedulers(mut self, schedulers: usize) -> Self {
        self.schedulers = schedulers;
        self
    }

    /// Private servers, which the test may kill.
    #[must_use]
    pub fn own_servers(mut self) -> Self {
        self.own_servers = true;
        self
    }

    /// Beside a Label Studio, whose tables are in the same database. Start it with [`LabelStudio::start`](crate::label_studio::LabelStudio::start).
    #[must_use]
    pub fn label_studio(self) -> Self {
        self.label_studio_version(Version::Newest)
    }

    /// The same with this version of Label Studio.
    #[must_use]
    pub fn label_studio_version(mut self, version: Version) -> Self {
        self.label_studio = Some(version);
        // Tests that start Label Studio replace the URL; to the others it does not matter.
        self.env("LONGSHORE_HOST", "label-studio").env("LONGSHORE_LABEL_STUDIO_URL", "http://127.0.0.1:1")
    }

    /// Sets an environment variable of schedulers and workers.
    #[must_use]
    pub fn env(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.environment.push((name, value.into()));
        self
    }

    /// Starts all servers and processes, and returns when every process is ready.
    pub async fn start(self) -> Rig {
        let stack = if self.own_servers { servers::own().await } else { servers::shared().await };
        let name = servers::unique("rig");
        let database_url = stack.postgres.create_database(&name).await.expect("a database");
        if let Some(version) = self.label_studio {
            label_studio::fill(&stack, &database_url, version).await.expect("the tables of Label Studio");
        }
        let amqp_url = stack.rabbitmq.create_vhost(&name).await.expect("a virtual host");
        let roles = rights::prepare(&stack, &name, &database_url, &amqp_url).await;
        if self.label_studio.is_some() {
            rights::grant_host_tables(&database_url, &roles).await;
        }
        let key = |id| s3::AccessKey::new(id, SECRET_ACCESS_KEY);
        let temporary = key(TEMPORARY_ACCESS_KEY_ID).with_session_token(SESSION_TOKEN);
        let access_keys = vec![key(ACCESS_KEY_ID), key(FRESH_ACCESS_KEY_ID), temporary];
        let options = s3::Options { access_keys, ..s3::Options::default() };
        let s3 = S3Server::start(options).await.expect("an S3 server");
        let links = || async { Links { database: proxy(&database_url).await, broker: proxy(&amqp_url).await } };
        let mut settings = Settings::of(&stack).expect("settings");
        settings.token = format!("rig-token-{name}");
        let run_dir = RunDir::open(servers::folder(&name)).expect("a folder");
        let mut rig = Rig {
            _guard: Guard::watch(&run_dir, Folder::Remove).expect("a guard"),
            storage_link: Proxy::start(s3.address()).await.expect("a proxy"),
            worker_links: links().await,
            scheduler_links: links().await,
            schedulers: Vec::new(),
            workers: Vec::new(),
            run_dir,
            heartbeat_seconds: self.heartbeat_seconds,
            environment: self.environment,
            http: reqwest::Client::builder().no_proxy().build().expect("an HTTP client"),
            vhost: name,
            stack,
            s3,
            database_url,
            amqp_url,
            roles,
            settings,
        };
        for _ in 0..self.schedulers {
            rig.add_scheduler().await;
        }
        for _ in 0..self.workers {
            rig.add_worker().await;
        }
        rig
    }
}
