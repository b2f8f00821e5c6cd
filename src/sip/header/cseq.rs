//! CSeq (RFC 3261 §20.16).

use super::HeaderError;
use crate::sip::grammar::{digits, trim_bytes};
use crate::sip::message::HeaderName;
use crate::sip::method::Method;
use std::fmt;

/// A sequence number below 2^31 and a method.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CSeq {
    pub number: u32,
    pub method: Method,
}

impl CSeq {
    pub(crate) fn parse_bytes(value: &[u8]) -> Result<CSeq, HeaderError> {
        let fail = |reason| HeaderError::new(HeaderName::CSeq, reason, value);
        let blank = value
            .iter()
            .position(|byte| matches!(byte, b' ' | b'\t'))
            .ok_or_else(|| fail("no method"))?;
        let (number, method) = value.split_at_checked(blank).unwrap_or_default();
        let number = digits(number)
            .and_then(|number| u32::try_from(number).ok())
            .filter(|number| *number < 1 << 31)
            .ok_or_else(|| fail("the number is not below 2^31"))?;
        let method = Method::from_bytes(trim_bytes(method)).map_err(|_| fail("the method is no token"))?;
        Ok(CSeq { number, method })
    }
}

impl std::str::FromStr for CSeq {
    type Err = HeaderError;

    fn from_str(value: &str) -> Result<CSeq, HeaderError> {
        CSeq::parse_bytes(trim_bytes(value.as_bytes()))
    }
}

impl fmt::Display for CSeq {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.number, self.method)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_stay_below_two_to_the_31() {
        let read: CSeq = "0009   INVITE".parse().unwrap();
        assert_eq!((read.number, read.method), (9, Method::Invite));
        for bad in ["2147483648 INVITE", "4294967296 BYE", "-1 BYE", "1", "BYE", "1 B Y", ""] {
            assert!(bad.parse::<CSeq>().is_err(), "{bad}");
        }
    }
}
