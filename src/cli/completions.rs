//! `portcullis completions`: what a shell needs to complete commands and options.

use clap_complete::Shell;
use std::io::{self, Write};
use std::process::ExitCode;

/// Print the completions of a shell.
#[derive(Debug, clap::Args)]
pub struct CompletionsArgs {
    /// Which shell.
    #[arg(value_enum)]
    pub shell: Shell,
}

/// Exit code 1 when they can't be written.
pub fn run(args: &CompletionsArgs, command: clap::Command) -> ExitCode {
    super::written(io::stdout().lock().write_all(&script(args.shell, command)))
}

fn script(shell: Shell, mut command: clap::Command) -> Vec<u8> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut command, "portcullis", &mut script);
    script
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::{CommandFactory, ValueEnum};

    #[test]
    fn every_shell_learns_every_command() {
        let command = super::super::Cli::command();
        for shell in Shell::value_variants() {
            let script = String::from_utf8(script(*shell, command.clone())).expect("text");
            for name in command.get_subcommands().map(clap::Command::get_name) {
                assert!(script.contains(name), "{name} for {shell}");
            }
        }
    }
}
