//! The SRTP contexts of one leg, both directions.

use super::Security;
use super::leg::MAX_PACKET;
use crate::moment::Moment;
use crate::srtp::{MasterKey, Receiver, Sender, SrtpError};
use std::time::Duration;

/// How long packets under the peer's last key are still taken, while none comes under the new one: what was in flight when
/// it changed.
const OVERLAP: Duration = Duration::from_secs(5);

/// Made when keys are negotiated; each direction goes on while its key stays the same.
pub(super) struct Protection {
    pub sender: Sender,
    /// One; while forks ring, one of each. Whose packet was verified last stands first.
    receivers: Vec<Keyed>,
    previous: Option<Box<(Receiver, Moment)>>,
}

/// A packet that was verified.
#[derive(Debug, Clone, Copy)]
pub(super) struct Verified {
    pub len: usize,
    /// Under the peer's last key: it may come from where nobody is any more.
    pub in_flight: bool,
}

/// A context and what it was made of.
struct Keyed {
    key: MasterKey,
    mki_len: u8,
    receiver: Receiver,
    /// When a packet under this key was believed last.
    heard: Option<Moment>,
}

impl Protection {
    /// Contexts at rollover counter 0; None for plain RTP.
    pub fn new(security: &Security) -> Result<Option<Box<Protection>>, SrtpError> {
        let Security::Sdes { local, .. } = security else {
            return Ok(None);
        };
        let keyed = |(key, mki_len): (&MasterKey, u8)| {
            Ok(Keyed {
                receiver: Receiver::with_mki(key, mki_len)?,
                key: key.clone(),
                mki_len,
                heard: None,
            })
        };
        Ok(Some(Box::new(Protection {
            sender: Sender::new(local)?,
            receivers: security.remote_keys().map(keyed).collect::<Result<_, SrtpError>>()?,
            previous: None,
        })))
    }

    /// The contexts for `security` behind these, which were made for `before`: only a new key begins at rollover counter 0,
    /// for the old one's would repeat its keystream (RFC 3711 §9.1) and lose a peer that counts on. What arrives under
    /// the peer's last key is still read for a moment, until the new one is heard; not so what forks sent.
    pub fn renew(&mut self, before: &Security, security: &Security, now: Moment) -> Result<(), SrtpError> {
        let Some(fresh) = Protection::new(security)? else {
            return Ok(());
        };
        if !before.sends_like(security) {
            self.sender = fresh.sender;
        }
        let mut last = std::mem::replace(&mut self.receivers, fresh.receivers);
        for keyed in &mut self.receivers {
            let is_same = |known: &Keyed| known.key == keyed.key && known.mki_len == keyed.mki_len;
            if let Some(at) = last.iter().position(is_same) {
                *keyed = last.swap_remove(at);
            }
        }
        if !before.receives_like(security)
            && !before.is_of_forks()
            && let Some(last) = last.pop()
        {
            self.previous = Some(Box::new((last.receiver, now + OVERLAP)));
        }
        Ok(())
    }

    /// The packet that was verified just now is what is heard: two at once would be noise.
    pub fn believed(&mut self, now: Moment) {
        self.previous = None;
        if let Some(keyed) = self.receivers.first_mut() {
            keyed.heard = Some(now);
        }
    }

    /// Whether no other key than that of `security` is the one that a packet was believed under last.
    pub fn was_heard_under(&self, security: &Security) -> bool {
        let of_peer = security.remote_keys().next();
        let heard = self.receivers.iter().filter(|keyed| keyed.heard.is_some());
        let last = heard.max_by_key(|keyed| keyed.heard);
        last.is_none() || last.map(|keyed| (&keyed.key, keyed.mki_len)) == of_peer
    }

    /// Verifies and decrypts RTP in place.
    pub fn unprotect_rtp(&mut self, packet: &mut [u8], now: Moment) -> Result<Verified, SrtpError> {
        self.unprotect(packet, now, Receiver::unprotect_rtp)
    }

    /// Verifies and decrypts RTCP in place.
    pub fn unprotect_rtcp(&mut self, packet: &mut [u8], now: Moment) -> Result<Verified, SrtpError> {
        self.unprotect(packet, now, Receiver::unprotect_rtcp)
    }

    fn unprotect(
        &mut self,
        packet: &mut [u8],
        now: Moment,
        by: fn(&mut Receiver, &mut [u8]) -> Result<usize, SrtpError>,
    ) -> Result<Verified, SrtpError> {
        let verified = |in_flight| move |len| Verified { len, in_flight };
        self.previous.take_if(|previous| now >= previous.1);
        if let ([only], None) = (self.receivers.as_mut_slice(), &self.previous) {
            return by(&mut only.receiver, packet).map(verified(false));
        }
        // a failed attempt leaves the bytes undefined
        let mut copy = [0; MAX_PACKET];
        let Some(copy) = copy.get_mut(..packet.len()) else {
            return Err(SrtpError::AuthFailed);
        };
        copy.copy_from_slice(packet);
        for at in 0..self.receivers.len() {
            let Some(keyed) = self.receivers.get_mut(at) else { break };
            match by(&mut keyed.receiver, packet) {
                Err(SrtpError::AuthFailed) => packet.copy_from_slice(copy),
                verdict => {
                    self.receivers.swap(0, at);
                    return verdict.map(verified(false));
                }
            }
        }
        match self.previous.as_deref_mut() {
            Some((previous, _)) => by(previous, packet).map(verified(true)),
            None => Err(SrtpError::AuthFailed),
        }
    }
}
