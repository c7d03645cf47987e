//! A headless Chromium that a test drives like a user, by the DevTools protocol.
//!
//! The browser reads commands from its file descriptor 3 and answers on 4, one JSON text each, ended by a zero byte. A
//! shell opens named pipes as these descriptors.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use longshore_rig::rig::PATIENCE;
use nix::sys::stat::Mode;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::unix::pipe::{OpenOptions, Receiver, Sender};
use tokio::process::{Child, Command};
use tokio::time::{sleep, timeout};

use super::chromium::FLAGS;

/// How often a page is asked for a state.
const POLL: Duration = Duration::from_millis(100);

/// A browser with one tab. Dropping it kills it.
pub(crate) struct Browser {
    commands: Sender,
    answers: BufReader<Receiver>,
    /// The number of the last command.
    number: u64,
    /// The session of the tab; empty before it is open.
    session: String,
    _process: Child,
}

impl Browser {
    /// Starts a browser with its data in a new folder inside this one.
    pub(crate) async fn open(folder: &Path) -> Self {
        let folder = folder.join(format!("chromium-{}", uuid::Uuid::new_v4()));
        std::fs::create_dir_all(&folder).expect("a folder");
        let pipes = ["commands", "answers"].map(|name| folder.join(name));
        for pipe in &pipes {
            nix::unistd::mkfifo(pipe, Mode::S_IRUSR | Mode::S_IWUSR).expect("a pipe");
        }
        // For reading and writing, so that it opens before the other side does.
        let commands = OpenOptions::new().read_write(true).open_sender(&pipes[0]).expect("a pipe");
        let answers = OpenOptions::new().read_write(true).open_receiver(&pipes[1]).expect("a pipe");
        let process = Command::new("sh")
            .args(["-c", r#"cd "$0" && exec chromium "$@" 3<commands 4>answers"#])
            .arg(&folder)
            .args(FLAGS)
            .args(["--remote-debugging-pipe", "--window-size=1400,1000"])
            .arg(format!("--user-data-dir={}", folder.join("data").display()))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .expect("Chromium is installed: deploy/local/install.sh tests");
        let answers = BufReader::new(answers);
        let mut browser = Self { commands, answers, number: 0, session: String::new(), _process: process };
        let tab = browser.command("Target.createTarget", json!({"url": "about:blank"})).await;
        let attach = json!({"targetId": tab["targetId"], "flatten": true});
        let attached = browser.command("Target.attachToTarget", attach).await;
        browser.session = attached["sessionId"].as_str().expect("a session").to_owned();
        browser.command("Page.enable", json!({})).await;
        browser
    }

    /// Opens a URL in the tab. The page loads afterwards: wait for what it shows.
    pub(crate) async fn visit(&mut self, url: &str) {
        let visited = self.command("Page.navigate", json!({"url": url})).await;
        assert!(visited.get("errorText").is_none(), "{url}: {visited}");
    }

    /// Loads the page again.
    pub(crate) async fn reload(&mut self) {
        self.command("Page.reload", json!({})).await;
    }

    /// The value of an expression of JavaScript, or of its promise. `None` if it failed, for example because the page
    /// was replaced meanwhile.
    pub(crate) async fn evaluate(&mut self, expression: &str) -> Option<Value> {
        let options = json!({"expression": expression, "awaitPromise": true, "returnByValue": true});
        let evaluated = self.command("Runtime.evaluate", options).await;
        let failed = evaluated.get("exceptionDetails").is_some() || evaluated.get("result").is_none();
        (!failed).then(|| evaluated["result"]["value"].clone())
    }

    /// Waits until an expression is neither false, null nor empty, and returns it.
    ///
    /// # Panics
    /// It stays so; the message has the text of the page.
    pub(crate) async fn until(&mut self, expression: &str) -> Value {
        let waiting = async {
            loop {
                let value = self.evaluate(expression).await.unwrap_or_default();
                if !(value.is_null() || value == json!(false) || value == json!("")) {
                    return value;
                }
                sleep(POLL).await;
            }
        };
        if let Ok(value) = timeout(PATIENCE, waiting).await {
            return value;
        }
        let page = self.evaluate("`${location}\n${document.body.innerText}`").await.unwrap_or_default();
        panic!("not reached: {expression}\non {}", page.as_str().unwrap_or_default())
    }

    /// Waits until the page shows a text.
    pub(crate) async fn until_shown(&mut self, text: &str) {
        self.until(&format!("document.body.innerText.includes({})", json!(text))).await;
    }

    /// Waits for an enabled button with this text, and clicks on it.
    pub(crate) async fn click(&mut self, button: &str) {
        let button = json!(button);
        let click = "[...document.querySelectorAll('button')].find(b => !b.disabled && b.innerText.trim() === TEXT)";
        self.until(&format!("(b => b && (b.click(), true))({})", click.replace("TEXT", &button.to_string()))).await;
    }

    /// Sends a command to the tab, or to the browser before the tab is open, and returns the result.
    async fn command(&mut self, method: &str, parameters: Value) -> Value {
        self.number += 1;
        let mut command = json!({"id": self.number, "method": method, "params": parameters});
        if !self.session.is_empty() {
            command["sessionId"] = json!(self.session);
        }
        let mut text = command.to_string().into_bytes();
        text.push(0);
        let answer = async {
            self.commands.write_all(&text).await.expect("the browser reads");
            loop {
                let mut answer = Vec::new();
                self.answers.read_until(0, &mut answer).await.expect("the browser answers");
                answer.pop();
                let answer: Value = serde_json::from_slice(&answer).expect("JSON");
                // Others are events, or answers to commands that were given up.
                if answer["id"] == self.number {
                    return answer;
                }
            }
        };
        let answer = timeout(PATIENCE, answer).await.unwrap_or_else(|_| panic!("the browser does not answer {method}"));
        answer.get("result").cloned().unwrap_or(answer)
    }
}
