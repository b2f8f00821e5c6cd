//! Names that applications know things by: UUIDs.

use serde::{Deserialize, Serialize};
use std::fmt;

/// A leg of a call as its application knows it: a UUID of version 4 (RFC 9562 §5.4).
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct CallSid(u128);

impl CallSid {
    /// The UUID that these random bits make.
    pub const fn from_random(random: u128) -> CallSid {
        let versioned = (random & !(0xf << 76)) | (4 << 76);
        CallSid((versioned & !(0b11 << 62)) | (0b10 << 62))
    }

    /// Reads a UUID in its usual form, capitals or not.
    pub fn parse(text: &str) -> Option<CallSid> {
        parse_uuid(text).map(CallSid)
    }
}

/// 32 hexadecimal digits in groups of 8, 4, 4, 4 and 12.
fn parse_uuid(text: &str) -> Option<u128> {
    let bytes = text.as_bytes();
    if bytes.len() != 36 {
        return None;
    }
    let mut value = 0_u128;
    for (position, byte) in bytes.iter().enumerate() {
        if matches!(position, 8 | 13 | 18 | 23) {
            if *byte != b'-' {
                return None;
            }
        } else {
            let digit = char::from(*byte).to_digit(16)?;
            value = (value << 4) | u128::from(digit);
        }
    }
    Some(value)
}

impl fmt::Display for CallSid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let value = self.0;
        write!(
            f,
            "{:08x}-{:04x}-{:04x}-{:04x}-{:012x}",
            value >> 96,
            (value >> 80) & 0xffff,
            (value >> 64) & 0xffff,
            (value >> 48) & 0xffff,
            value & 0xffff_ffff_ffff
        )
    }
}

impl fmt::Debug for CallSid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl From<CallSid> for String {
    fn from(sid: CallSid) -> String {
        sid.to_string()
    }
}

impl TryFrom<String> for CallSid {
    type Error = String;

    fn try_from(text: String) -> Result<CallSid, String> {
        CallSid::parse(&text).ok_or_else(|| format!("'{text}' is no UUID"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sid_is_a_uuid_of_version_4_and_reads_back() {
        for random in [0, u128::MAX, 0x1234_5678_9abc_def0_1122_3344_5566_7788] {
            let sid = CallSid::from_random(random);
            let text = sid.to_string();
            assert_eq!(text.len(), 36);
            assert_eq!(&text[14..15], "4");
            assert!(matches!(&text[19..20], "8" | "9" | "a" | "b"), "{text}");
            assert_eq!(CallSid::parse(&text), Some(sid));
            assert_eq!(CallSid::parse(&text.to_uppercase()), Some(sid));
        }
        for wrong in [
            "",
            "x",
            "12345678123412341234123456789abc",
            "g2345678-1234-4234-8234-123456789abc",
            "é2345678-1234-4234-8234-123456789ab",
        ] {
            assert_eq!(CallSid::parse(wrong), None);
        }
    }
}
