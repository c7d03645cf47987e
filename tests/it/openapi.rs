//! Checks the document of the API with programs that read only this document.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use longshore_rig::installed;
use longshore_rig::rig::{ACCESS_KEY_ID, Rig, SECRET_ACCESS_KEY};
use serde_json::{Value, json};

/// The paths of the tools, and a folder for their output.
struct Tools {
    python: PathBuf,
    node: PathBuf,
    modules: PathBuf,
    folder: PathBuf,
    document: PathBuf,
}

impl Tools {
    /// Installs the tools and stores the document of the running scheduler.
    async fn with_document_of(rig: &Rig) -> Self {
        let folder = rig.run_dir.root().join("openapi");
        fs::create_dir_all(&folder).expect("a folder");
        let document = folder.join("openapi.json");
        fs::write(&document, rig.get("/api/openapi.json").await.to_string()).expect("a file");
        let install = || {
            let python = installed::python("openapi").expect("the Python tools are installed");
            let modules = installed::node_modules("openapi").expect("the Node tools are installed");
            (python, installed::node().expect("Node is installed"), modules)
        };
        let (python, node, modules) = tokio::task::spawn_blocking(install).await.expect("no panic");
        Self { python, node, modules, folder, document }
    }

    /// Runs a Node program of the tools and returns its output.
    fn node(&self, program: &str, arguments: &[&str]) -> String {
        let mut command = Command::new(&self.node);
        command.arg(self.modules.join(program)).args(arguments).current_dir(&self.folder);
        printed(command.env("REDOCLY_TELEMETRY", "off").env("REDOCLY_SUPPRESS_UPDATE_NOTICE", "true"))
    }

    /// Runs a Python program of the tools.
    fn python(&self, program: &str, arguments: &[&str]) -> String {
        let programs = self.python.parent().expect("a folder");
        let path = format!("{}:{}", programs.display(), std::env::var("PATH").unwrap_or_default());
        printed(Command::new(programs.join(program)).args(arguments).current_dir(&self.folder).env("PATH", path))
    }

    fn document(&self) -> &str {
        self.document.to_str().expect("a plain path")
    }

    /// Generates a Python client. A warning would mean that the client lacks an operation.
    fn python_client(&self) {
        let arguments = ["generate", "--path", self.document(), "--meta", "none", "--output-path", "longshore_client"];
        self.python("openapi-python-client", &[&arguments[..], &["--fail-on-warning"]].concat());
    }

    fn typescript(&self) {
        self.node("openapi-typescript/bin/cli.js", &[self.document(), "--output", "longshore.d.ts"]);
    }
}

/// Runs a program, which must succeed, and returns its output.
fn printed(command: &mut Command) -> String {
    let output = command.stdin(Stdio::null()).output().expect("it starts");
    let text = printed_text(&output);
    assert!(output.status.success(), "{command:?}:\n{text}");
    text
}

fn printed_text(output: &Output) -> String {
    [&output.stdout, &output.stderr].map(|bytes| String::from_utf8_lossy(bytes)).concat()
}

#[tokio::test(flavor = "multi_thread")]
async fn validators_and_generators_accept_the_document() {
    let rig = Rig::with().workers(0).start().await;
    let tools = Tools::with_document_of(&rig).await;

    // Uses the linter's own rules, because a configuration could disable some.
    let lint = tools
        .node("@redocly/cli/bin/cli.js", &["lint", tools.document(), "--extends", "recommended", "--format", "json"]);
    let found: Value =
        serde_json::from_str(&lint[lint.find('{').expect("JSON")..=lint.rfind('}').expect("JSON")]).expect("JSON");
    assert_eq!((&found["totals"]["errors"], &found["totals"]["warnings"]), (&json!(0), &json!(0)), "{lint}");
    assert_eq!(found["totals"]["ignored"], 0, "{lint}");
    let valid = tools.python("openapi-spec-validator", &[tools.document()]);
    assert!(valid.trim_end().ends_with(": OK"), "{valid}");
    tools.python_client();
    tools.typescript();

    // A program that uses the types compiles, and the compiler finds each mistake in it.
    let program = Path::new(env!("CARGO_MANIFEST_DIR")).join("../openapi/program.ts");
    fs::copy(program, tools.folder.join("program.ts")).expect("a file");
    tools.node(
        "typescript/bin/tsc",
        &["--noEmit", "--strict", "--module", "esnext", "--target", "es2022", "program.ts"],
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_generated_client_creates_a_storage_and_syncs_it() {
    let rig = Rig::start().await;
    let keys = ["a.json", "b.json", "c.json"];
    for key in keys {
        rig.s3.put("generated", key, r#"{"image": "i"}"#);
    }
    let tools = Tools::with_document_of(&rig).await;
    let order = json!({
        "folder": tools.folder, "url": rig.url(), "token": rig.token(), "bucket": "generated", "keys": keys,
        "connection": {
            "s3_endpoint": rig.s3.endpoint(), "aws_access_key_id": ACCESS_KEY_ID,
            "aws_secret_access_key": SECRET_ACCESS_KEY,
        },
    });
    let run = move || {
        tools.python_client();
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../openapi/client.py");
        let mut command = Command::new(&tools.python);
        command.arg(script).env("PYTHONDONTWRITEBYTECODE", "1");
        let mut process =
            command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("Python starts");
        process.stdin.take().expect("a pipe").write_all(order.to_string().as_bytes()).expect("the script reads");
        process.wait_with_output().expect("the script ends")
    };
    let output = tokio::task::spawn_blocking(run).await.expect("no panic");
    assert!(output.status.success(), "{}", printed_text(&output));
    assert_eq!(printed_text(&output), "the generated client works\n");
}
