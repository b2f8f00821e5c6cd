//! The SRTP contexts of one leg, both directions.

use super::Security;
use super::leg::MAX_PACKET;
use crate::moment::Moment;
use crate::srtp::{Receiver, Sender, SrtpError};
use std::time::Duration;

/// How long packets under the peer's last key are still taken: what was in flight when it changed.
const OVERLAP: Duration = Duration::from_secs(5);

/// Made when keys are negotiated; each direction goes on while its key stays the same.
pub(super) struct Protection {
    pub sender: Sender,
    receiver: Receiver,
    previous: Option<Box<(Receiver, Moment)>>,
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
                previous: None,
            }))),
        }
    }

    /// The contexts for `security` behind these, which were made for `before`: only a new key begins at rollover counter 0,
    /// for the old one's would repeat its keystream (RFC 3711 §9.1) and lose a peer that counts on. What arrives under
    /// the peer's last key is still read for a moment.
    pub fn renew(&mut self, before: &Security, security: &Security, now: Moment) -> Result<(), SrtpError> {
        let Some(fresh) = Protection::new(security)? else {
            return Ok(());
        };
        if !before.sends_like(security) {
            self.sender = fresh.sender;
        }
        if !before.receives_like(security) {
            let last = std::mem::replace(&mut self.receiver, fresh.receiver);
            self.previous = Some(Box::new((last, now + OVERLAP)));
        }
        Ok(())
    }

    /// Verifies and decrypts RTP in place.
    pub fn unprotect_rtp(&mut self, packet: &mut [u8], now: Moment) -> Result<usize, SrtpError> {
        self.unprotect(packet, now, Receiver::unprotect_rtp)
    }

    /// Verifies and decrypts RTCP in place.
    pub fn unprotect_rtcp(&mut self, packet: &mut [u8], now: Moment) -> Result<usize, SrtpError> {
        self.unprotect(packet, now, Receiver::unprotect_rtcp)
    }

    fn unprotect(
        &mut self,
        packet: &mut [u8],
        now: Moment,
        by: fn(&mut Receiver, &mut [u8]) -> Result<usize, SrtpError>,
    ) -> Result<usize, SrtpError> {
        self.previous.take_if(|previous| now >= previous.1);
        let Some((previous, _)) = self.previous.as_deref_mut() else {
            return by(&mut self.receiver, packet);
        };
        // a failed attempt leaves the bytes undefined
        let mut copy = [0; MAX_PACKET];
        let Some(copy) = copy.get_mut(..packet.len()) else {
            return by(&mut self.receiver, packet);
        };
        copy.copy_from_slice(packet);
        match by(&mut self.receiver, packet) {
            Err(SrtpError::AuthFailed) => {
                packet.copy_from_slice(copy);
                by(previous, packet)
            }
            verdict => verdict,
        }
    }
}
