//! Redis servers for one test: a real one with a password, on TCP and TLS, and a scripted one.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use longshore_local::guard::{Folder, Guard};
use longshore_local::{Process, RunDir, ports};
use redis::aio::MultiplexedConnection;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};

use crate::certificates::Authority;
use crate::servers;

/// The password of the default user.
pub const PASSWORD: &str = "rig redis:password@/b7e1";

/// Redis takes 0.2 s to start on an idle machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// A running server. It keeps its data across a restart.
pub struct RedisServer {
    pub port: u16,
    /// The port for TLS.
    pub tls_port: u16,
    folder: PathBuf,
    process: Process,
    _guard: Guard,
}

impl RedisServer {
    pub async fn start() -> Self {
        let run_dir = RunDir::open(servers::folder(&servers::unique("redis"))).expect("a folder");
        let guard = Guard::watch(&run_dir, Folder::Remove).expect("a guard");
        let folder = run_dir.folder("redis").expect("a folder");
        let authority = Authority::make(&folder);
        authority.issue("server", "DNS:localhost,IP:127.0.0.1");
        let (port, tls_port) = (ports::free().expect("a port"), ports::free().expect("a port"));
        let config = format!(
            "bind 127.0.0.1\nport {port}\ntls-port {tls_port}\ntls-cert-file \"{0}/server.pem\"\n\
             tls-key-file \"{0}/server.key\"\ntls-ca-cert-file \"{0}/ca.pem\"\ntls-auth-clients no\n\
             requirepass \"{PASSWORD}\"\ndir \"{0}\"\nappendonly yes\nappendfsync no\nsave \"\"\n",
            folder.display()
        );
        fs::write(folder.join("redis.conf"), config).expect("a file");
        let mut command = Command::new("redis-server");
        command.arg(folder.join("redis.conf"));
        let process = Process::spawn(&run_dir, "redis", command).expect("a server");
        let server = Self { port, tls_port, folder, process, _guard: guard };
        server.until_it_answers().await;
        server
    }

    /// The certificate of the authority that signed the server's certificate.
    pub fn authority(&self) -> PathBuf {
        self.folder.join("ca.pem")
    }

    /// A new connection to a database of the server.
    pub async fn db(&self, db: u16) -> MultiplexedConnection {
        self.connect(db).await.expect("the server answers")
    }

    async fn connect(&self, db: u16) -> redis::RedisResult<MultiplexedConnection> {
        let settings = redis::RedisConnectionInfo::default().set_db(db.into()).set_password(PASSWORD);
        let address = redis::ConnectionAddr::Tcp("127.0.0.1".to_owned(), self.port);
        let info = redis::IntoConnectionInfo::into_connection_info(address)?.set_redis_settings(settings);
        redis::Client::open(info)?.get_multiplexed_async_connection().await
    }

    /// Sends SIGKILL and waits until the server has ended.
    pub async fn kill(&self) {
        self.process.kill().await.expect("the server ends");
    }

    /// Starts the killed server again with its data.
    pub async fn restart(&self) {
        self.process.start().expect("the server starts");
        self.until_it_answers().await;
    }

    async fn until_it_answers(&self) {
        let answers = || async {
            let Ok(mut db) = self.connect(0).await else { return false };
            redis::cmd("PING").exec_async(&mut db).await.is_ok()
        };
        self.process.until_ready(PATIENCE, answers).await.expect("the server answers");
    }
}

/// A server with scripted listings. They may repeat keys, as a real server does while it resizes its hash table.
pub struct ScriptedRedis {
    pub port: u16,
    script: Arc<Script>,
}

/// Bytes without end that a hostile server sends as the answer to a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Attack {
    /// A string with the largest possible length.
    Text,
    /// A list of numbers.
    List,
    /// Lists within lists.
    Nested,
    /// A line.
    Line,
}

impl Attack {
    pub const ALL: &'static [Self] = &[Self::Text, Self::List, Self::Nested, Self::Line];

    /// The first bytes, and those that follow again and again.
    fn bytes(self) -> (&'static str, &'static str) {
        match self {
            Self::Text => ("$9223372036854775000\r\n", "xxxxxxxxxxxxxxxx"),
            Self::List => ("*9223372036854775000\r\n", ":1\r\n:1\r\n:1\r\n:1\r\n"),
            Self::Nested => ("*1\r\n", "*1\r\n*1\r\n*1\r\n*1\r\n"),
            Self::Line => ("+", "xxxxxxxxxxxxxxxx"),
        }
    }
}

#[derive(Default)]
struct Script {
    pages: Vec<Vec<String>>,
    attack: Mutex<Option<(String, Attack)>>,
    sent: AtomicU64,
}

impl ScriptedRedis {
    /// Starts a server that answers each `SCAN` with one of these pages. Each key holds its own task.
    pub async fn start(pages: Vec<Vec<String>>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let script = Arc::new(Script { pages, ..Script::default() });
        let shared = Arc::clone(&script);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let script = Arc::clone(&shared);
                // A client that disconnects ends only its connection.
                tokio::spawn(async move { answer_all(stream, &script).await.ok() });
            }
        });
        Self { port, script }
    }

    /// Answers a command with an attack from now on.
    pub fn attack(&self, command: &str, attack: Attack) {
        *self.script.attack.lock().expect("nothing panics while holding it") = Some((command.to_owned(), attack));
    }

    /// Bytes of attacks that clients, or the buffers on the way, have taken.
    pub fn sent(&self) -> u64 {
        self.script.sent.load(Ordering::Relaxed)
    }
}

impl Script {
    fn attack_on(&self, command: &str) -> Option<Attack> {
        let attack = self.attack.lock().expect("nothing panics while holding it");
        attack.as_ref().filter(|(name, _)| name == command).map(|(_, attack)| *attack)
    }

    /// Sends an attack until the client closes the connection.
    async fn send(&self, attack: Attack, writer: &mut (impl AsyncWriteExt + Unpin)) -> std::io::Result<()> {
        let (start, rest) = attack.bytes();
        writer.write_all(start.as_bytes()).await?;
        let rest = rest.repeat(4096);
        loop {
            writer.write_all(rest.as_bytes()).await?;
            self.sent.fetch_add(rest.len() as u64, Ordering::Relaxed);
        }
    }
}

async fn answer_all(stream: TcpStream, script: &Script) -> std::io::Result<()> {
    let pages = &script.pages;
    let values: BTreeMap<&String, String> =
        pages.iter().flatten().map(|key| (key, format!("{{\"key\": \"{key}\"}}"))).collect();
    let (reader, mut writer) = stream.into_split();
    let mut reader = BufReader::new(reader);
    loop {
        let command = command(&mut reader).await?;
        if let Some(attack) = script.attack_on(&command[0]) {
            return script.send(attack, &mut writer).await;
        }
        let value = || command.get(1).and_then(|key| values.get(key)).map_or("", String::as_str);
        let bulk = |text: &str| format!("${}\r\n{text}\r\n", text.len());
        let answer = match command[0].as_str() {
            "INFO" => bulk("redis_mode:standalone\r\nrun_id:scripted\r\n"),
            "STRLEN" => format!(":{}\r\n", value().len()),
            "GETRANGE" => {
                let (value, length) = (value(), value().len() as i64);
                let at = |argument: usize| {
                    let at: i64 = command[argument].parse().expect("a number");
                    (if at < 0 { (length + at).max(0) } else { at.min(length) }) as usize
                };
                bulk(&value[at(2)..(at(3) + 1).min(value.len())])
            }
            "SCAN" => {
                let page: usize = command[1].parse().expect("a page");
                let next = if page + 1 < pages.len() { page + 1 } else { 0 };
                let keys: String = pages[page].iter().map(|key| bulk(key)).collect();
                format!("*2\r\n{}*{}\r\n{keys}", bulk(&next.to_string()), pages[page].len())
            }
            _ => "+OK\r\n".to_owned(),
        };
        writer.write_all(answer.as_bytes()).await?;
    }
}

async fn command(reader: &mut (impl AsyncBufReadExt + Unpin)) -> std::io::Result<Vec<String>> {
    let parts = number(reader).await?;
    let mut command = Vec::new();
    for _ in 0..parts {
        let length = number(reader).await?;
        let mut part = vec![0; length + 2];
        reader.read_exact(&mut part).await?;
        command.push(String::from_utf8_lossy(&part[..length]).into_owned());
    }
    Ok(command)
}

/// Reads a line such as `*3` or `$12` and returns the number.
async fn number(reader: &mut (impl AsyncBufReadExt + Unpin)) -> std::io::Result<usize> {
    let mut line = String::new();
    reader.read_line(&mut line).await?;
    line.get(1..).and_then(|digits| digits.trim().parse().ok()).ok_or_else(|| std::io::ErrorKind::UnexpectedEof.into())
}
