//! Command line: one file a command, this one joins them.
//!
//! In: arguments. Out: standard output for what was asked, standard error for what went wrong, and the exit codes of
//! [`EXIT_CODES`].

pub mod certs;
pub mod check;
pub mod completions;
pub mod demo;
pub mod doctor;
mod elins;
pub mod explain;
mod ip_versions;
pub mod man;
pub mod run;
pub mod schema;
pub mod sim;
pub mod teams;
pub mod token;
mod understood;
pub mod user;
mod writable;

use clap::{CommandFactory, Parser, Subcommand};
use std::process::ExitCode;

/// What every command's exit code means; shown by `portcullis --help`.
const EXIT_CODES: &str = "\
Exit codes:
  0  done; for `check`: the configuration is right; for `explain`: the call would be routed
  1  not done: the configuration is wrong, a file can't be written, a port is taken …
  2  the command line itself is wrong; `teams drift`: nothing could be compared
  3  `explain`: the call would be refused; `doctor`: nothing fails, and something will

Begin with:
  portcullis check --config config                           what is wrong with my configuration?
  portcullis explain --from +441632960001 --to +14255550100  where would this call go, and why?
  portcullis check --help                                    every command explains itself";

const CHECK_EXAMPLES: &str = "\
Examples:
  portcullis check                              the folder ./config
  portcullis check --config /etc/portcullis/config
  portcullis check --json | jq -r '.mistakes[] | \"\\(.file):\\(.line) \\(.message)\"'";

const RUN_EXAMPLES: &str = "\
Examples:
  portcullis run                                the folder ./config
  portcullis run --config /etc/portcullis/config
  kill -HUP $(pidof portcullis)                 read the configuration and the certificates again";
const EXPLAIN_EXAMPLES: &str = "\
Examples:
  portcullis explain --from +441632960001 --to +14255550100
  portcullis explain --from +441632960001 --to 4255550100 --carrier north
  portcullis explain --from +14255550100 --to 911 --tenant contoso
  portcullis explain --from anonymous --to +14255550100 --carrier north --header 'Privacy: id'
  portcullis explain --from +441632960001 --to +14255550100 --json | jq -r '.hops[].request_uri'
  portcullis explain --sip 403 --reason \"No trunk config was found\"
  portcullis explain --code 510532

Without --carrier and --tenant, a caller who is a tenant's number calls out of Teams, everybody else from a carrier.";

const DOCTOR_EXAMPLES: &str = "\
Examples:
  portcullis doctor                             configuration, certificates, messages, past calls
  portcullis doctor --online                    names, the hubs, and the running node, too
  portcullis doctor --json | jq -r '.findings[] | \"\\(.severity) \\(.id): \\(.fix)\"'";

const DEMO_EXAMPLES: &str = "\
Examples:
  portcullis demo                               two calls, some five seconds
  portcullis demo --json | jq .passed
  portcullis demo --keep                        and then call it with a softphone";

const TOKEN_EXAMPLES: &str = "\
Examples:
  portcullis token new crm >> config/tenants/contoso.toml";

const SIM_EXAMPLES: &str = "\
Examples:
  portcullis sim carrier --listen 127.0.0.2:5060 --script 'ring, wait 2s, answer'
  portcullis sim carrier --sbc 127.0.0.1:5060 --from +12065550123 --call +14255550100
  portcullis sim teams --certificate teams.pem --key teams.key --roots root.pem --sbc 127.0.0.1:5061
  portcullis sim carrier --sbc 127.0.0.1:5060 --call +14255550100 --call-script 'wait 1s, hold'
  portcullis sim teams --help                   everything that a hub can be told";

const SCHEMA_EXAMPLES: &str = "\
Examples:
  portcullis schema sbc > config/schema/sbc.schema.json
  portcullis schema tenant > config/schema/tenant.schema.json

The first line of a configuration file tells editors where its schema is:
  #:schema schema/sbc.schema.json";

const CERTS_EXAMPLES: &str = "\
Examples:
  portcullis certs dev --out certs --name sbc1.example.net
  portcullis certs dev --out certs --name sbc1.example.net --name trunk.example.net --days 7";

const TEAMS_EXAMPLES: &str = "\
Examples:
  portcullis teams dns contoso                  records for the zone of the trunk names
  portcullis teams powershell contoso > pair.ps1
  portcullis teams dns contoso --json | jq -r '.[] | select(.value == null) | .name'
  portcullis teams drift contoso gateways.json routes.json users.json";

const USER_EXAMPLES: &str = "\
Examples:
  portcullis user alice@sip.contoso.example < password
  systemd-ask-password 'Password of alice:' | portcullis user alice@sip.contoso.example >> config/tenants/contoso.toml";

const COMPLETIONS_EXAMPLES: &str = "\
Examples:
  portcullis completions bash > /etc/bash_completion.d/portcullis
  portcullis completions zsh > \"${fpath[1]}/_portcullis\"
  portcullis completions fish > ~/.config/fish/completions/portcullis.fish";

const MAN_EXAMPLES: &str = "\
Examples:
  portcullis man | man -l -                     read it
  portcullis man --out /usr/share/man/man1      one page for each command";

/// Session border controller between telephone carriers and Microsoft Teams Direct Routing.
#[derive(Debug, Parser)]
#[command(name = "portcullis", version, after_help = EXIT_CODES, propagate_version = true)]
#[command(infer_long_args = true)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Say what is wrong with a configuration
    ///
    /// Reads the folder as `run` would and prints what was understood, or every mistake of every file at once: where it
    /// is, what stands there, and what would be right. Sends nothing; addresses are tried by binding a free port of them.
    #[command(after_long_help = CHECK_EXAMPLES)]
    Check(check::CheckArgs),

    /// Run the session border controller
    ///
    /// Serves until SIGTERM or Ctrl-C; then takes no new call, answers OPTIONS with 503 and waits for the calls that are
    /// up, at most as long as `drain` says. A second signal ends the wait. A change of a file under the folder, or SIGHUP,
    /// applies the new configuration when all of it is right.
    #[command(after_long_help = RUN_EXAMPLES)]
    Run(run::RunArgs),
    /// Show where a call would go, and why; or what a failure of Teams means
    ///
    /// Asks the functions that route live calls, and prints the tenant, every step of the decision, and every INVITE
    /// that would be tried with its headers; or the refusal, and what is near. No call is made. With --sip, --code or
    /// --reason it says what a failure that Teams told of means, and what to do.
    #[command(after_long_help = EXPLAIN_EXAMPLES)]
    Explain(explain::ExplainArgs),

    /// Find out why calls with Teams fail, or will fail
    ///
    /// Looks at the configuration, the certificates, the messages that would be sent, and the calls on record; with --online
    /// also at names, hubs and the running node. Says for everything what was seen and what to do.
    #[command(after_long_help = DOCTOR_EXAMPLES)]
    Doctor(doctor::DoctorArgs),

    /// Show it at work on this machine: two calls between a simulated carrier and a simulated Teams
    ///
    /// Makes throw-away certificates and a configuration in a temporary folder, starts portcullis on loopback addresses,
    /// places one call each way, and shows the messages, what each end heard, and whether every rule of Teams was kept.
    #[command(after_long_help = DEMO_EXAMPLES)]
    Demo(demo::DemoArgs),

    /// Be a carrier or Teams, to try an SBC against
    ///
    /// A peer with real sockets, TLS, SRTP and tones that answers as its script says, places calls, and says which rules
    /// of the real peer were broken.
    #[command(after_long_help = SIM_EXAMPLES)]
    Sim(sim::SimArgs),

    /// Print the JSON Schema of a configuration file
    #[command(after_long_help = SCHEMA_EXAMPLES)]
    Schema(schema::SchemaArgs),

    /// Make certificates for tests
    #[command(after_long_help = CERTS_EXAMPLES)]
    Certs(certs::CertsArgs),

    /// Say what to do in DNS and in Microsoft 365 for a tenant
    ///
    /// Reads the configuration and prints DNS records, or commands of Microsoft's Teams PowerShell module, with the names, ports
    /// and numbers of the tenant filled in; or compares it with what those commands print. Nothing is changed anywhere.
    #[command(after_long_help = TEAMS_EXAMPLES)]
    Teams(teams::TeamsArgs),

    /// Make a token of the REST interface
    ///
    /// The token is printed once, on standard error, and kept nowhere; the [[tokens]] entry for the tenant's file, on standard
    /// output, has its hash.
    #[command(after_long_help = TOKEN_EXAMPLES)]
    Token(token::TokenArgs),
    /// Make the entry of a user that registers
    ///
    /// Reads the password from standard input, and prints the [[users]] entry for the tenant's file: the password is in it
    /// as hashes alone, which are as good as the password within the realm. Keep the file as you would keep passwords.
    #[command(after_long_help = USER_EXAMPLES)]
    User(user::UserArgs),

    /// Print the completions of a shell
    #[command(after_long_help = COMPLETIONS_EXAMPLES)]
    Completions(completions::CompletionsArgs),

    /// Print the manual page
    #[command(after_long_help = MAN_EXAMPLES)]
    Man(man::ManArgs),
}

/// Reads the arguments and does what they say.
pub fn main() -> ExitCode {
    match Cli::parse().command {
        Command::Check(args) => check::run(&args),
        Command::Run(args) => run::run(&args),
        Command::Explain(args) => explain::run(&args),
        Command::Doctor(args) => doctor::run(&args),
        Command::Demo(args) => demo::run(&args),
        Command::Sim(args) => sim::run(&args),
        Command::Schema(args) => schema::run(&args),
        Command::Certs(args) => certs::run(&args),
        Command::Teams(args) => teams::run(&args),
        Command::Token(args) => token::run(&args),
        Command::User(args) => user::run(&args),
        Command::Completions(args) => completions::run(&args, Cli::command()),
        Command::Man(args) => man::run(&args, Cli::command()),
    }
}

/// What tasks run on; the error is a sentence for standard error.
fn runtime() -> Result<tokio::runtime::Runtime, String> {
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| format!("portcullis: the runtime does not start: {error}"))
}

/// The exit code of something that was written to standard output or to files; a reader who hung up is no news.
fn written(result: std::io::Result<()>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("portcullis: {error}");
            ExitCode::FAILURE
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::error::ErrorKind;

    #[test]
    fn the_table_of_commands_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn every_command_explains_itself_with_an_example() {
        for command in Cli::command().get_subcommands() {
            let help = command.clone().render_long_help().to_string();
            assert!(help.contains(&format!("portcullis {}", command.get_name())), "{help}");
            assert!(help.contains("Usage:"), "{help}");
        }
        let help = Cli::command().render_help().to_string();
        for name in ["check", "explain", "Exit codes:"] {
            assert!(help.contains(name), "{name} in\n{help}");
        }
    }

    #[test]
    fn help_is_a_command_too() {
        for (words, about) in [
            (&["portcullis", "help"][..], "check"),
            (&["portcullis", "help", "explain"], "--from"),
        ] {
            let help = Cli::try_parse_from(words).expect_err("help is no command that runs");
            assert_eq!(help.kind(), ErrorKind::DisplayHelp);
            assert!(help.to_string().contains(about), "{help}");
        }
    }

    #[test]
    fn a_mistyped_command_gets_a_suggestion() {
        let error = Cli::try_parse_from(["portcullis", "chekc"]).expect_err("no such command");
        assert_eq!(error.kind(), ErrorKind::InvalidSubcommand);
        assert!(error.to_string().contains("'check'"), "{error}");
        assert_eq!(error.exit_code(), 2);
    }
}
