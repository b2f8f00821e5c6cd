//! TLS in both directions: who we are (identities, chosen by SNI, swapped while running) and whom we believe (roots,
//! names, usages). Only TLS 1.2 and 1.3, only aws-lc-rs.
//!
//! In: PEM files, roots, the names that a peer must prove. Out: one acceptor or connector configuration per handshake,
//! and for every refusal a typed [`PeerRejected`] besides the alert that the peer sees.
//!
//! Sessions are never resumed: a resumed session would skip the peer's verification and keep showing the certificate
//! of the first handshake, so neither a withdrawn root nor a renewed leaf (TEAMS-012) would take effect.

mod agreed;
pub mod authority;
mod expiry;
mod identity;
mod names;
mod pem;
mod profile;
mod rejection;
mod roots;
mod store;
mod trial;
mod verify;
mod web;

pub use agreed::Agreed;
pub use expiry::ExpiryWatch;
pub use identity::{Identity, IdentityError, IdentityFiles, KeyKind};
pub use names::covers;
pub use profile::{ClientCertificates, ClientTrust, Evidence, Generation, TlsProfile, TlsProfileError};
pub use rejection::PeerRejected;
pub use roots::{ROOTS_OF_TEAMS, RootsError, TrustRoots};
pub use store::{IdentityPlace, IdentityStore, Reload};
pub use trial::{Offered, Shown, believes_a_server_only_client, trial};
pub use verify::peer_certificate;
pub use web::web_client;

#[cfg(test)]
pub(in crate::net) mod fixtures;
#[cfg(test)]
mod tests;
