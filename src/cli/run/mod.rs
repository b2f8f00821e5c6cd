//! `portcullis run`: the node, from configuration to the last call.

mod assemble;
mod start;
mod tls;

pub use start::{Running, StartError, start};
