//! `portcullis user`: the entry of a user that registers, with its password hashed.

use super::written;
use crate::config::{Invalid, UserName};
use crate::registrar::Aor;
use crate::sip::digest::Algorithm;
use std::io::{self, BufRead, Write};
use std::process::ExitCode;

/// Hash a user's password.
#[derive(Debug, clap::Args)]
pub struct UserArgs {
    /// The user's address: its name and the tenant's realm.
    #[arg(value_name = "NAME@REALM")]
    pub address: String,
}

/// Exit code 1 when the address or the password can't be used.
pub fn run(args: &UserArgs) -> ExitCode {
    let mut password = String::new();
    if let Err(error) = io::stdin().lock().read_line(&mut password) {
        eprintln!("portcullis: no password: {error}");
        return ExitCode::FAILURE;
    }
    match entry(&args.address, password.trim_end_matches(['\r', '\n'])) {
        Ok(entry) => written(write!(io::stdout().lock(), "{entry}")),
        Err(why) => {
            eprintln!("portcullis: {why}");
            ExitCode::FAILURE
        }
    }
}

/// The `[[users]]` entry.
fn entry(address: &str, password: &str) -> Result<String, String> {
    let aor = Aor::parse(address).ok_or_else(|| format!("'{address}' is no name@realm"))?;
    let name = UserName::parse(&aor.user)
        .map_err(|Invalid(expected)| format!("'{}' is no user name: expected {expected}", aor.user))?;
    if password.is_empty() {
        return Err("there is no password on standard input".to_owned());
    }
    let hash = |algorithm: Algorithm| algorithm.hashed_secret(name.as_str(), &aor.realm, password);
    Ok(format!(
        "[[users]]\nname = \"{name}\"\nha1_md5 = \"{}\"\nha1_sha256 = \"{}\"\n",
        hash(Algorithm::Md5),
        hash(Algorithm::Sha256)
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_is_what_a_device_proves() {
        let entry = entry("alice@SIP.contoso.example", "wonderland").expect("an entry");
        // printf 'alice:sip.contoso.example:wonderland' | md5sum
        assert!(entry.contains(MD5), "{entry}");
        assert!(entry.starts_with("[[users]]\nname = \"alice\"\n") && !entry.contains("wonderland"));
    }

    const MD5: &str = "882ab445f894c1125171ce43d3dab5c2";

    #[test]
    fn what_can_not_be_a_user_says_so() {
        assert!(entry("alice", "x").is_err());
        assert!(entry("a b@c.example", "x").expect_err("a space").contains("user name"));
        assert!(entry("alice@c.example", "").is_err());
    }
}
