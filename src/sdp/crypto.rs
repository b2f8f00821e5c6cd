//! `a=crypto`: SRTP keys in the description (RFC 4568).

use crate::srtp::{KeyError, MasterKey, Suite};

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
    /// Why there is no key.
    fault: Option<CryptoFault>,
}

/// What is wrong with a line.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CryptoFault {
    #[error("its tag is no number of at most nine digits")]
    Tag,
    #[error("it names no suite")]
    NoSuite,
    #[error("its suite is not supported")]
    UnknownSuite,
    #[error("its session parameter {0:?} is not supported")]
    SessionParameter(String),
    #[error("it has no inline key")]
    NoInlineKey,
    #[error("it has several keys")]
    SeveralKeys,
    #[error("{0}")]
    Key(#[from] KeyError),
    #[error("its MKI is no number with a length of 1 to 128 bytes")]
    Mki,
    #[error("its lifetime is no number")]
    Lifetime,
}

/// Characters of a peer's text that a sentence repeats.
const QUOTED: usize = 40;

impl Crypto {
    /// From the value of the attribute.
    ///
    /// # Errors
    /// Not even a tag and a suite.
    pub(super) fn read(value: &str) -> Result<Crypto, CryptoFault> {
        let mut fields = value.split_ascii_whitespace();
        let tag_text = fields
            .next()
            .filter(|text| text.len() <= 9 && text.bytes().all(|b| b.is_ascii_digit()));
        let tag = tag_text.and_then(|text| text.parse().ok()).ok_or(CryptoFault::Tag)?;
        let suite = fields.next().ok_or(CryptoFault::NoSuite)?.to_owned();
        let known = Suite::from_name(&suite).ok_or(CryptoFault::UnknownSuite);
        let parameters = fields.next().unwrap_or_default();
        let harmful = fields.find(|parameter| !is_harmless(parameter));
        let read = known.and_then(|known| match harmful {
            Some(parameter) => Err(CryptoFault::SessionParameter(parameter.chars().take(QUOTED).collect())),
            None => read_inline(known, parameters),
        });
        let (key, mki_length, fault) = match read {
            Ok((key, mki_length)) => (Some(key), mki_length, None),
            Err(fault) => (None, 0, Some(fault)),
        };
        Ok(Crypto {
            tag,
            suite,
            key,
            mki_length,
            fault,
        })
    }

    /// A usable line of the suite that we speak.
    pub(super) fn is_acceptable(&self) -> bool {
        self.key.as_ref().is_some_and(|key| key.suite() == SUITE)
    }

    /// What is wrong with a line for the suite that we speak.
    pub(super) fn fault(&self) -> Option<&CryptoFault> {
        let is_ours = Suite::from_name(&self.suite) == Some(SUITE);
        self.fault.as_ref().filter(|_| is_ours)
    }
}

/// Session parameters that may be ignored: the window hint, and what its author marked with `-`.
fn is_harmless(parameter: &str) -> bool {
    parameter.starts_with('-') || parameter.get(..4).is_some_and(|name| name.eq_ignore_ascii_case("WSH="))
}

/// `inline:<40 characters>[|lifetime][|MKI:length]`. Several keys (`;`) would need MKI look-up and are not used.
fn read_inline(suite: Suite, parameters: &str) -> Result<(MasterKey, u8), CryptoFault> {
    let inline = parameters.split_once(':');
    let inline = inline.filter(|(method, _)| method.eq_ignore_ascii_case("inline"));
    let (_, info) = inline.ok_or(CryptoFault::NoInlineKey)?;
    if info.contains(';') {
        return Err(CryptoFault::SeveralKeys);
    }
    let mut parts = info.split('|');
    let key = MasterKey::from_base64(suite, parts.next().unwrap_or_default())?;
    let mut mki_length = 0;
    for part in parts {
        if let Some((identifier, length)) = part.split_once(':') {
            let length = length.parse().ok().filter(|bytes| (1..=128).contains(bytes));
            mki_length = length.ok_or(CryptoFault::Mki)?;
            identifier.parse::<u64>().map_err(|_| CryptoFault::Mki)?;
        } else {
            let exponent = part.strip_prefix("2^").unwrap_or(part);
            exponent.parse::<u64>().map_err(|_| CryptoFault::Lifetime)?;
        }
    }
    Ok((key, mki_length))
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
        let unread = |value: &str| Crypto::read(value).err();
        assert_eq!(unread("x AES_CM_128_HMAC_SHA1_80 inline:"), Some(CryptoFault::Tag));
        assert_eq!(unread("1"), Some(CryptoFault::NoSuite));
        let hinted = Crypto::read(&format!("1 AES_CM_128_HMAC_SHA1_80 inline:{KEY} WSH=64 -X")).unwrap();
        assert!(hinted.is_acceptable());
    }
}
