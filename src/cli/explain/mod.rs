//! `portcullis explain`: where a call would go, and why; by the functions that route live calls, without a call.
//!
//! In: who calls whom, a configuration folder. Out: the tenant, every step of the decision and every INVITE that would
//! be tried, or the refusal with what is near. Opens no socket; no peer counts as held down.

mod answer;
mod hints;
mod print;
mod question;
#[cfg(test)]
mod tests;

use crate::config;
use answer::Answer;
use question::Question;
use std::io;
use std::path::PathBuf;
use std::process::ExitCode;

/// The exit code of a call that would be refused.
const REFUSED: u8 = 3;

/// Explain a call.
#[derive(Debug, clap::Args)]
pub struct ExplainArgs {
    /// Who calls: a number, a SIP or tel URI, a registered user (`alice@sip.contoso.example`), or `anonymous`.
    #[arg(long, value_name = "NUMBER|URI")]
    pub from: String,
    /// Whom: a number as it would be dialled, or the Request-URI.
    #[arg(long, value_name = "NUMBER|URI")]
    pub to: String,
    /// The call comes from this carrier.
    #[arg(long, value_name = "ID", conflicts_with = "tenant")]
    pub carrier: Option<String>,
    /// The call comes out of Teams, from this tenant: its id, a domain or a trunk name.
    #[arg(long, value_name = "NAME")]
    pub tenant: Option<String>,
    /// A header of the INVITE, such as "Privacy: id" or "Diversion: <sip:+14255550101@x>"; repeat it for more.
    #[arg(long = "header", value_name = "NAME: VALUE")]
    pub headers: Vec<String>,
    /// The configuration folder.
    #[arg(long, default_value = "config")]
    pub config: PathBuf,
    /// Print JSON.
    #[arg(long)]
    pub json: bool,
}

/// Exit code 0: routed; 1: the configuration or the question is wrong; 3: the call would be refused.
pub fn run(args: &ExplainArgs) -> ExitCode {
    let config = match config::load(&args.config) {
        Ok(config) => config,
        Err(mistakes) => {
            eprintln!("{mistakes}");
            return ExitCode::FAILURE;
        }
    };
    let question = match Question::read(args, &config) {
        Ok(question) => question,
        Err(error) => {
            eprintln!("portcullis: {error}");
            return ExitCode::FAILURE;
        }
    };
    let answer = Answer::find(&config, question);
    let mut out = io::stdout().lock();
    let written = if args.json {
        print::json(&answer, &mut out)
    } else {
        print::text(&answer, &mut out)
    };
    match written {
        Ok(()) if answer.refusal.is_some() => ExitCode::from(REFUSED),
        written => super::written(written),
    }
}
