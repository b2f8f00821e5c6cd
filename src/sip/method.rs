//! Request methods (RFC 3261 §7.1): case-sensitive tokens.

use super::grammar::is_token;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// A request method. `invite` is not `Invite`: it is an extension method.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub enum Method {
    Invite,
    Ack,
    Bye,
    Cancel,
    Options,
    Register,
    Prack,
    Update,
    Info,
    Refer,
    Notify,
    Subscribe,
    Message,
    Publish,
    /// Any other token.
    Other(ExtensionMethod),
}

/// The name of a method that has no variant of its own.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ExtensionMethod(Box<str>);

impl ExtensionMethod {
    /// The name as written.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A method that is no token, or longer than [`Method::MAX_LENGTH`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a method is a token of at most {} bytes, this has {length}", Method::MAX_LENGTH)]
pub struct InvalidMethod {
    /// Bytes of what was given.
    pub length: usize,
}

impl Method {
    /// Longest method name that is accepted, in bytes.
    pub const MAX_LENGTH: usize = 64;

    /// The name on the wire.
    pub fn as_str(&self) -> &str {
        match self {
            Method::Invite => "INVITE",
            Method::Ack => "ACK",
            Method::Bye => "BYE",
            Method::Cancel => "CANCEL",
            Method::Options => "OPTIONS",
            Method::Register => "REGISTER",
            Method::Prack => "PRACK",
            Method::Update => "UPDATE",
            Method::Info => "INFO",
            Method::Refer => "REFER",
            Method::Notify => "NOTIFY",
            Method::Subscribe => "SUBSCRIBE",
            Method::Message => "MESSAGE",
            Method::Publish => "PUBLISH",
            Method::Other(name) => name.as_str(),
        }
    }

    /// True when a success makes a dialog, so that its responses repeat Record-Route (RFC 3261 §12.1.1).
    pub fn creates_dialog(&self) -> bool {
        matches!(self, Method::Invite | Method::Subscribe | Method::Refer)
    }

    pub(crate) fn from_bytes(name: &[u8]) -> Result<Method, InvalidMethod> {
        Ok(match name {
            b"INVITE" => Method::Invite,
            b"ACK" => Method::Ack,
            b"BYE" => Method::Bye,
            b"CANCEL" => Method::Cancel,
            b"OPTIONS" => Method::Options,
            b"REGISTER" => Method::Register,
            b"PRACK" => Method::Prack,
            b"UPDATE" => Method::Update,
            b"INFO" => Method::Info,
            b"REFER" => Method::Refer,
            b"NOTIFY" => Method::Notify,
            b"SUBSCRIBE" => Method::Subscribe,
            b"MESSAGE" => Method::Message,
            b"PUBLISH" => Method::Publish,
            _ if is_token(name) && name.len() <= Method::MAX_LENGTH => {
                Method::Other(ExtensionMethod(String::from_utf8_lossy(name).into()))
            }
            _ => return Err(InvalidMethod { length: name.len() }),
        })
    }
}

impl FromStr for Method {
    type Err = InvalidMethod;

    fn from_str(name: &str) -> Result<Method, InvalidMethod> {
        Method::from_bytes(name.as_bytes())
    }
}

impl TryFrom<String> for Method {
    type Error = InvalidMethod;

    fn try_from(name: String) -> Result<Method, InvalidMethod> {
        name.parse()
    }
}

impl From<Method> for String {
    fn from(method: Method) -> String {
        method.as_str().to_owned()
    }
}

impl fmt::Display for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn case_decides() {
        assert_eq!("INVITE".parse(), Ok(Method::Invite));
        let lower: Method = "invite".parse().unwrap();
        assert_ne!(lower, Method::Invite);
        assert_eq!(lower.as_str(), "invite");
    }

    #[test]
    fn only_short_tokens() {
        assert!("!interesting-Method0123456789_*+`.%indeed'~".parse::<Method>().is_ok());
        assert_eq!("M".repeat(200).parse::<Method>(), Err(InvalidMethod { length: 200 }));
        assert!("".parse::<Method>().is_err());
        assert!("INV ITE".parse::<Method>().is_err());
    }
}
