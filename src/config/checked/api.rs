//! The REST interface and its tokens.

use crate::config::token::TokenDigest;
use std::net::SocketAddr;

/// `[api]`: where the REST interface listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Api {
    /// A loopback address unless the file says `allow_remote`.
    pub bind: SocketAddr,
    /// What applications are told, without a slash at its end.
    pub base_url: Option<String>,
    /// With one token.
    pub requests_per_second: u32,
}

/// A token that opens its tenant's account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiToken {
    pub name: String,
    pub digest: TokenDigest,
}
