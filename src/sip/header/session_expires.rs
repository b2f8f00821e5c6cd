//! Session-Expires and Min-SE (RFC 4028).

use super::HeaderError;
use super::params::Params;
use crate::sip::grammar::{digits, trim};
use crate::sip::message::HeaderName;
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

/// Which side refreshes the session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refresher {
    Uac,
    Uas,
}

/// The session interval, and who refreshes it when that is settled. Other parameters are not kept: the value is negotiated
/// anew on each leg.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SessionExpires {
    pub interval: Duration,
    pub refresher: Option<Refresher>,
}

/// The shortest session interval that a hop accepts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MinSe(pub Duration);

impl FromStr for SessionExpires {
    type Err = HeaderError;

    fn from_str(value: &str) -> Result<SessionExpires, HeaderError> {
        let (interval, params) = seconds(HeaderName::SessionExpires, value)?;
        let refresher = match params.get("refresher") {
            None => None,
            Some(side) if side.eq_ignore_ascii_case("uac") => Some(Refresher::Uac),
            Some(side) if side.eq_ignore_ascii_case("uas") => Some(Refresher::Uas),
            Some(_) => {
                let reason = "the refresher is neither uac nor uas";
                return Err(HeaderError::new(HeaderName::SessionExpires, reason, value.as_bytes()));
            }
        };
        Ok(SessionExpires { interval, refresher })
    }
}

impl FromStr for MinSe {
    type Err = HeaderError;

    fn from_str(value: &str) -> Result<MinSe, HeaderError> {
        seconds(HeaderName::MinSe, value).map(|(interval, _)| MinSe(interval))
    }
}

fn seconds(header: HeaderName, value: &str) -> Result<(Duration, Params), HeaderError> {
    let (number, params) = value.split_once(';').unwrap_or((value, ""));
    let seconds = digits(trim(number).as_bytes())
        .and_then(|seconds| u32::try_from(seconds).ok())
        .ok_or_else(|| HeaderError::new(header, "not a number of seconds", value.as_bytes()))?;
    let params =
        Params::parse(params).ok_or_else(|| HeaderError::new(header, "a parameter is malformed", value.as_bytes()))?;
    Ok((Duration::from_secs(seconds.into()), params))
}

impl fmt::Display for Refresher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Refresher::Uac => "uac",
            Refresher::Uas => "uas",
        })
    }
}

impl fmt::Display for SessionExpires {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.interval.as_secs())?;
        match self.refresher {
            Some(side) => write!(f, ";refresher={side}"),
            None => Ok(()),
        }
    }
}

impl fmt::Display for MinSe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0.as_secs())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_forms_print_back() {
        for text in ["3600", "1800;refresher=uac", "90;refresher=uas"] {
            assert_eq!(text.parse::<SessionExpires>().unwrap().to_string(), text);
        }
        let spaced: SessionExpires = " 1800 ; Refresher = UAS".parse().unwrap();
        assert_eq!(spaced.refresher, Some(Refresher::Uas));
        assert_eq!("300;x=y".parse::<MinSe>().unwrap().to_string(), "300");
    }

    #[test]
    fn nonsense_is_refused() {
        for bad in ["", "-1", "90;refresher=me", "4294967296", "90;;", "1 2"] {
            assert!(bad.parse::<SessionExpires>().is_err(), "{bad}");
        }
    }
}
