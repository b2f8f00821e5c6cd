//! `portcullis explain`: where a call would go, and why; by the functions that route live calls, without a call.
//!
//! In: who calls whom, a configuration folder. Out: the tenant, every step of the decision, every INVITE that would be
//! tried and why nothing else gets the call, or the refusal with what is near. Opens no socket; no peer counts as held down.
//!
//! Or in: a failure that Teams told of. Out: what it means and what to do; that needs no configuration.

mod answer;
mod failure;
mod hints;
mod others;
mod print;
mod question;
#[cfg(test)]
mod tests;

use crate::config;
use answer::Answer;
use failure::Explanation;
use question::Question;
use std::io;
use std::path::PathBuf;
use std::process::ExitCode;

/// The exit code of a call that would be refused.
const REFUSED: u8 = 3;

/// What asks about a failure and not about a call.
const FAILURE: [&str; 3] = ["sip", "code", "reason"];

/// Explain a call, or a failure.
#[derive(Debug, clap::Args)]
pub struct ExplainArgs {
    /// Who calls: a number, a SIP or tel URI, a registered user (`alice@sip.contoso.example`), or `anonymous`.
    #[arg(long, value_name = "NUMBER|URI", required_unless_present_any = FAILURE, conflicts_with_all = FAILURE)]
    pub from: Option<String>,
    /// Whom: a number as it would be dialled, or the Request-URI.
    #[arg(long, value_name = "NUMBER|URI", required_unless_present_any = FAILURE, conflicts_with_all = FAILURE)]
    pub to: Option<String>,
    /// A failure instead of a call: the SIP status that Teams answered with.
    #[arg(long, value_name = "STATUS", value_parser = clap::value_parser!(u16).range(300..700))]
    pub sip: Option<u16>,
    /// Microsoft's code of the failure: CallEndSubReason in the admin centre and in Graph.
    #[arg(long, value_name = "CODE")]
    pub code: Option<u32>,
    /// Teams' Reason header, or its text; a bare number of six digits is Microsoft's code.
    #[arg(long, value_name = "REASON")]
    pub reason: Option<String>,
    /// The call comes from this carrier.
    #[arg(long, value_name = "ID", conflicts_with = "tenant")]
    pub carrier: Option<String>,
    /// The call comes out of Teams, from this tenant: its id, a domain or a trunk name.
    #[arg(long, value_name = "NAME")]
    pub tenant: Option<String>,
    /// A header of the INVITE, such as "Privacy: id" or "Diversion: <sip:+14255550101@x>"; repeat it for more.
    #[arg(long = "header", value_name = "NAME: VALUE")]
    pub headers: Vec<String>,
    /// The caller's location record (PIDF-LO) of a call to an emergency number, in this file.
    #[arg(long, value_name = "FILE")]
    pub location: Option<PathBuf>,
    /// The called number is an ELIN that was shown for an emergency call of this number in Teams, or registered user, of late.
    #[arg(long, value_name = "NUMBER|USER", conflicts_with_all = ["location", "tenant"])]
    pub emergency_caller: Option<String>,
    /// The configuration folder.
    #[arg(long, default_value = "config")]
    pub config: PathBuf,
    /// Print JSON.
    #[arg(long)]
    pub json: bool,
}

impl ExplainArgs {
    fn from(&self) -> &str {
        self.from.as_deref().unwrap_or_default()
    }

    fn to(&self) -> &str {
        self.to.as_deref().unwrap_or_default()
    }
}

/// Exit code 0: routed, or something is known of the failure; 1: the configuration or the question is wrong, or nothing is
/// known; 3: the call would be refused.
pub fn run(args: &ExplainArgs) -> ExitCode {
    if let Some(explanation) = Explanation::asked(args) {
        let mut out = io::stdout().lock();
        let written = match args.json {
            true => failure::json(&explanation, &mut out),
            false => failure::text(&explanation, &mut out),
        };
        return match written {
            Ok(()) if !explanation.says_something() => ExitCode::FAILURE,
            written => super::written(written),
        };
    }
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
