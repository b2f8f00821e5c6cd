//! Digest authentication (RFC 7616, RFC 2617, RFC 8760), both sides, as pure decisions: [`DigestClient`] answers the
//! challenges of the one realm whose credentials are configured, [`DigestServer`] challenges and reads what comes back, and
//! [`UsedNonces`] alone remembers anything.

mod algorithm;
mod client;
mod server;

pub use algorithm::Algorithm;
pub use client::{Credentials, DigestClient, DigestError, realm_of};
pub use server::{Authorizations, Claim, DigestServer, Password, Realm, Unproven, UsedNonces, User};
