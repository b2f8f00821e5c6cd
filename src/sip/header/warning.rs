//! Warning (RFC 3261 §20.43).

use super::HeaderError;
use super::params::{push_quoted, unquote};
use crate::sip::grammar::{digits, quoted_length, trim};
use crate::sip::message::HeaderName;
use std::fmt;
use std::str::FromStr;

/// One value of Warning.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Warning {
    /// Three digits.
    pub code: u16,
    /// The host or pseudonym that warns.
    pub agent: String,
    /// The text without quotes and escapes.
    pub text: String,
}

impl FromStr for Warning {
    type Err = HeaderError;

    fn from_str(value: &str) -> Result<Warning, HeaderError> {
        let fail = |reason| HeaderError::new(HeaderName::Warning, reason, value.as_bytes());
        let mut words = trim(value).splitn(3, ' ');
        let code = words
            .next()
            .and_then(|code| digits(code.as_bytes()))
            .and_then(|code| u16::try_from(code).ok())
            .filter(|code| (100..1000).contains(code))
            .ok_or_else(|| fail("the code is not three digits"))?;
        let agent = words
            .next()
            .filter(|agent| !agent.is_empty())
            .ok_or_else(|| fail("no agent"))?;
        let text = words.next().map(trim).unwrap_or_default();
        if !text.starts_with('"') || quoted_length(text.as_bytes()) != Some(text.len()) {
            return Err(fail("the text is not quoted"));
        }
        Ok(Warning {
            code,
            agent: agent.to_owned(),
            text: unquote(text).into_owned(),
        })
    }
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut quoted = String::with_capacity(self.text.len() + 2);
        push_quoted(&self.text, &mut quoted);
        write!(f, "{:03} {} {quoted}", self.code, self.agent)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_and_prints_back() {
        let text = "370 devnull \"Choose a bigger pipe, \\\"please\\\"\"";
        let read: Warning = text.parse().unwrap();
        assert_eq!((read.code, read.agent.as_str()), (370, "devnull"));
        assert_eq!(read.to_string(), text);
        for bad in [
            "1812 overture \"In Progress\"",
            "37 a \"b\"",
            "370 a b",
            "370",
            "370 a \"b",
        ] {
            assert!(bad.parse::<Warning>().is_err(), "{bad}");
        }
    }
}
