//! Users that register: the registrar's settings and a tenant's realm.

use super::Hook;
use crate::config::names::{HostName, Secret, UserName};
use crate::config::number::E164;
use crate::sip::digest::{Algorithm, Password};
use std::path::PathBuf;
use std::time::Duration;

/// The registrar of the machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RegistrarSettings {
    /// Where bindings are kept over a restart; `None`: nowhere.
    pub store: Option<PathBuf>,
    pub min_expires: Duration,
    pub max_expires: Duration,
    /// The longest that a user behind NAT over UDP gets.
    pub nat_expires: Duration,
    pub bindings_per_user: usize,
    pub bindings_per_tenant: usize,
    /// For the first response to an INVITE.
    pub response_timeout: Duration,
    /// Requests a second from one address.
    pub requests_per_source: u32,
}

/// Whom a tenant's users register with, and the users.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Realm {
    pub name: HostName,
    /// By name.
    pub users: Vec<User>,
    /// What challenges offer, the strongest first: what every user's password is known for.
    pub algorithms: Vec<Algorithm>,
    /// Asked about users that are not listed. Always of HTTP.
    pub hook: Option<Hook>,
    /// They may refer the other side of a call to whom they may call themselves (TEAMS-091).
    pub refer: bool,
}

impl Realm {
    /// The user of this name; case counts (RFC 3261 §19.1.4).
    pub fn user(&self, name: &str) -> Option<&User> {
        let position = self.users.binary_search_by(|user| user.name.as_str().cmp(name)).ok()?;
        self.users.get(position)
    }
}

/// A user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    pub name: UserName,
    pub secret: UserSecret,
    /// Shown when the user calls a number.
    pub number: Option<E164>,
    pub display: Option<String>,
    pub may_call: Reach,
    pub srtp: bool,
}

/// A password as its hashes: each is as good as the password within the realm.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UserSecret {
    pub md5: Option<Secret>,
    pub sha256: Option<Secret>,
}

impl UserSecret {
    /// As the digest wants it.
    pub fn password(&self) -> Password<'_> {
        Password::Hashed {
            md5: self.md5.as_ref().map(Secret::reveal),
            sha256: self.sha256.as_ref().map(Secret::reveal),
        }
    }
}

/// Whom a user may call beside emergency numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Reach {
    pub users: bool,
    pub teams: bool,
    pub phones: bool,
}
