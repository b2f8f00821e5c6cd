//! portcullis: a session border controller between telephone carriers and Microsoft Teams Direct Routing.
//!
//! Three rings, inner never imports outer (`tests/behaviour/rings.rs` walks the `use` lines):
//! protocol (pure, sans-IO), runtime (tokio, threads, sockets, files), product.

// protocol ring
pub mod codec;
pub mod moment;
pub mod rtp;
pub mod sdp;
pub mod sip;
pub mod srtp;
// runtime ring
pub mod media;
pub mod net;
// product ring
pub mod api;
pub mod call;
pub mod carrier;
pub mod cli;
pub mod config;
pub mod guard;
pub mod observe;
pub mod route;
pub mod sim;
pub mod teams;
