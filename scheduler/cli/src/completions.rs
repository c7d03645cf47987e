//! `longshore completions`.

use clap::{Arg, Command};
use clap_complete::Shell;

/// The script for a shell. `root` is the command `longshore`.
pub(crate) fn script(shell: Shell, mut root: Command) -> Vec<u8> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut root, "longshore", &mut script);
    if shell == Shell::Fish {
        script.extend(fish_of_third_level(&root).into_bytes());
    }
    script
}

/// The options of commands of three words, such as `storage create s3`: clap's script for fish ends with the second.
fn fish_of_third_level(root: &Command) -> String {
    let mut lines = String::new();
    for first in root.get_subcommands() {
        for second in first.get_subcommands() {
            for third in second.get_subcommands().filter(|third| third.get_name() != "help") {
                let path = [first, second, third].map(Command::get_name);
                lines.extend(third.get_arguments().filter_map(|arg| fish_line(path, arg)));
            }
        }
    }
    lines
}

/// One option. `None` for an argument, and for an option of every command, which clap's script has.
fn fish_line([first, second, third]: [&str; 3], arg: &Arg) -> Option<String> {
    let name = arg.get_long().filter(|_| !arg.is_global_set())?;
    let help =
        arg.get_help().map(|help| help.to_string().replace('\\', r"\\").replace('\'', r"\'")).unwrap_or_default();
    let value = if arg.get_action().takes_values() { " -r" } else { "" };
    Some(format!(
        "complete -c longshore -n \"__fish_longshore_using_subcommand {first}; and __fish_seen_subcommand_from {second}; and \
         __fish_seen_subcommand_from {third}\" -l {name} -d '{help}'{value}\n"
    ))
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;
    use crate::Args;

    #[test]
    fn every_shell_completes_the_options_of_a_new_storage() {
        for shell in [Shell::Bash, Shell::Zsh, Shell::Fish] {
            let script = String::from_utf8(script(shell, Args::command())).unwrap();
            assert!(script.contains("role-arn"), "{shell}");
        }
        let fish = String::from_utf8(script(Shell::Fish, Args::command())).unwrap();
        let lines: Vec<&str> = fish.lines().filter(|line| line.contains("-l container ")).collect();
        let of_azure = |line: &&&str| line.contains("from create; and __fish_seen_subcommand_from azure\"");
        assert_eq!(lines.iter().filter(of_azure).count(), 1, "{lines:?}");
        assert!(lines.iter().all(|line| !line.contains("from s3\"")), "{lines:?}");
    }
}
