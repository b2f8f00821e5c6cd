//! Reason (RFC 3326): why a request or response was sent. Teams opens the text with its correlation GUID.

use super::HeaderError;
use super::params::{Params, push_quoted};
use crate::sip::grammar::{is_token, split_values, trim};
use crate::sip::message::HeaderName;
use std::fmt;
use std::str::FromStr;

/// One value of Reason.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reason {
    /// `SIP`, `Q.850` or another token, as written.
    pub protocol: String,
    /// A SIP status or a Q.850 cause.
    pub cause: Option<u16>,
    /// The text without quotes and escapes.
    pub text: Option<String>,
    /// Other parameters, as written.
    pub params: Params,
}

impl Reason {
    /// A value without other parameters.
    pub fn new(protocol: &str, cause: u16, text: Option<&str>) -> Reason {
        Reason {
            protocol: protocol.to_owned(),
            cause: Some(cause),
            text: text.map(str::to_owned),
            params: Params::default(),
        }
    }

    /// Whether a header value is a list of reasons, and nothing that a reader could take for something else.
    pub fn is_list(value: &str) -> bool {
        let parts = split_values(value.as_bytes(), b',');
        let is_one = |part: &[u8]| std::str::from_utf8(part).is_ok_and(|part| trim(part).parse::<Reason>().is_ok());
        parts.into_iter().all(is_one)
    }

    /// True for a Q.850 cause.
    pub fn is_q850(&self) -> bool {
        self.protocol.eq_ignore_ascii_case("Q.850")
    }
}

impl FromStr for Reason {
    type Err = HeaderError;

    fn from_str(value: &str) -> Result<Reason, HeaderError> {
        let fail = |reason| HeaderError::new(HeaderName::Reason, reason, value.as_bytes());
        let (protocol, params) = value.split_once(';').unwrap_or((value, ""));
        let protocol = trim(protocol);
        if !is_token(protocol.as_bytes()) {
            return Err(fail("no protocol"));
        }
        let params = Params::parse(params).ok_or_else(|| fail("a parameter is malformed"))?;
        let cause = match params.get("cause") {
            None => None,
            Some(cause) => Some(cause.parse().map_err(|_| fail("the cause is no number"))?),
        };
        let text = params.unquoted("text").map(|text| text.into_owned());
        Ok(Reason {
            protocol: protocol.to_owned(),
            cause,
            text,
            params: params.without("cause").without("text"),
        })
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.protocol)?;
        if let Some(cause) = self.cause {
            write!(f, ";cause={cause}")?;
        }
        if let Some(text) = &self.text {
            let mut quoted = String::with_capacity(text.len() + 2);
            push_quoted(text, &mut quoted);
            write!(f, ";text={quoted}")?;
        }
        if !self.params.is_empty() {
            write!(f, ";{}", self.params)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn teams_text_with_commas_and_semicolons() {
        let text = "Q.850;cause=63;text=\"d8534b2e;Provided 'x' is not allowed, use: a, *.a.\";ms=1";
        let read: Reason = text.parse().unwrap();
        assert!(read.is_q850());
        assert_eq!(read.cause, Some(63));
        assert_eq!(
            read.text.as_deref(),
            Some("d8534b2e;Provided 'x' is not allowed, use: a, *.a.")
        );
        assert_eq!(read.to_string(), text);
    }

    #[test]
    fn what_is_no_list_of_reasons() {
        for list in [
            "Q.850;cause=17",
            "SIP ;cause=200;text=\"a, b\", Q.850;cause=16;text=\"c\"",
            "X;y",
        ] {
            assert!(Reason::is_list(list), "{list}");
        }
        for other in [
            "Q.850;cause=17;text=\"a\"b\"",
            "Q.850;cause=17;text=\"a",
            "",
            "Q.850;cause=x",
            "Q.850,",
        ] {
            assert!(!Reason::is_list(other), "{other}");
        }
    }

    #[test]
    fn text_is_quoted_and_clean() {
        let made = Reason::new("SIP", 200, Some("say \"hi\"\r\nEvil: 1"));
        assert_eq!(made.to_string(), "SIP;cause=200;text=\"say \\\"hi\\\"  Evil: 1\"");
    }

    #[test]
    fn nonsense_is_refused() {
        for bad in ["", ";cause=1", "SIP;cause=x", "SIP;text=\"a", "S I P"] {
            assert!(bad.parse::<Reason>().is_err(), "{bad}");
        }
    }
}
