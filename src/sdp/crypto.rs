//! `a=crypto`: SRTP keys in the description (RFC 4568).

use crate::srtp::{MasterKey, Suite};

/// The only suite that we print and accept: Teams requires it (TEAMS-093) and every SDES endpoint has it.
pub(super) const SUITE: Suite = Suite::AesCm128HmacSha1_80;

/// One `a=crypto` line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Crypto {
    /// Up to nine digits (RFC 4568 §9.1); 0 is a tag like any other.
    pub tag: u32,
    /// As written; names are case-sensitive (RFC 4568 §9.2).
    pub suite: String,
    /// `None` where the line can't be used: an unknown suite, a key of another length, several keys, or a session
    /// parameter that changes how packets look (RFC 4568 §6.3.7).
    pub key: Option<MasterKey>,
    /// Bytes of master key identifier in each packet that this describer sends; 0 without one.
    pub mki_length: u8,
}

impl Crypto {
    /// From the value of the attribute. `None`: not even a tag and a suite.
    pub(super) fn read(value: &str) -> Option<Crypto> {
        let mut fields = value.split_ascii_whitespace();
        let tag_text = fields
            .next()
            .filter(|text| text.len() <= 9 && text.bytes().all(|b| b.is_ascii_digit()))?;
        let tag = tag_text.parse().ok()?;
        let suite = fields.next()?.to_owned();
        let known = Suite::from_name(&suite);
        let parameters = fields.next().unwrap_or_default();
        let unusable = Crypto {
            tag,
            suite,
            key: None,
            mki_length: 0,
        };
        let Some(known) = known.filter(|_| fields.all(is_harmless)) else {
            return Some(unusable);
        };
        match read_inline(known, parameters) {
            Some((key, mki_length)) => Some(Crypto {
                key: Some(key),
                mki_length,
                ..unusable
            }),
            None => Some(unusable),
        }
    }

    /// A usable line of the suite that we speak.
    pub(super) fn is_acceptable(&self) -> bool {
        self.key.as_ref().is_some_and(|key| key.suite() == SUITE)
    }
}

/// Session parameters that may be ignored: the window hint, and what its author marked with `-`.
fn is_harmless(parameter: &str) -> bool {
    parameter.starts_with('-') || parameter.get(..4).is_some_and(|name| name.eq_ignore_ascii_case("WSH="))
}

/// `inline:<40 characters>[|lifetime][|MKI:length]`. Several keys (`;`) would need MKI look-up and are not used.
fn read_inline(suite: Suite, parameters: &str) -> Option<(MasterKey, u8)> {
    let (method, info) = parameters.split_once(':')?;
    if !method.eq_ignore_ascii_case("inline") || info.contains(';') {
        return None;
    }
    let mut parts = info.split('|');
    let key = MasterKey::from_base64(suite, parts.next()?).ok()?;
    let mut mki_length = 0;
    for part in parts {
        if let Some((identifier, length)) = part.split_once(':') {
            identifier.parse::<u64>().ok()?;
            mki_length = length.parse().ok().filter(|bytes| (1..=128).contains(bytes))?;
        } else {
            let exponent = part.strip_prefix("2^").unwrap_or(part);
            exponent.parse::<u64>().ok()?;
        }
    }
    Some((key, mki_length))
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "PPo4ehfXhNOzs1JIuYc2a6DOXMzhabvIt2Pmzo8P";

    #[test]
    fn lifetime_and_mki_in_every_form() {
        for (tail, mki_length) in [
            ("", 0),
            ("|2^31", 0),
            ("|1048576", 0),
            ("|2^31|1:1", 1),
            ("|1:4", 4),
            ("|2^20|255:128", 128),
        ] {
            let line = Crypto::read(&format!("1 AES_CM_128_HMAC_SHA1_80 inline:{KEY}{tail}")).unwrap();
            assert!(line.is_acceptable(), "{tail}");
            assert_eq!(line.mki_length, mki_length, "{tail}");
            assert_eq!(line.key.unwrap().to_base64().as_str(), KEY);
        }
    }

    #[test]
    fn unusable_lines_keep_their_tag_and_have_no_key() {
        let short = &KEY[..39];
        for value in [
            format!("7 AEAD_AES_256_GCM inline:{KEY}"),
            format!("7 AES_CM_128_HMAC_SHA1_80 inline:{short}"),
            format!("7 AES_CM_128_HMAC_SHA1_80 inline:{KEY}A"),
            format!("7 AES_CM_128_HMAC_SHA1_80 inline:{KEY}|2^31|1:200"),
            format!("7 AES_CM_128_HMAC_SHA1_80 inline:{KEY}|1:1;inline:{KEY}|2:1"),
            format!("7 AES_CM_128_HMAC_SHA1_80 inline:{KEY} UNENCRYPTED_SRTP"),
            format!("7 AES_CM_128_HMAC_SHA1_80 uri:{KEY}"),
            "7 AES_CM_128_HMAC_SHA1_80".to_owned(),
        ] {
            let line = Crypto::read(&value).unwrap();
            assert_eq!((line.tag, &line.key), (7, &None), "{value}");
        }
        assert_eq!(Crypto::read("x AES_CM_128_HMAC_SHA1_80 inline:"), None);
        assert_eq!(Crypto::read("1"), None);
        let hinted = Crypto::read(&format!("1 AES_CM_128_HMAC_SHA1_80 inline:{KEY} WSH=64 -X")).unwrap();
        assert!(hinted.is_acceptable());
    }
}
