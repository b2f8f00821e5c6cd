//! The transports with real sockets on 127.0.0.1.

pub(super) mod harness;
mod pool;
mod streams;
mod tls;
mod udp;
