//! Retry-After (RFC 3261 §20.33): seconds, a comment, parameters.

use super::HeaderError;
use crate::sip::grammar::{digits, trim};
use crate::sip::message::HeaderName;
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

/// How long to leave the sender alone. Comment and parameters are not kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RetryAfter(pub Duration);

impl FromStr for RetryAfter {
    type Err = HeaderError;

    fn from_str(value: &str) -> Result<RetryAfter, HeaderError> {
        let number = value.split([';', '(']).next().unwrap_or_default();
        digits(trim(number).as_bytes())
            .and_then(|seconds| u32::try_from(seconds).ok())
            .map(|seconds| RetryAfter(Duration::from_secs(seconds.into())))
            .ok_or_else(|| HeaderError::new(HeaderName::RetryAfter, "not a number of seconds", value.as_bytes()))
    }
}

impl fmt::Display for RetryAfter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0.as_secs())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_and_parameters_are_passed_over() {
        for text in ["18000;duration=3600", "18000 (I'm in a meeting; later)", "18000"] {
            assert_eq!(text.parse(), Ok(RetryAfter(Duration::from_secs(18000))));
        }
        for bad in ["949302838503028349304023988", "-1", "", "(now)"] {
            assert!(bad.parse::<RetryAfter>().is_err(), "{bad}");
        }
    }
}
