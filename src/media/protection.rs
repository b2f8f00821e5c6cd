//! The SRTP contexts of one leg, both directions.

use super::Security;
use crate::srtp::{Receiver, Sender, SrtpError};

/// Made when keys are negotiated; kept while they stay the same.
pub(super) struct Protection {
    pub sender: Sender,
    pub receiver: Receiver,
}

impl Protection {
    /// Contexts at rollover counter 0; None for plain RTP.
    pub fn new(security: &Security) -> Result<Option<Box<Protection>>, SrtpError> {
        match security {
            Security::Plain { .. } => Ok(None),
            Security::Sdes {
                local,
                remote,
                remote_mki_len,
            } => Ok(Some(Box::new(Protection {
                sender: Sender::new(local)?,
                receiver: Receiver::with_mki(remote, *remote_mki_len)?,
            }))),
        }
    }
}
