//! A PostgreSQL and a RabbitMQ with TLS, whose certificate is for `localhost` and of a private authority.

use longshore_local::guard::{Folder, Guard};
use longshore_local::postgres::Postgres;
use longshore_local::rabbitmq::RabbitMq;
use longshore_local::{RunDir, ports};

use crate::certificates::{Authority, Certificate};
use crate::servers;

/// The role that must show a certificate of the authority; its password is the same.
pub const CERTIFIED: &str = "certified";

/// Both servers, private to one test.
pub struct EncryptedServers {
    pub authority: Authority,
    /// A certificate for role [`CERTIFIED`].
    pub client: Certificate,
    pub run_dir: RunDir,
    postgres: Postgres,
    rabbitmq: RabbitMq,
    amqps_port: u16,
    _guard: Guard,
}

impl EncryptedServers {
    pub async fn start() -> Self {
        let run_dir = RunDir::open(servers::folder(&servers::unique("tls"))).expect("a folder");
        let guard = Guard::watch(&run_dir, Folder::Remove).expect("a guard");
        let authority = Authority::make(&run_dir.folder("redis").expect("a folder"));
        let (server, client) = (authority.issue("server", "DNS:localhost"), authority.issue("client", "DNS:client"));
        let broker_key = authority.issue("broker", "DNS:localhost");
        let amqps_port = ports::free().expect("a port");
        let settings = format!(
            "listeners.ssl.1 = 127.0.0.1:{amqps_port}\nssl_options.cacertfile = {}\nssl_options.certfile = {}\n\
             ssl_options.keyfile = {}\nssl_options.verify = verify_none\n",
            authority.file().display(),
            broker_key.chain.display(),
            broker_key.key.display()
        );
        let access = format!(
            "hostssl all {CERTIFIED} 127.0.0.1/32 scram-sha-256 clientcert=verify-ca\nhostnossl all {CERTIFIED} 127.0.0.1/32 reject\n"
        );
        let ca = authority.file();
        let files = [ca.as_path(), &server.chain, &server.key];
        let (postgres, rabbitmq) = tokio::join!(
            Postgres::start_encrypted(&run_dir, files, &access),
            RabbitMq::start_with(&run_dir, &settings)
        );
        let (postgres, rabbitmq) = (postgres.expect("PostgreSQL starts"), rabbitmq.expect("RabbitMQ starts"));
        Self { authority, client, run_dir, postgres, rabbitmq, amqps_port, _guard: guard }
    }

    /// `DATABASE_URL` without TLS, as an administrator.
    pub fn administrator(&self) -> &str {
        self.postgres.url()
    }

    /// `DATABASE_URL` with another host name for the same server, and these parameters.
    pub fn database_url(&self, host: &str, parameters: &str) -> String {
        format!("{}?{parameters}", with_host(self.postgres.url(), host))
    }

    /// `AMQP_URL` with TLS and another host name for the same server.
    pub fn amqp_url(&self, host: &str) -> String {
        let mut url: reqwest::Url = with_host(self.rabbitmq.url(), host).parse().expect("a URL");
        url.set_port(Some(self.amqps_port)).expect("a URL that may have a port");
        url.as_str().replacen("amqp://", "amqps://", 1)
    }
}

fn with_host(url: &str, host: &str) -> String {
    url.replacen("@127.0.0.1:", &format!("@{host}:"), 1)
}
