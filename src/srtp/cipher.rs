//! Session keys at work: encrypt and tag, verify and decrypt, for one protocol of one direction.

use super::derivation::{Protocol, Purpose, apply_keystream, counter_mode, derive};
use super::hmac::HmacSha1;
use super::{MasterKey, SrtpError, Suite};
use aws_lc_rs::aead::{AES_128_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use aws_lc_rs::cipher::EncryptingKey;
use subtle::ConstantTimeEq;
use zeroize::{Zeroize, Zeroizing};

const GCM_TAG: usize = 16;
/// E bit and SRTCP index.
pub(super) const RTCP_TRAILER: usize = 4;
/// The part of RTCP that stays clear: first header and sender's SSRC.
pub(super) const RTCP_HEADER: usize = 8;
const ENCRYPTED: u32 = 1 << 31;

/// Keys of one protocol (RTP or RTCP) in one direction.
#[expect(
    clippy::large_enum_variant,
    reason = "made once a leg, read for each packet: no pointer to follow"
)]
pub(super) enum SessionCipher {
    AesCm {
        cipher: EncryptingKey,
        mac: HmacSha1,
        salt: [u8; 14],
        tag_len: usize,
    },
    AesGcm {
        key: LessSafeKey,
        salt: [u8; 12],
    },
}

impl SessionCipher {
    pub(super) fn new(master: &MasterKey, protocol: Protocol) -> Result<SessionCipher, SrtpError> {
        let suite = master.suite();
        let prf = counter_mode(master.key())?;
        let key = Zeroizing::new(derive::<16>(&prf, master.salt(), protocol, Purpose::Encryption)?);
        Ok(match suite {
            Suite::AesCm128HmacSha1_80 | Suite::AesCm128HmacSha1_32 => {
                let mac = Zeroizing::new(derive::<20>(&prf, master.salt(), protocol, Purpose::Authentication)?);
                SessionCipher::AesCm {
                    cipher: counter_mode(&key)?,
                    mac: HmacSha1::new(mac.as_slice()),
                    salt: derive(&prf, master.salt(), protocol, Purpose::Salt)?,
                    tag_len: match protocol {
                        Protocol::Rtp => suite.rtp_tag_len(),
                        Protocol::Rtcp => suite.rtcp_tag_len(),
                    },
                }
            }
            Suite::AeadAes128Gcm => SessionCipher::AesGcm {
                key: LessSafeKey::new(UnboundKey::new(&AES_128_GCM, &key[..]).map_err(|_| SrtpError::Cipher)?),
                salt: derive(&prf, master.salt(), protocol, Purpose::Salt)?,
            },
        })
    }

    pub(super) fn tag_len(&self) -> usize {
        match self {
            SessionCipher::AesCm { tag_len, .. } => *tag_len,
            SessionCipher::AesGcm { .. } => GCM_TAG,
        }
    }

    /// Whether a packet that failed verification is left as it was (AEAD wipes it).
    pub(super) fn keeps_packet_on_failure(&self) -> bool {
        matches!(self, SessionCipher::AesCm { .. })
    }

    /// Encrypts and tags `buf[..len]`, whose first `header_len` bytes stay clear. Returns the protected length.
    pub(super) fn protect_rtp(
        &self,
        buf: &mut [u8],
        len: usize,
        header_len: usize,
        ssrc: u32,
        index: u64,
    ) -> Result<usize, SrtpError> {
        let needed = len + self.tag_len();
        let (packet, tag_space) = split_for_tag(buf, len, needed)?;
        match self {
            SessionCipher::AesCm { cipher, mac, salt, .. } => {
                let (_, payload) = split(packet, header_len)?;
                apply_keystream(cipher, &counter_block(salt, ssrc, index), payload)?;
                let tag = mac.mac(packet, &roc_bytes(index));
                copy(tag_space, &tag);
            }
            SessionCipher::AesGcm { key, salt } => {
                let (header, payload) = split(packet, header_len)?;
                let tag = key
                    .seal_in_place_separate_tag(rtp_nonce(salt, ssrc, index), Aad::from(&*header), payload)
                    .map_err(|_| SrtpError::Cipher)?;
                copy(tag_space, tag.as_ref());
            }
        }
        Ok(needed)
    }

    /// Verifies, then decrypts. Returns the length of the plain packet.
    pub(super) fn unprotect_rtp(
        &self,
        packet: &mut [u8],
        mki_len: usize,
        header_len: usize,
        ssrc: u32,
        index: u64,
    ) -> Result<usize, SrtpError> {
        let len = packet.len();
        let too_short = SrtpError::TooShort { len };
        match self {
            SessionCipher::AesCm {
                cipher,
                mac,
                salt,
                tag_len,
            } => {
                let tag_at = len.checked_sub(*tag_len).ok_or(too_short)?;
                let plain_len = tag_at
                    .checked_sub(mki_len)
                    .filter(|plain| *plain >= header_len)
                    .ok_or(too_short)?;
                let (body, trailer) = split(packet, plain_len)?;
                let (_, tag) = split(trailer, mki_len)?;
                verify(&mac.mac(body, &roc_bytes(index)), tag)?;
                let (_, payload) = split(body, header_len)?;
                apply_keystream(cipher, &counter_block(salt, ssrc, index), payload)?;
                Ok(plain_len)
            }
            SessionCipher::AesGcm { key, salt } => {
                let sealed_len = len.checked_sub(mki_len).ok_or(too_short)?;
                let plain_len = sealed_len
                    .checked_sub(GCM_TAG)
                    .filter(|len| *len >= header_len)
                    .ok_or(too_short)?;
                let (sealed, _) = split(packet, sealed_len)?;
                let (header, ciphertext) = split(sealed, header_len)?;
                key.open_in_place(rtp_nonce(salt, ssrc, index), Aad::from(&*header), ciphertext)
                    .map_err(|_| SrtpError::AuthFailed)?;
                Ok(plain_len)
            }
        }
    }

    /// Encrypts and tags the compound packet `buf[..len]` under SRTCP index `index`.
    pub(super) fn protect_rtcp(&self, buf: &mut [u8], len: usize, ssrc: u32, index: u32) -> Result<usize, SrtpError> {
        let needed = len + RTCP_TRAILER + self.tag_len();
        let (packet, space) = split_for_tag(buf, len, needed)?;
        let trailer = (index | ENCRYPTED).to_be_bytes();
        match self {
            SessionCipher::AesCm { cipher, mac, salt, .. } => {
                let (_, body) = split(packet, RTCP_HEADER)?;
                apply_keystream(cipher, &counter_block(salt, ssrc, u64::from(index)), body)?;
                let (trailer_space, tag_space) = split(space, RTCP_TRAILER)?;
                copy(trailer_space, &trailer);
                // The index is authenticated like the packet in front of it.
                copy(tag_space, &mac.mac(packet, &trailer));
            }
            SessionCipher::AesGcm { key, salt } => {
                let (header, body) = split(packet, RTCP_HEADER)?;
                let tag = key
                    .seal_in_place_separate_tag(rtcp_nonce(salt, ssrc, index), Aad::from(rtcp_aad(header, index)), body)
                    .map_err(|_| SrtpError::Cipher)?;
                let (tag_space, trailer_space) = split(space, GCM_TAG)?;
                copy(tag_space, tag.as_ref());
                copy(trailer_space, &trailer);
            }
        }
        Ok(needed)
    }

    /// The unverified SRTCP index, which says which packet to verify as.
    pub(super) fn claimed_rtcp_index(&self, packet: &[u8], mki_len: usize) -> Result<u32, SrtpError> {
        let behind = match self {
            SessionCipher::AesCm { tag_len, .. } => tag_len + mki_len,
            SessionCipher::AesGcm { .. } => mki_len,
        };
        let too_short = SrtpError::TooShort { len: packet.len() };
        let minimum = RTCP_HEADER + RTCP_TRAILER + self.tag_len() + mki_len;
        if packet.len() < minimum {
            return Err(too_short);
        }
        let upto = packet
            .get(..packet.len() - behind)
            .and_then(|front| front.last_chunk())
            .ok_or(too_short)?;
        Ok(u32::from_be_bytes(*upto) & !ENCRYPTED)
    }

    /// Verifies, then decrypts when the E bit is set. Returns the length of the plain compound packet.
    pub(super) fn unprotect_rtcp(
        &self,
        packet: &mut [u8],
        mki_len: usize,
        ssrc: u32,
        index: u32,
    ) -> Result<usize, SrtpError> {
        let len = packet.len();
        let plain_len = len
            .checked_sub(RTCP_TRAILER + self.tag_len() + mki_len)
            .filter(|plain| *plain >= RTCP_HEADER)
            .ok_or(SrtpError::TooShort { len })?;
        match self {
            SessionCipher::AesCm { cipher, mac, salt, .. } => {
                let (authenticated, behind) = split(packet, plain_len + RTCP_TRAILER)?;
                let (_, tag) = split(behind, mki_len)?;
                verify(&mac.mac(authenticated, &[]), tag)?;
                let (plain, trailer) = split(authenticated, plain_len)?;
                if trailer.first().is_some_and(|first| first & 0x80 != 0) {
                    let (_, body) = split(plain, RTCP_HEADER)?;
                    apply_keystream(cipher, &counter_block(salt, ssrc, u64::from(index)), body)?;
                }
            }
            SessionCipher::AesGcm { key, salt } => {
                let (sealed, behind) = split(packet, plain_len + GCM_TAG)?;
                // Authenticated but clear SRTCP (RFC 7714 §9.3) is never negotiated here (UNENCRYPTED_SRTCP): its E bit
                // fails the tag, since the additional data below has the bit set.
                if behind.first().is_none_or(|first| first & 0x80 == 0) {
                    return Err(SrtpError::AuthFailed);
                }
                let (header, ciphertext) = split(sealed, RTCP_HEADER)?;
                key.open_in_place(
                    rtcp_nonce(salt, ssrc, index),
                    Aad::from(rtcp_aad(header, index)),
                    ciphertext,
                )
                .map_err(|_| SrtpError::AuthFailed)?;
            }
        }
        Ok(plain_len)
    }
}

impl Drop for SessionCipher {
    // Key schedules and MAC states wipe themselves.
    fn drop(&mut self) {
        match self {
            SessionCipher::AesCm { salt, .. } => salt.zeroize(),
            SessionCipher::AesGcm { salt, .. } => salt.zeroize(),
        }
    }
}

/// `(salt << 16) XOR (SSRC << 64) XOR (index << 16)` (RFC 3711 §4.1.1).
fn counter_block(salt: &[u8; 14], ssrc: u32, index: u64) -> [u8; 16] {
    let mut block = [0; 16];
    block[..14].copy_from_slice(salt);
    (u128::from_be_bytes(block) ^ u128::from(ssrc) << 64 ^ u128::from(index) << 16).to_be_bytes()
}

/// `salt XOR 0x0000 || SSRC || ROC || SEQ` (RFC 7714 §8.1).
fn rtp_nonce(salt: &[u8; 12], ssrc: u32, index: u64) -> Nonce {
    nonce(salt, u128::from(ssrc) << 48 | u128::from(index))
}

/// `salt XOR 0x0000 || SSRC || 0x0000 || index` (RFC 7714 §9.1).
fn rtcp_nonce(salt: &[u8; 12], ssrc: u32, index: u32) -> Nonce {
    nonce(salt, u128::from(ssrc) << 48 | u128::from(index))
}

fn nonce(salt: &[u8; 12], value: u128) -> Nonce {
    let mut bytes = [0; 12];
    bytes.copy_from_slice(&value.to_be_bytes()[4..]);
    for (byte, salt) in bytes.iter_mut().zip(salt) {
        *byte ^= *salt;
    }
    Nonce::assume_unique_for_key(bytes)
}

/// First header and SSRC, then E bit and index (RFC 7714 §9.2).
fn rtcp_aad(header: &[u8], index: u32) -> [u8; RTCP_HEADER + RTCP_TRAILER] {
    let mut aad = [0; RTCP_HEADER + RTCP_TRAILER];
    copy(&mut aad, header);
    aad[RTCP_HEADER..].copy_from_slice(&(index | ENCRYPTED).to_be_bytes());
    aad
}

fn roc_bytes(index: u64) -> [u8; 4] {
    ((index >> 16) as u32).to_be_bytes()
}

fn verify(mac: &[u8; 20], tag: &[u8]) -> Result<(), SrtpError> {
    let wanted = mac.get(..tag.len()).unwrap_or_default();
    if bool::from(wanted.ct_eq(tag)) {
        Ok(())
    } else {
        Err(SrtpError::AuthFailed)
    }
}

fn split(bytes: &mut [u8], at: usize) -> Result<(&mut [u8], &mut [u8]), SrtpError> {
    let len = bytes.len();
    bytes.split_at_mut_checked(at).ok_or(SrtpError::TooShort { len })
}

/// The packet and exactly the space behind it that the protected packet takes.
fn split_for_tag(buf: &mut [u8], len: usize, needed: usize) -> Result<(&mut [u8], &mut [u8]), SrtpError> {
    let given = buf.len();
    let whole = buf.get_mut(..needed).ok_or(SrtpError::NoRoom { needed, given })?;
    split(whole, len)
}

/// As much of `from` as `to` takes: tags are truncated MACs.
fn copy(to: &mut [u8], from: &[u8]) {
    for (to, from) in to.iter_mut().zip(from) {
        *to = *from;
    }
}
