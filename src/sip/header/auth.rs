//! Challenges and credentials (RFC 3261 §22, RFC 7616, RFC 8760): a scheme and a comma list of parameters. What they mean is
//! digest's business.

use super::HeaderError;
use super::params::{push_quoted, unquote};
use crate::sip::grammar::{is_token, split_values, trim};
use crate::sip::message::HeaderName;
use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

/// Parameters of a challenge or of credentials, twice as many as RFC 7616 knows. Each is compared with those before it, and
/// whoever sends them has proven nothing yet.
const MOST_PARAMS: usize = 24;

/// Parameters of a challenge or of credentials; one that can't be read makes the whole unreadable.
#[derive(Debug, Clone, PartialEq, Eq)]
struct AuthParams {
    scheme: String,
    params: Vec<(String, String)>,
}

/// A value of WWW-Authenticate or Proxy-Authenticate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Challenge(AuthParams);

/// A value of Authorization or Proxy-Authorization.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Credentials(AuthParams);

macro_rules! wrapper {
    ($type:ident, $header:expr) => {
        impl $type {
            /// A value without parameters; `scheme` is `Digest` here.
            pub fn new(scheme: &str) -> $type {
                $type(AuthParams {
                    scheme: scheme.to_owned(),
                    params: Vec::new(),
                })
            }

            pub fn scheme(&self) -> &str {
                &self.0.scheme
            }

            /// A parameter without quotes and escapes; its name is compared case-blind.
            pub fn param(&self, name: &str) -> Option<Cow<'_, str>> {
                self.0.find(name).map(unquote)
            }

            /// Appends a parameter as a token (`algorithm=MD5`).
            #[must_use]
            pub fn token(mut self, name: &str, value: &str) -> $type {
                let value = if is_token(value.as_bytes()) {
                    value.to_owned()
                } else {
                    quoted(value)
                };
                self.0.params.push((name.to_owned(), value));
                self
            }

            /// Appends a parameter as a quoted string (`realm="x"`).
            #[must_use]
            pub fn quoted(mut self, name: &str, value: &str) -> $type {
                self.0.params.push((name.to_owned(), quoted(value)));
                self
            }
        }

        impl FromStr for $type {
            type Err = HeaderError;

            fn from_str(value: &str) -> Result<$type, HeaderError> {
                AuthParams::parse(value)
                    .map($type)
                    .map_err(|reason| HeaderError::new($header, reason, value.as_bytes()))
            }
        }

        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

wrapper!(Challenge, HeaderName::WwwAuthenticate);
wrapper!(Credentials, HeaderName::Authorization);

impl AuthParams {
    fn parse(value: &str) -> Result<AuthParams, &'static str> {
        let value = trim(value);
        let (scheme, list) = value.split_once([' ', '\t']).ok_or("no parameters")?;
        if !is_token(scheme.as_bytes()) {
            return Err("no scheme");
        }
        let mut params: Vec<(String, String)> = Vec::with_capacity(8);
        for part in split_values(list.as_bytes(), b',') {
            let part = std::str::from_utf8(part).map_err(|_| "not UTF-8")?;
            if part.is_empty() {
                continue;
            }
            if params.len() == MOST_PARAMS {
                return Err("too many parameters");
            }
            let (name, value) = part.split_once('=').ok_or("a parameter without a value")?;
            let (name, value) = (trim(name), trim(value));
            let whole = match value.strip_prefix('"') {
                Some(_) => crate::sip::grammar::quoted_length(value.as_bytes()) == Some(value.len()),
                None => !value.contains(['"', ' ', '\t']),
            };
            if !is_token(name.as_bytes()) || !whole {
                return Err("a parameter is malformed");
            }
            // Two answers to one question would let the reader choose: RFC 7616 allows each once.
            if params.iter().any(|(known, _)| known.eq_ignore_ascii_case(name)) {
                return Err("a parameter twice");
            }
            params.push((name.to_owned(), value.to_owned()));
        }
        Ok(AuthParams {
            scheme: scheme.to_owned(),
            params,
        })
    }

    fn find(&self, name: &str) -> Option<&str> {
        self.params
            .iter()
            .find(|(key, _)| key.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
    }
}

fn quoted(value: &str) -> String {
    let mut out = String::with_capacity(value.len() + 2);
    push_quoted(value, &mut out);
    out
}

impl fmt::Display for AuthParams {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.scheme)?;
        for (at, (name, value)) in self.params.iter().enumerate() {
            write!(f, "{}{name}={value}", if at == 0 { " " } else { ", " })?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_challenge_with_commas_in_quotes() {
        let text = "Digest realm=\"a, b\", qop=\"auth,auth-int\", nonce=\"x=\\\"y\", algorithm=SHA-256, stale=FALSE";
        let read: Challenge = text.parse().unwrap();
        assert_eq!(read.param("QOP").as_deref(), Some("auth,auth-int"));
        assert_eq!(read.param("nonce").as_deref(), Some("x=\"y"));
        assert_eq!(read.to_string(), text);
    }

    #[test]
    fn built_values_read_back() {
        let made = Credentials::new("Digest")
            .quoted("username", "a\"b\r\n")
            .token("nc", "00000001");
        let read: Credentials = made.to_string().parse().unwrap();
        assert_eq!(read.param("username").as_deref(), Some("a\"b  "));
        assert_eq!(read.param("nc").as_deref(), Some("00000001"));
    }

    #[test]
    fn a_list_that_would_take_long_to_compare_is_refused() {
        let list = |count: usize| {
            let params: Vec<String> = (0..count).map(|at| format!("p{at}=1")).collect();
            format!("Digest {}", params.join(","))
        };
        assert!(list(MOST_PARAMS).parse::<Credentials>().is_ok());
        for count in [MOST_PARAMS + 1, 1_000] {
            assert!(list(count).parse::<Credentials>().is_err(), "{count}");
            assert!(list(count).parse::<Challenge>().is_err(), "{count}");
        }
    }

    #[test]
    fn broken_lists_are_refused() {
        for bad in [
            "Digest",
            "Digest realm",
            "Digest realm=\"x",
            "Digest a=1, A=2",
            "Digest a=\"b\"c",
            " =x",
        ] {
            assert!(bad.parse::<Challenge>().is_err(), "{bad}");
        }
    }
}
