//! A running Label Studio, the host of `LONGSHORE_HOST=label-studio`, for tests: errors are panics.

use std::path::PathBuf;

use anyhow::Result;
use longshore_local::label_studio::{self, NEWEST};
pub use longshore_local::label_studio::{EMAIL, PASSWORD, TOKEN};
use longshore_local::{RunDir, Stack};
use serde_json::Value;

use crate::installed;

/// A version of Label Studio.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Version {
    /// The newest that Longshore supports.
    #[default]
    Newest,
    /// The oldest that Longshore supports. `tests/label-studio-1.21/requirements.txt` pins it.
    Oldest,
}

impl Version {
    async fn python(self) -> Result<PathBuf> {
        let pins = match self {
            Self::Newest => NEWEST,
            Self::Oldest => "label-studio-1.21",
        };
        tokio::task::spawn_blocking(move || installed::python(pins)).await?
    }
}

/// A running Label Studio on a database of a test.
pub struct LabelStudio(label_studio::LabelStudio);

/// Fills an empty database with the tables of a new Label Studio that has one user.
pub async fn fill(stack: &Stack, database_url: &str, version: Version) -> Result<()> {
    label_studio::fill(&version.python().await?, stack, database_url).await
}

impl LabelStudio {
    /// Starts Label Studio on a database and a free port, and returns when it answers.
    pub async fn start(run_dir: &RunDir, database_url: &str, port: u16) -> Result<Self> {
        Self::start_with(run_dir, database_url, port, Version::Newest, &[]).await
    }

    /// Starts a version of Label Studio with these environment variables, too.
    pub async fn start_with(
        run_dir: &RunDir,
        database_url: &str,
        port: u16,
        version: Version,
        environment: &[(&str, String)],
    ) -> Result<Self> {
        let python = version.python().await?;
        label_studio::LabelStudio::start(&python, run_dir, database_url, port, environment).await.map(Self)
    }

    /// Its base URL, without a proxy.
    pub fn url(&self) -> &str {
        self.0.url()
    }

    /// Sends a request with the token of the first user, and returns the answer's JSON.
    ///
    /// # Panics
    /// The answer is an error.
    pub async fn send(&self, method: &str, path: &str, body: Option<&Value>) -> Value {
        self.0.send(method, path, body).await.unwrap_or_else(|error| panic!("{error:#}"))
    }

    /// Signs the first user in, and returns the header `Cookie` of the session.
    pub async fn session(&self) -> String {
        let login = format!("{}/user/login/", self.url());
        let cookie = |answer: &reqwest::Response, name: &str| {
            let set = answer.headers().get_all("set-cookie").iter().filter_map(|value| value.to_str().ok());
            let mut pairs = set.filter_map(|cookie| cookie.split(';').next());
            pairs.find(|pair| pair.starts_with(name)).map(str::to_owned).expect("a cookie")
        };
        let plain = reqwest::Client::builder().no_proxy().redirect(reqwest::redirect::Policy::none()).build();
        let http = plain.expect("a client");
        let page = http.get(&login).send().await.expect("Label Studio answers");
        let csrf = cookie(&page, "csrftoken=");
        let token = csrf.trim_start_matches("csrftoken=");
        let form = format!("csrfmiddlewaretoken={token}&email=annotator%40example.com&password=a-long-password");
        let request = http.post(&login).header("cookie", &csrf).header("referer", &login);
        let request = request.header("content-type", "application/x-www-form-urlencoded").body(form);
        cookie(&request.send().await.expect("Label Studio answers"), "sessionid=")
    }

    /// Ends the process.
    pub async fn stop(&self) {
        self.0.process().kill().await.expect("it ends");
    }

    /// Creates a project with this label config, and returns its ID.
    pub async fn project(&self, label_config: &str) -> i64 {
        self.0.create_project("twin", label_config).await.unwrap_or_else(|error| panic!("{error:#}"))
    }
}
