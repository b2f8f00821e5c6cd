//! The SRTP contexts of one leg, both directions.

use super::Security;
use super::leg::MAX_PACKET;
use crate::moment::Moment;
use crate::srtp::{Receiver, Sender, SrtpError};
use std::time::Duration;

/// How long packets under the peer's last key are still taken: what was in flight when it changed.
const OVERLAP: Duration = Duration::from_secs(5);

/// Made when keys are negotiated; kept while they stay the same.
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

    /// Keeps the receiving context of the protection that this one follows for a moment.
    pub fn follows(&mut self, before: Protection, now: Moment) {
        self.previous = Some(Box::new((before.receiver, now + OVERLAP)));
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
