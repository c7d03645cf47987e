//! Profiles, completions and colors.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::process::Command;

use longshore_local::app::program;
use longshore_rig::installed::workspace;
use longshore_rig::rig::Rig;

use super::{CommandOutput, run};

/// A command without Longshore's variables, with a separate home folder.
fn at_home(home: &PathBuf, arguments: &str) -> Command {
    let mut command = Command::new(program("longshore").expect("the programs are built"));
    command.args(arguments.split_whitespace()).env("HOME", home);
    for variable in ["XDG_CONFIG_HOME", "LONGSHORE_URL", "LONGSHORE_TOKEN", "LONGSHORE_PROFILE", "LONGSHORE_PROFILES"] {
        command.env_remove(variable);
    }
    command
}

/// Goal: commands work without variables, and a token stays with its server. Method: two profiles of one scheduler, one
/// with a wrong token; then a file that others may read.
#[tokio::test(flavor = "multi_thread")]
async fn a_profile_replaces_variables_and_the_environment_wins_over_it() {
    let rig = Rig::with().workers(0).start().await;
    let home = workspace().join(format!("target/local/tests/{}-home", std::process::id()));
    fs::remove_dir_all(&home).ok();
    let home_run = async |words: &str, variables: &[(&str, &str)]| -> CommandOutput {
        let mut command = at_home(&home, words);
        command.envs(variables.iter().copied());
        run(command).await
    };
    let (url, token) = (rig.url(), rig.token());
    let list =
        async |words: &str, variables: &[(&str, &str)]| home_run(&format!("project list {words}"), variables).await;
    assert_eq!(list("", &[]).await.code, 1, "no scheduler is known");

    // The token is not an argument, so it is in no process list.
    let added = home_run("profile add good", &[("LONGSHORE_URL", &url), ("LONGSHORE_TOKEN", token)]).await;
    assert_eq!(added.code, 0, "{}", added.err);
    assert_eq!(list("", &[]).await.code, 0, "the first profile is used");
    let wrong = home_run(&format!("profile add wrong --url {url} --token not-a-token"), &[]).await;
    assert_eq!(wrong.code, 0, "{}", wrong.err);
    let refused = list("--profile wrong", &[]).await;
    assert!(refused.code == 1 && refused.err.contains("refused the token"), "{}", refused.err);
    assert_eq!(list("", &[("LONGSHORE_PROFILE", "wrong")]).await.code, 1);
    assert_eq!(list("--profile wrong", &[("LONGSHORE_TOKEN", token)]).await.code, 0, "the environment wins");
    assert_eq!(home_run("profile use wrong", &[]).await.code, 0);
    assert_eq!(list("", &[]).await.code, 1);

    let shown = home_run("profile list", &[]).await;
    assert!(shown.out.contains("good") && shown.out.contains(&url), "{}", shown.out);
    let path = home.join(".config/longshore/profiles.json");
    assert_eq!(fs::metadata(&path).expect("the file").permissions().mode() & 0o777, 0o600);
    // Another server gets the token of no profile.
    let other = list("--profile good", &[("LONGSHORE_URL", &rig.s3.endpoint())]).await;
    assert_eq!(other.code, 1);
    assert!(rig.s3.calls().iter().all(|call| !format!("{call:?}").contains(token)));

    for mode in [0o644, 0o640, 0o620] {
        fs::set_permissions(&path, Permissions::from_mode(mode)).expect("its permissions");
        let refused = list("--profile good", &[]).await;
        assert!(refused.code == 1 && refused.err.contains("chmod 600"), "{mode:o}: {}", refused.err);
        let both = list("", &[("LONGSHORE_URL", &url), ("LONGSHORE_TOKEN", token)]).await;
        assert_eq!(both.code, 0, "a file that is not needed is not read");
    }
    fs::set_permissions(&path, Permissions::from_mode(0o600)).expect("its permissions");
    let unknown = list("--profile none", &[]).await;
    assert!(unknown.code == 1 && unknown.err.contains("the profiles are: good, wrong"), "{}", unknown.err);
    assert_eq!(home_run("profile remove wrong", &[]).await.code, 0);
    assert!(!fs::read_to_string(&path).expect("the file").contains("not-a-token"));
    for output in [added, shown, unknown] {
        assert!(!output.out.contains(token) && !output.err.contains(token));
    }
    fs::remove_dir_all(&home).expect("the home is ours");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_shell_has_completions_that_name_every_command() {
    let home = std::env::temp_dir();
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let script = run(at_home(&home, &format!("completions {shell}"))).await;
        assert_eq!(script.code, 0, "{shell}: {}", script.err);
        for word in ["storage", "update", "quarantine", "top", "presign-ttl"] {
            assert!(script.out.contains(word), "{word} in the completions of {shell}");
        }
    }
    let script = run(at_home(&home, "completions bash")).await.out;
    let file = home.join(format!("longshore-completions-{}", std::process::id()));
    fs::write(&file, script).expect("a file");
    let checked = Command::new("bash").arg("-n").arg(&file).status().expect("bash");
    fs::remove_file(&file).expect("the file is ours");
    assert!(checked.success());
    assert_eq!(run(at_home(&home, "completions tcsh")).await.code, 2);
}

/// Goal: `NO_COLOR` means no escape codes. Method: show the help and a usage error on a terminal, with and without it;
/// the error has none in any case.
#[tokio::test(flavor = "multi_thread")]
async fn no_color_is_shown_where_it_is_not_wanted() {
    let binary = program("longshore").expect("the programs are built").display().to_string();
    let shown = async |words: &str, no_color: &str| {
        let mut script = Command::new("script");
        script.args(["-qec", &format!("{binary} {words}"), "/dev/null"]);
        script.env("NO_COLOR", no_color).env("TERM", "xterm-256color").env_remove("CLICOLOR_FORCE");
        let output = tokio::task::spawn_blocking(move || script.output()).await.expect("no panic").expect("script");
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    for words in ["--help", "sync fly"] {
        let colored = shown(words, "").await;
        assert_eq!(colored.contains('\u{1b}'), words == "--help", "{words}: {colored:?}");
        let plain = shown(words, "1").await;
        assert!(!plain.contains('\u{1b}') && plain.contains("sync"), "{plain:?}");
    }
}
