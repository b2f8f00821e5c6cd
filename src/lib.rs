//! portcullis: a session border controller between telephone carriers and Microsoft Teams Direct Routing.
//!
//! Three rings, inner never imports outer (`tests/behaviour/rings.rs` walks the `use` lines):
//! protocol (pure, sans-IO), runtime (tokio, threads, sockets, files), product.

// Nothing that a peer sends may end a call's task, let alone the process. Indexing can't either in the inner rings; where
// a type bounds the index, the place says so.
#![cfg_attr(
    not(test),
    warn(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic,
        clippy::todo,
        clippy::unreachable,
        clippy::string_slice,
        clippy::await_holding_lock
    )
)]

// protocol ring
#[cfg_attr(not(test), warn(clippy::indexing_slicing))]
pub mod codec;
#[cfg_attr(not(test), warn(clippy::indexing_slicing))]
pub mod ice;
pub mod moment;
#[cfg_attr(not(test), warn(clippy::indexing_slicing))]
pub mod pidf;
#[cfg_attr(not(test), warn(clippy::indexing_slicing))]
pub mod rtp;
#[cfg_attr(not(test), warn(clippy::indexing_slicing))]
pub mod sdp;
#[cfg_attr(not(test), warn(clippy::indexing_slicing))]
pub mod sip;
#[cfg_attr(not(test), warn(clippy::indexing_slicing))]
pub mod srtp;
// runtime ring
#[cfg_attr(not(test), warn(clippy::indexing_slicing))]
pub mod media;
#[cfg_attr(not(test), warn(clippy::indexing_slicing))]
pub mod net;
pub mod store;
// product ring
pub mod api;
pub mod app;
pub mod call;
pub mod carrier;
pub mod cli;
pub mod config;
pub mod dial;
pub mod emergency;
pub mod guard;
pub mod observe;
pub mod registrar;
pub mod route;
pub mod sim;
pub mod teams;
