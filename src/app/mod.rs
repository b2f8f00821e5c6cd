//! Applications that steer calls.

pub mod outbound;
pub mod websocket;
