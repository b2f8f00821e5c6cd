//! What both sides of a TLS connection have agreed on.

use rustls::{CipherSuite, CommonState, ProtocolVersion};
use std::fmt;

/// Version and suite of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Agreed {
    version: ProtocolVersion,
    suite: CipherSuite,
}

impl Agreed {
    /// Known once the handshake is done.
    pub fn of(session: &CommonState) -> Option<Agreed> {
        Some(Agreed {
            version: session.protocol_version()?,
            suite: session.negotiated_cipher_suite()?.suite(),
        })
    }
}

impl fmt::Display for Agreed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} {:?}", self.version, self.suite)
    }
}
