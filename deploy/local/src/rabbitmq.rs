//! A private RabbitMQ, and the management API of a private or existing one.

mod management;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use nix::sys::signal::Signal;
use percent_encoding::{NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use reqwest::{Method, Url};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use self::management::Management;
use crate::process::Process;
use crate::run_dir::{RunDir, write_private};

/// The first start takes 10 s on an idle machine and took 46 s on two cores during a build.
const PATIENCE: Duration = Duration::from_secs(240);
const USER: &str = "longshore";

/// A private broker on the loopback address, or an existing broker.
pub struct RabbitMq {
    url: Url,
    management: Management,
    own: Option<OwnProcesses>,
}

struct OwnProcesses {
    node: Node,
    broker: Process,
    /// Erlang's name server. RabbitMQ would start one and leave it running, so we start it first.
    epmd: Process,
}

/// The folder and the ports of an Erlang node.
struct Node {
    folder: PathBuf,
    amqp: u16,
    erlang: u16,
    epmd: u16,
}

/// A queue as the management API shows it. Its counts are about a second old.
#[derive(Debug, Deserialize)]
pub struct Queue {
    pub name: String,
    #[serde(default)]
    pub messages: u64,
    #[serde(default)]
    pub arguments: serde_json::Map<String, Value>,
}

/// Regular expressions for the names that a user may use, as in `rabbitmqctl set_permissions`.
#[derive(Debug, Clone, Serialize)]
pub struct Permissions {
    pub configure: String,
    pub write: String,
    pub read: String,
}

impl RabbitMq {
    /// Starts a broker on the data in `run_dir` and returns when clients can connect.
    pub async fn start(run_dir: &RunDir) -> Result<Self> {
        Self::start_with(run_dir, "").await
    }

    /// Starts a broker with more lines in its configuration.
    pub async fn start_with(run_dir: &RunDir, settings: &str) -> Result<Self> {
        let folder = run_dir.folder("rabbitmq")?;
        let (amqp, management) = (run_dir.port("rabbitmq")?, run_dir.port("rabbitmq-management")?);
        let (erlang, epmd) = (run_dir.port("rabbitmq-erlang")?, run_dir.port("epmd")?);
        let password = run_dir.secret("rabbitmq")?;
        configure(&folder, management, &password, settings)?;

        let mut names = Command::new("epmd");
        names.args(["-address", "127.0.0.1", "-port", &epmd.to_string()]);
        let epmd_process = Process::spawn(run_dir, "epmd", names)?;
        let node = Node { folder, amqp, erlang, epmd };
        let broker = Process::spawn(run_dir, "rabbitmq", node.command("rabbitmq-server"))?;

        let rabbitmq = Self {
            url: Url::parse(&format!("amqp://{USER}:{password}@127.0.0.1:{amqp}/%2f"))?,
            management: Management {
                client: management::client()?,
                url: Url::parse(&format!("http://127.0.0.1:{management}"))?,
                user: USER.to_owned(),
                password,
            },
            own: Some(OwnProcesses { node, broker, epmd: epmd_process }),
        };
        rabbitmq.until_it_answers().await?;
        Ok(rabbitmq)
    }

    /// Uses an existing broker. Without `management`, its management API is expected on port 15672.
    pub fn existing(url: &str, management: Option<&str>) -> Result<Self> {
        let url = Url::parse(url).context("read the broker's URL")?;
        let decoded = |text| percent_decode_str(text).decode_utf8().map(|text| text.into_owned());
        let management = Management {
            client: management::client()?,
            url: match management {
                Some(url) => Url::parse(url).context("read the management API's URL")?,
                None => management::default_url(&url)?,
            },
            user: decoded(url.username())?,
            password: decoded(url.password().unwrap_or_default())?,
        };
        Ok(Self { url, management, own: None })
    }

    pub fn url(&self) -> &str {
        self.url.as_str()
    }

    /// URL of the management API. User and password are those of [`RabbitMq::url`].
    pub fn management_url(&self) -> String {
        self.management.url.to_string()
    }

    pub fn pid(&self) -> Option<u32> {
        self.own.as_ref()?.broker.pid()
    }

    /// Creates a virtual host unless it exists, and returns its URL.
    pub async fn create_vhost(&self, name: &str) -> Result<String> {
        let host = encoded(name);
        let user = encoded(&self.management.user);
        let everything = json!({"configure": ".*", "write": ".*", "read": ".*"});
        self.management.call(Method::PUT, &format!("vhosts/{host}"), Some(&json!({}))).await?;
        self.management.call(Method::PUT, &format!("permissions/{host}/{user}"), Some(&everything)).await?;
        let mut url = self.url.clone();
        url.set_path(&host);
        Ok(url.into())
    }

    /// Creates a user without permissions, or changes its password.
    pub async fn create_user(&self, name: &str, password: &str) -> Result<()> {
        let user = json!({"password": password, "tags": ""});
        self.management.call(Method::PUT, &format!("users/{}", encoded(name)), Some(&user)).await.map(drop)
    }

    /// Gives a user these permissions in a virtual host, and takes all others there.
    pub async fn permit(&self, vhost: &str, user: &str, permissions: &Permissions) -> Result<()> {
        let path = format!("permissions/{}/{}", encoded(vhost), encoded(user));
        self.management.call(Method::PUT, &path, Some(&serde_json::to_value(permissions)?)).await.map(drop)
    }

    /// The queues of a virtual host (`/` is the one in [`RabbitMq::url`]).
    pub async fn queues(&self, vhost: &str) -> Result<Vec<Queue>> {
        let answer = self.management.call(Method::GET, &format!("queues/{}", encoded(vhost)), None).await?;
        answer.json().await.context("read the list of queues")
    }

    /// Creates a durable classic queue without arguments.
    pub async fn create_queue(&self, vhost: &str, queue: &str) -> Result<()> {
        let path = format!("queues/{}/{}", encoded(vhost), encoded(queue));
        self.management.call(Method::PUT, &path, Some(&json!({"durable": true}))).await.map(drop)
    }

    /// Deletes a queue and its messages.
    pub async fn delete_queue(&self, vhost: &str, queue: &str) -> Result<()> {
        let path = format!("queues/{}/{}", encoded(vhost), encoded(queue));
        self.management.call(Method::DELETE, &path, None).await.map(drop)
    }

    /// Raises the memory alarm of the broker, or ends it. Under an alarm it blocks connections that publish.
    pub async fn set_memory_alarm(&self, run_dir: &RunDir, alarm: bool) -> Result<()> {
        let own = self.own.as_ref().context("Longshore did not start this RabbitMQ and does not change it")?;
        // The share of the machine's memory from which on the broker has too little; 0.4 is the default.
        let share = if alarm { "0.000001" } else { "0.4" };
        let mut command = own.node.command("rabbitmqctl");
        command.args(["set_vm_memory_high_watermark", share]);
        let control = Process::spawn(run_dir, "rabbitmqctl", command)?;
        let status = control.wait().await;
        ensure!(status.success(), "rabbitmqctl failed ({status}):\n{}", control.log());
        Ok(())
    }

    pub async fn stop(&self) -> Result<()> {
        self.broker()?.stop(Signal::SIGTERM).await.map(drop)
    }

    /// SIGKILL.
    pub async fn kill(&self) -> Result<()> {
        self.broker()?.kill().await
    }

    /// Stops the broker if it runs, and starts it again on the same ports and data.
    pub async fn restart(&self) -> Result<()> {
        self.stop().await?;
        self.broker()?.start()?;
        self.until_it_answers().await
    }

    fn broker(&self) -> Result<&Process> {
        self.own.as_ref().map(|own| &own.broker).context("Longshore did not start this RabbitMQ and does not stop it")
    }

    pub(crate) fn keep(&self) {
        if let Some(own) = &self.own {
            own.broker.keep();
            own.epmd.keep();
        }
    }

    /// Asks the broker whether its AMQP port is open: the management API is ready a little before AMQP.
    async fn until_it_answers(&self) -> Result<()> {
        let check = format!("health/checks/port-listener/{}", self.url.port().context("the broker has a port")?);
        let answers = || async { self.management.call(Method::GET, &check, None).await.is_ok() };
        self.broker()?.until_ready(PATIENCE, answers).await
    }
}

fn encoded(name: &str) -> String {
    utf8_percent_encode(name, NON_ALPHANUMERIC).to_string()
}

fn configure(folder: &Path, management: u16, password: &str, more: &str) -> Result<()> {
    let settings = format!(
        "management.tcp.ip = 127.0.0.1\n\
         management.tcp.port = {management}\n\
         default_user = {USER}\n\
         default_pass = {password}\n\
         log.console = true\n\
         log.file = false\n\
         collect_statistics_interval = 1000\n{more}"
    );
    // Erlang creates its cookie file in this folder, but not the folder itself.
    fs::create_dir_all(folder.join("home")).context("make RabbitMQ's home")?;
    write_private(&folder.join("rabbitmq.conf"), &settings)?;
    write_private(&folder.join("enabled_plugins"), "[rabbitmq_management].\n")
}

impl Node {
    /// A command of RabbitMQ for this node. Sets every path and port, so that it does not read or write files of a
    /// system-wide RabbitMQ.
    fn command(&self, program: &str) -> Command {
        // Debian's programs in the PATH are wrappers that switch to the system's user and folders.
        let debian = Path::new("/usr/lib/rabbitmq/bin").join(program);
        let mut command = Command::new(if debian.is_file() { debian } else { program.into() });
        command
            .envs([("RABBITMQ_NODENAME", "longshore@localhost"), ("RABBITMQ_NODE_IP_ADDRESS", "127.0.0.1")])
            .envs([("ERL_EPMD_ADDRESS", "127.0.0.1"), ("ERL_EPMD_PORT", &self.epmd.to_string())])
            .envs([("RABBITMQ_NODE_PORT", self.amqp.to_string()), ("RABBITMQ_DIST_PORT", self.erlang.to_string())])
            // The start script then calls `exec`, so that the pid is the server's.
            .env("RUNNING_UNDER_SYSTEMD", "1")
            // `+sbwt none`: by default, idle Erlang schedulers spin and take processor time from other processes.
            .env("RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS", "-kernel inet_dist_use_interface {127,0,0,1} +sbwt none");
        let paths = [
            ("HOME", "home"),
            ("ERL_CRASH_DUMP", "crash.dump"),
            ("RABBITMQ_MNESIA_BASE", "data"),
            ("RABBITMQ_LOG_BASE", "log"),
            ("RABBITMQ_CONFIG_FILE", "rabbitmq.conf"),
            ("RABBITMQ_ADVANCED_CONFIG_FILE", "advanced.config"),
            ("RABBITMQ_CONF_ENV_FILE", "rabbitmq-env.conf"),
            ("RABBITMQ_GENERATED_CONFIG_DIR", "generated"),
            ("RABBITMQ_ENABLED_PLUGINS_FILE", "enabled_plugins"),
            ("RABBITMQ_FEATURE_FLAGS_FILE", "feature_flags"),
            ("RABBITMQ_PID_FILE", "pid"),
        ];
        for (variable, name) in paths {
            command.env(variable, self.folder.join(name));
        }
        command
    }
}
