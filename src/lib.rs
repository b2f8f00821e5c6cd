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
#[allow(
    clippy::disallowed_methods,
    reason = "media threads read one monotonic clock a wake-up, without tokio"
)]
pub mod media;
pub mod net;
// product ring
pub mod api;
pub mod call;
pub mod carrier;
pub mod cli;
#[allow(
    clippy::disallowed_methods,
    reason = "loading is timed for its report; no decision reads a clock"
)]
pub mod config;
pub mod dial;
pub mod guard;
pub mod observe;
pub mod route;
pub mod sim;
pub mod teams;
