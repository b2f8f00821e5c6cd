//! Names inside and around a call: the call itself, its legs, the requests it has sent.

use serde::{Deserialize, Serialize};
use std::fmt;

/// One call on this node: 40 random bits, unique among live calls. Local tags begin with it, so that an in-dialog
/// request finds its call without a table of tags.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct CallId(u64);

const BITS: u32 = 40;
const HEX: usize = 10;

impl CallId {
    /// Takes the low 40 bits of `random`; zero is reserved for requests outside calls.
    pub const fn from_random(random: u64) -> CallId {
        let id = random & ((1 << BITS) - 1);
        CallId(if id == 0 { 1 } else { id })
    }

    /// A number to spread calls by.
    pub(super) const fn spread(self) -> usize {
        (self.0 >> 8) as usize
    }

    /// The call that a local tag made by [`CallId::tag`] belongs to.
    pub fn from_tag(tag: &str) -> Option<CallId> {
        let digits = tag.get(..HEX)?;
        if tag.len() != HEX + 8 || !tag.bytes().all(|b| b.is_ascii_hexdigit() && !b.is_ascii_uppercase()) {
            return None;
        }
        u64::from_str_radix(digits, 16).ok().filter(|id| *id != 0).map(CallId)
    }

    /// A local tag of this call (RFC 3261 §19.3 asks for 32 random bits; this has 72).
    pub fn tag(self, random: u32) -> String {
        format!("{self}{random:08x}")
    }
}

impl fmt::Display for CallId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:010x}", self.0)
    }
}

/// A request that a call has sent: travels through the transaction layer as an opaque `u64` and comes back with
/// every response.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Token {
    pub call: CallId,
    /// Counts the call's requests.
    pub number: u32,
}

impl Token {
    /// No request yet.
    pub const NONE: Token = Token {
        call: CallId(0),
        number: 0,
    };

    /// Of an ACK, which nothing answers: no request of a call has it.
    pub const fn ack(call: CallId) -> Token {
        Token { call, number: 0 }
    }

    /// Whether it is [that](Token::ack).
    pub const fn is_of_ack(self) -> bool {
        self.number == 0
    }

    /// Of a request outside calls, by a number of the signalling's.
    pub const fn outside(number: u64) -> Token {
        Token {
            call: CallId(0),
            number: (number & 0xff_ffff) as u32,
        }
    }

    /// As the transaction layer carries it: 40 bits of call, 24 of number.
    pub const fn to_wire(self) -> u64 {
        (self.call.0 << 24) | (self.number as u64 & 0xff_ffff)
    }

    /// `None` for tokens of requests outside calls (OPTIONS of the monitors).
    pub const fn from_wire(wire: u64) -> Option<Token> {
        match wire >> 24 {
            0 => None,
            call => Some(Token {
                call: CallId(call),
                number: (wire & 0xff_ffff) as u32,
            }),
        }
    }
}

/// A leg of a call: its index. Leg 0 is the caller's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct LegIndex(pub u16);

impl LegIndex {
    /// The leg that the call came in on.
    pub const CALLER: LegIndex = LegIndex(0);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tag_names_its_call() {
        let call = CallId::from_random(0x1234_5678_9abc_def0);
        let tag = call.tag(7);
        assert_eq!(CallId::from_tag(&tag), Some(call));
        assert_eq!(CallId::from_tag(&tag.to_uppercase()), None);
        assert_eq!(CallId::from_tag("1928301774"), None);
        assert_eq!(CallId::from_tag("é89301774é89301774"), None);
    }

    #[test]
    fn a_token_survives_the_transaction_layer() {
        let token = Token {
            call: CallId::from_random(u64::MAX),
            number: 0xff_fffe,
        };
        assert_eq!(Token::from_wire(token.to_wire()), Some(token));
        assert_eq!(Token::from_wire(crate::net::shard::OWN_TOKENS - 1), None);
        let first = Token {
            call: CallId::from_random(1),
            number: 0,
        };
        assert_eq!(first.to_wire(), crate::net::shard::OWN_TOKENS);
        let outside = Token::outside(crate::net::shard::OWN_TOKENS - 1);
        assert_eq!(outside.to_wire(), crate::net::shard::OWN_TOKENS - 1);
    }
}
