//! What a destination of a dial is called toward its application.

use serde::{Deserialize, Serialize};
use std::fmt;

/// The kind of a target and what it was named by.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TargetName {
    kind: TargetType,
    name: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum TargetType {
    Phone,
    Sip,
    User,
    Teams,
}

impl TargetName {
    /// A telephone number.
    pub fn phone(number: &str) -> TargetName {
        TargetName::new(TargetType::Phone, number)
    }

    /// A SIP URI.
    pub fn sip(uri: &str) -> TargetName {
        TargetName::new(TargetType::Sip, uri)
    }

    /// A user that registers here.
    pub fn user(name: &str) -> TargetName {
        TargetName::new(TargetType::User, name)
    }

    /// The number of a Teams user.
    pub fn teams(number: &str) -> TargetName {
        TargetName::new(TargetType::Teams, number)
    }

    fn new(kind: TargetType, name: &str) -> TargetName {
        TargetName {
            kind,
            name: name.to_owned(),
        }
    }

    /// `phone`, `sip`, `user` or `teams`.
    pub fn kind(&self) -> &'static str {
        match self.kind {
            TargetType::Phone => "phone",
            TargetType::Sip => "sip",
            TargetType::User => "user",
            TargetType::Teams => "teams",
        }
    }

    /// The number, name or URI.
    pub fn name(&self) -> &str {
        &self.name
    }
}

impl fmt::Display for TargetName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.kind(), self.name)
    }
}
