//! Applications that steer calls.

pub mod outbound;
pub mod sounds;
pub mod websocket;
