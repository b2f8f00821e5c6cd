//! `portcullis token new`: a token of the REST interface, and the entry that lets it in.

use super::written;
use crate::config::TokenDigest;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use std::io::{self, Write};
use std::process::ExitCode;

/// Make tokens of the REST interface.
#[derive(Debug, clap::Args)]
pub struct TokenArgs {
    #[command(subcommand)]
    pub what: TokenCommand,
}

#[derive(Debug, clap::Subcommand)]
pub enum TokenCommand {
    /// Make a token: it is printed once, on standard error; the entry for the tenant's file goes to standard output.
    New {
        /// What logs call it: who uses it.
        #[arg(value_name = "NAME")]
        name: String,
    },
}

/// Exit code 1 when the name can't be used or nothing can be written.
pub fn run(args: &TokenArgs) -> ExitCode {
    let TokenCommand::New { name } = &args.what;
    if name.trim().is_empty() || name.chars().any(char::is_control) {
        eprintln!("portcullis: '{}' is no name for a token", name.escape_debug());
        return ExitCode::FAILURE;
    }
    let token = token(rand::random());
    match writeln!(io::stderr().lock(), "{token}") {
        Ok(()) => written(write!(io::stdout().lock(), "{}", entry(name, &token))),
        Err(_) => ExitCode::FAILURE,
    }
}

/// The prefix lets scanners of repositories know a leaked token.
fn token(random: [u8; 32]) -> String {
    format!("pct_{}", URL_SAFE_NO_PAD.encode(random))
}

/// The `[[tokens]]` entry.
fn entry(name: &str, token: &str) -> String {
    let name = name.replace('\\', "\\\\").replace('"', "\\\"");
    format!(
        "[[tokens]]\nname = \"{name}\"\nsha256 = \"{}\"\n",
        TokenDigest::of(token)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_lets_its_token_in_and_does_not_hold_it() {
        let token = token([7; 32]);
        assert_eq!(token.len(), 4 + 43);
        let entry = entry("the \"crm\" \\ robot", &token);
        assert!(!entry.contains(&token), "{entry}");
        let read: toml::Table = toml::from_str(&entry).unwrap();
        let read = &read["tokens"][0];
        assert_eq!(read["name"].as_str(), Some("the \"crm\" \\ robot"));
        let digest = TokenDigest::parse(read["sha256"].as_str().unwrap());
        assert_eq!(digest, Ok(TokenDigest::of(&token)));
    }
}
