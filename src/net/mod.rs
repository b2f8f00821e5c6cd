//! Sockets: UDP, TCP, TLS listeners and pools, DNS, certificates, the transaction shards.

pub mod dns;
pub mod tls;
