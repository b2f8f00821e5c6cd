//! Replaces (RFC 3891): the dialog that an INVITE takes over.

use super::HeaderError;
use super::params::Params;
use crate::sip::grammar::{is_token, trim};
use crate::sip::message::HeaderName;
use std::fmt;
use std::str::FromStr;

/// A dialog named by its peer: `to_tag` is the tag of whoever gets the INVITE.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Replaces {
    pub call_id: String,
    pub to_tag: String,
    pub from_tag: String,
    /// Only an early dialog may be replaced.
    pub early_only: bool,
}

impl FromStr for Replaces {
    type Err = HeaderError;

    fn from_str(value: &str) -> Result<Replaces, HeaderError> {
        let fail = |reason| HeaderError::new(HeaderName::Replaces, reason, value.as_bytes());
        let (call_id, params) = value.split_once(';').ok_or_else(|| fail("no tags"))?;
        let call_id = trim(call_id);
        if call_id.is_empty() || !call_id.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(fail("no Call-ID"));
        }
        let params = Params::parse(params).ok_or_else(|| fail("a parameter is malformed"))?;
        // Exactly one of each: a second one may name another dialog (RFC 3891 §6.1).
        let tag = |wanted: &str, wrong| {
            let mut named = params.iter().filter(|(name, _)| name.eq_ignore_ascii_case(wanted));
            match (named.next(), named.next()) {
                (Some((_, Some(tag))), None) if is_token(tag.as_bytes()) => Ok(tag.to_owned()),
                _ => Err(fail(wrong)),
            }
        };
        Ok(Replaces {
            call_id: call_id.to_owned(),
            to_tag: tag("to-tag", "not exactly one to-tag")?,
            from_tag: tag("from-tag", "not exactly one from-tag")?,
            early_only: params.get("early-only").is_some(),
        })
    }
}

impl fmt::Display for Replaces {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Replaces {
            call_id,
            to_tag,
            from_tag,
            early_only,
        } = self;
        write!(f, "{call_id};to-tag={to_tag};from-tag={from_tag}")?;
        f.write_str(if *early_only { ";early-only" } else { "" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_teams_sends() {
        let read: Replaces = "0a3d7213;from-tag=1779cf3a;to-tag=sbc3tag".parse().unwrap();
        assert_eq!((read.to_tag.as_str(), read.from_tag.as_str()), ("sbc3tag", "1779cf3a"));
        assert_eq!(read.to_string().parse::<Replaces>(), Ok(read));
    }

    #[test]
    fn both_tags_are_needed_and_once() {
        for bad in [
            "x",
            "x;to-tag=1",
            "x;from-tag=1",
            ";to-tag=1;from-tag=2",
            "x;to-tag=;from-tag=2",
            "x;from-tag=2;from-tag=q;to-tag=1",
            "x;from-tag=2;FROM-TAG=2;to-tag=1",
            "x;from-tag=2;to-tag=1;to-tag",
        ] {
            assert!(bad.parse::<Replaces>().is_err(), "{bad}");
        }
    }
}
