//! The Binding requests of connectivity checks, and what answers them (RFC 8489, RFC 8445 §7). No other STUN is read.

use super::crc::crc32;
use crate::srtp::HmacSha1;
use std::net::{IpAddr, SocketAddr};
use subtle::ConstantTimeEq;

const HEADER: usize = 20;
const COOKIE: [u8; 4] = 0x2112_a442u32.to_be_bytes();
/// XORed into the checksum, so that it is no other protocol's (RFC 8489 §14.7).
const FINGERPRINT_MASK: u32 = 0x5354_554e;

const BINDING_REQUEST: u16 = 0x0001;
const BINDING_INDICATION: u16 = 0x0011;
const BINDING_SUCCESS: u16 = 0x0101;
const BINDING_ERROR: u16 = 0x0111;

const USERNAME: u16 = 0x0006;
const MESSAGE_INTEGRITY: u16 = 0x0008;
const ERROR_CODE: u16 = 0x0009;
const XOR_MAPPED_ADDRESS: u16 = 0x0020;
const PRIORITY: u16 = 0x0024;
const USE_CANDIDATE: u16 = 0x0025;
const FINGERPRINT: u16 = 0x8028;
const ICE_CONTROLLED: u16 = 0x8029;
const ICE_CONTROLLING: u16 = 0x802a;

const MAC: usize = 20;
/// Of MESSAGE-INTEGRITY with its own header.
const INTEGRITY: usize = 4 + MAC;

/// The longest request that is read: what a check may be on any path over IPv6 (RFC 8489 §6.1). Teams' have about 120 bytes.
pub(super) const MAX_REQUEST: usize = 1_280;

/// The longest of our replies: IPv6, or a role conflict.
const MAX_REPLY: usize = HEADER + 24 + INTEGRITY + 8;

/// Why a datagram is no check that could be answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    #[error("not a STUN message, or one that lies about itself")]
    Malformed,
    #[error("a Binding indication: it keeps NAT open and is not answered")]
    Indication,
    #[error("STUN of type {0:#06x}, not a Binding request")]
    NotARequest(u16),
    #[error("a Binding request without user name, integrity or priority: no connectivity check")]
    NotACheck,
}

/// A short-term credential's key (RFC 8489 §9.1), hashed once.
pub struct Key(HmacSha1);

impl Key {
    pub fn new(password: &str) -> Key {
        Key(HmacSha1::new(password.as_bytes()))
    }

    /// The first eight bytes of the MAC of `bytes`: names them without keeping them.
    pub(super) fn mark(&self, bytes: &[u8]) -> u64 {
        let mac = self.0.mac(bytes, &[]);
        mac.first_chunk().map_or(0, |first| u64::from_be_bytes(*first))
    }
}

/// Which role the sender of a check claims (RFC 8445 §7.1.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// It nominates. Also who doesn't say: a lite side is always controlled (RFC 8445 §6.1.1).
    Controlling,
    Controlled,
}

/// A connectivity check, as read; nothing of it is proven before [`Request::proves`].
#[derive(Debug, Clone, Copy)]
pub struct Request<'a> {
    packet: &'a [u8],
    transaction: &'a [u8; 12],
    /// `ours:theirs`.
    pub username: &'a [u8],
    /// What a candidate learnt from this check has.
    pub priority: u32,
    pub role: Role,
    /// USE-CANDIDATE: the pair is nominated.
    pub nominates: bool,
    /// Where MESSAGE-INTEGRITY begins.
    signed: usize,
    mac: &'a [u8; MAC],
}

/// Reads a check. Attributes that we don't know are passed over, those that demand to be understood too (TEAMS-100); of
/// repeated ones the first counts, and behind MESSAGE-INTEGRITY only FINGERPRINT does (RFC 8489 §14, §14.5).
pub fn read(packet: &[u8]) -> Result<Request<'_>, Fault> {
    let (head, attributes) = packet.split_first_chunk::<HEADER>().ok_or(Fault::Malformed)?;
    let [t0, t1, l0, l1, c0, c1, c2, c3, transaction @ ..] = head;
    let length = usize::from(u16::from_be_bytes([*l0, *l1]));
    if [*c0, *c1, *c2, *c3] != COOKIE || length != attributes.len() || packet.len() > MAX_REQUEST {
        return Err(Fault::Malformed);
    }
    match u16::from_be_bytes([*t0, *t1]) {
        BINDING_REQUEST => {}
        BINDING_INDICATION => return Err(Fault::Indication),
        other if other & 0xc000 == 0 => return Err(Fault::NotARequest(other)),
        _ => return Err(Fault::Malformed),
    }
    let (mut username, mut priority, mut role, mut nominates) = (None, None, None, false);
    let mut integrity: Option<(usize, &[u8; MAC])> = None;
    let mut rest = attributes;
    while let Some((&[k0, k1, n0, n1], behind)) = rest.split_first_chunk() {
        let begin = packet.len() - rest.len();
        let kind = u16::from_be_bytes([k0, k1]);
        let length = usize::from(u16::from_be_bytes([n0, n1]));
        let value = behind.get(..length).ok_or(Fault::Malformed)?;
        rest = behind.get(length.next_multiple_of(4)..).ok_or(Fault::Malformed)?;
        if kind == FINGERPRINT {
            let sum = packet.get(..begin).map(crc32).map(|sum| sum ^ FINGERPRINT_MASK);
            if !rest.is_empty() || sum.map(u32::to_be_bytes).as_ref().map(<[u8; 4]>::as_slice) != Some(value) {
                return Err(Fault::Malformed);
            }
        } else if integrity.is_none() {
            match kind {
                USERNAME => username = username.or(Some(value)),
                PRIORITY => priority = priority.or(Some(u32::from_be_bytes(fixed(value)?))),
                USE_CANDIDATE => nominates = true,
                ICE_CONTROLLING => role = role.or(fixed::<8>(value).map(|_| Some(Role::Controlling))?),
                ICE_CONTROLLED => role = role.or(fixed::<8>(value).map(|_| Some(Role::Controlled))?),
                MESSAGE_INTEGRITY => integrity = Some((begin, value.try_into().map_err(|_| Fault::Malformed)?)),
                _ => {}
            }
        }
    }
    if !rest.is_empty() {
        return Err(Fault::Malformed);
    }
    let (Some(username), Some(priority), Some((signed, mac))) = (username, priority, integrity) else {
        return Err(Fault::NotACheck);
    };
    Ok(Request {
        packet,
        transaction,
        username,
        priority,
        role: role.unwrap_or(Role::Controlling),
        nominates,
        signed,
        mac,
    })
}

fn fixed<const N: usize>(value: &[u8]) -> Result<[u8; N], Fault> {
    value.try_into().map_err(|_| Fault::Malformed)
}

impl Request<'_> {
    /// True when who sent this knows the password that `key` was made of. Takes the same time wherever the MAC differs.
    pub fn proves(&self, key: &Key) -> bool {
        let mut copy = [0; MAX_REQUEST];
        let (Some(signed), Some(packet)) = (copy.get_mut(..self.signed), self.packet.get(..self.signed)) else {
            return false;
        };
        signed.copy_from_slice(packet);
        // the MAC is over a header that counts it, but nothing behind it
        put_length(signed, self.signed + INTEGRITY);
        key.0.mac(signed, &[]).ct_eq(self.mac).into()
    }

    /// The success response, which tells the sender where its request came from.
    pub fn accept(&self, from: SocketAddr, key: &Key) -> Reply {
        let mut reply = Reply::begin(BINDING_SUCCESS, self.transaction);
        let from = SocketAddr::new(from.ip().to_canonical(), from.port());
        let [c0, c1, ..] = COOKIE;
        let port = from.port() ^ u16::from_be_bytes([c0, c1]);
        let mask = COOKIE.iter().chain(self.transaction);
        reply.attribute(XOR_MAPPED_ADDRESS, |reply| {
            reply.push(&[0, if from.is_ipv4() { 1 } else { 2 }]);
            reply.push(&port.to_be_bytes());
            match from.ip() {
                IpAddr::V4(address) => reply.push_masked(&address.octets(), mask),
                IpAddr::V6(address) => reply.push_masked(&address.octets(), mask),
            }
        });
        reply.finish(key)
    }

    /// 487 for a sender that claims our role (RFC 8445 §7.3.1.1).
    pub fn role_conflict(&self, key: &Key) -> Reply {
        let mut reply = Reply::begin(BINDING_ERROR, self.transaction);
        reply.attribute(ERROR_CODE, |reply| {
            reply.push(&[0, 0, 4, 87]);
            reply.push(b"Role Conflict");
        });
        reply.finish(key)
    }
}

/// A response, signed; for the address and through the socket that its request came from and to.
#[derive(Debug, Clone, Copy)]
pub struct Reply {
    bytes: [u8; MAX_REPLY],
    len: usize,
}

impl Reply {
    pub fn as_slice(&self) -> &[u8] {
        self.bytes.get(..self.len).unwrap_or_default()
    }

    fn begin(kind: u16, transaction: &[u8; 12]) -> Reply {
        let mut reply = Reply {
            bytes: [0; MAX_REPLY],
            len: 0,
        };
        reply.push(&kind.to_be_bytes());
        reply.push(&[0, 0]);
        reply.push(&COOKIE);
        reply.push(transaction);
        reply
    }

    fn push(&mut self, bytes: &[u8]) {
        let end = self.len + bytes.len();
        debug_assert!(end <= MAX_REPLY, "MAX_REPLY counts every attribute");
        if let Some(room) = self.bytes.get_mut(self.len..end) {
            room.copy_from_slice(bytes);
            self.len = end;
        }
    }

    fn push_masked<'m>(&mut self, bytes: &[u8], mask: impl Iterator<Item = &'m u8>) {
        for (byte, mask) in bytes.iter().zip(mask) {
            self.push(&[byte ^ mask]);
        }
    }

    fn attribute(&mut self, kind: u16, value: impl FnOnce(&mut Reply)) {
        self.push(&kind.to_be_bytes());
        let at = self.len;
        self.push(&[0, 0]);
        value(self);
        let length = (self.len - at).saturating_sub(2);
        if let Some(field) = self.bytes.get_mut(at..at + 2) {
            field.copy_from_slice(&(length as u16).to_be_bytes());
        }
        while !self.len.is_multiple_of(4) {
            self.push(&[0]);
        }
    }

    fn finish(mut self, key: &Key) -> Reply {
        put_length(&mut self.bytes, self.len + INTEGRITY);
        let mac = key.0.mac(self.as_slice(), &[]);
        self.attribute(MESSAGE_INTEGRITY, |reply| reply.push(&mac));
        put_length(&mut self.bytes, self.len + 8);
        let sum = crc32(self.as_slice()) ^ FINGERPRINT_MASK;
        self.attribute(FINGERPRINT, |reply| reply.push(&sum.to_be_bytes()));
        self
    }
}

/// Writes the header's length for a message of `whole` bytes.
fn put_length(message: &mut [u8], whole: usize) {
    if let Some(field) = message.get_mut(2..4) {
        field.copy_from_slice(&((whole.saturating_sub(HEADER)) as u16).to_be_bytes());
    }
}
