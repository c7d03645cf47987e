//! Redis servers for one test: a real one with a password, on TCP and TLS, and a scripted one.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::process::Command;
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
}

impl ScriptedRedis {
    /// Starts a server that answers each `SCAN` with one of these pages. Each key holds its own task.
    pub async fn start(pages: Vec<Vec<String>>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let port = listener.local_addr().expect("an address").port();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let pages = pages.clone();
                // A client that disconnects ends only its connection.
                tokio::spawn(async move { answer_all(stream, &pages).await.ok() });
            }
        });
        Self { port }
    }
}

async fn answer_all(stream: TcpStream, pages: &[Vec<String>]) -> std::io::Result<()> {
    let values: BTreeMap<&String, String> =
        pages.iter().flatten().map(|key| (key, format!("{{\"key\": \"{key}\"}}"))).collect();
    let (reader, mut writer) = stream.into_split();
    let mut reader = BufReader::new(reader);
    loop {
        let command = command(&mut reader).await?;
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
