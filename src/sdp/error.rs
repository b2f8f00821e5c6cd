//! Why a body can't be read, and why an offer or answer is refused: each with its SIP code and Warning.

use super::crypto::CryptoFault;
use super::session::Audio;
use std::net::{IpAddr, SocketAddr};

/// A body that can't be read as a session description.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SdpError {
    #[error("{bytes} bytes of session description, at most {limit} are read")]
    TooLong { bytes: usize, limit: usize },
    #[error("{count} {what} in a session description, at most {limit} are read")]
    TooMany {
        what: &'static str,
        count: usize,
        limit: usize,
    },
    #[error("session description: {0}")]
    Syntax(String),
    #[error("audio without a connection address (c=)")]
    NoConnection,
    #[error("media address {0:?} is not an IP address; host names are not resolved")]
    NotAnAddress(String),
    #[error("body of type {0:?} where a session description was expected")]
    ContentType(String),
    #[error("no application/sdp part in the multipart body")]
    NoSdpPart,
    #[error("multipart body nested deeper than {limit}")]
    MultipartDepth { limit: usize },
}

impl SdpError {
    /// The SIP code for the request that carried the body (RFC 3261 §21.4.1, §21.4.13, §21.4.26).
    pub fn status(&self) -> u16 {
        match self {
            SdpError::ContentType(_) | SdpError::NoSdpPart | SdpError::MultipartDepth { .. } => 415,
            SdpError::NoConnection | SdpError::NotAnAddress(_) => 488,
            SdpError::TooLong { .. } | SdpError::TooMany { .. } | SdpError::Syntax(_) => 400,
        }
    }
}

/// An offer that we can't accept, or an answer that we can't use.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    #[error(transparent)]
    Unreadable(#[from] SdpError),
    #[error("no audio stream")]
    NoAudio,
    #[error("the answer refuses the audio stream (port 0)")]
    StreamRefused,
    #[error("plain RTP where SRTP is required")]
    PlainRtp,
    #[error("only SRTP is offered, this leg is plain RTP")]
    SrtpOnly,
    #[error("the answer has {answered} to our {offered}")]
    TransportChanged {
        offered: &'static str,
        answered: &'static str,
    },
    #[error("no usable AES_CM_128_HMAC_SHA1_80 key: {}", in_words(offered, fault.as_ref()))]
    NoCrypto {
        /// The suites of its lines.
        offered: Vec<String>,
        /// Of the first line that would be for our suite, with its tag, or that can't be read at all.
        fault: Option<(Option<u32>, CryptoFault)>,
    },
    #[error("the answer has crypto tag {answered}, we offered {offered}")]
    CryptoTag { offered: u32, answered: u32 },
    #[error("the peer sends our own SRTP key back")]
    KeyReuse,
    #[error("no codec in common: the peer has {peer:?}, allowed are {allowed:?}")]
    NothingInCommon { peer: Vec<String>, allowed: Vec<String> },
    #[error("media address {address} is refused: {reason}")]
    Address { address: IpAddr, reason: &'static str },
    #[error("media address {address} can't be reached: {reason}")]
    AddressFamily { address: IpAddr, reason: &'static str },
    #[error("media address {address} is the socket that we receive on")]
    MediaLoop { address: SocketAddr },
    #[error("media address {address} is a socket of ours that speaks SIP")]
    Listener { address: SocketAddr },
}

impl Refusal {
    /// None of its keys can be used.
    pub(super) fn no_crypto(audio: &Audio) -> Refusal {
        let mut ours = audio.crypto.iter();
        let ours = ours.find_map(|line| Some((Some(line.tag), line.fault()?.clone())));
        let unread = || Some((None, audio.unread_crypto.clone()?));
        Refusal::NoCrypto {
            offered: audio.crypto.iter().map(|line| line.suite.clone()).collect(),
            fault: ours.or_else(unread),
        }
    }

    /// The SIP code for a refused offer: 488, or what an unreadable body deserves. For a refused answer it says how the
    /// other leg's caller is told.
    pub fn status(&self) -> u16 {
        match self {
            Refusal::Unreadable(error) => error.status(),
            _ => 488,
        }
    }

    /// The Warning code (RFC 3261 §20.43).
    pub fn warning_code(&self) -> u16 {
        match self {
            Refusal::Unreadable(SdpError::NotAnAddress(_) | SdpError::NoConnection)
            | Refusal::AddressFamily { .. }
            | Refusal::Address { .. } => 301,
            Refusal::PlainRtp | Refusal::SrtpOnly | Refusal::TransportChanged { .. } => 302,
            Refusal::NoAudio | Refusal::StreamRefused => 304,
            Refusal::NothingInCommon { .. } => 305,
            Refusal::NoCrypto { .. } => 306,
            Refusal::Unreadable(_)
            | Refusal::CryptoTag { .. }
            | Refusal::KeyReuse
            | Refusal::MediaLoop { .. }
            | Refusal::Listener { .. } => 399,
        }
    }

    /// The value of a Warning header, `agent` being our own name on that leg.
    pub fn warning(&self, agent: &str) -> String {
        let text: String = self
            .to_string()
            .chars()
            .map(|c| if c == '"' { '\'' } else { c })
            .filter(|c| !c.is_control() && *c != '\\')
            .take(200)
            .collect();
        format!("{} {agent} \"{text}\"", self.warning_code())
    }
}

/// What is wrong with a description's `a=crypto` lines.
fn in_words(suites: &[String], fault: Option<&(Option<u32>, CryptoFault)>) -> String {
    match (fault, suites) {
        (Some((Some(tag), fault)), _) => format!("the line a=crypto:{tag} can't be used: {fault}"),
        (Some((None, fault)), _) => format!("an a=crypto line can't be read: {fault}"),
        (None, []) => "there is no a=crypto line".to_owned(),
        (None, suites) => format!("the a=crypto lines are for {}", suites.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sdp::Session;

    #[test]
    fn the_first_key_line_that_failed_says_what_is_wrong_with_it() {
        let key = "PPo4ehfXhNOzs1JIuYc2a6DOXMzhabvIt2Pmzo8P";
        for (line, sentence) in [
            (format!("1 AES_CM_128_HMAC_SHA1_80 inline:{}", &key[4..]), "bytes"),
            ("1 AES_CM_128_HMAC_SHA1_80 inline:!!!!".to_owned(), "base64"),
            (
                format!("1 AES_CM_128_HMAC_SHA1_80 inline:{key}|2^31|1:200"),
                "its MKI is no number with a length of 1 to 128 bytes",
            ),
            (
                format!("1 AES_CM_128_HMAC_SHA1_80 inline:{key}|soon"),
                "its lifetime is no number",
            ),
            (
                format!("1 AES_CM_128_HMAC_SHA1_80 inline:{key} UNENCRYPTED_SRTP"),
                "its session parameter \"UNENCRYPTED_SRTP\" is not supported",
            ),
            (
                format!("1 AES_CM_128_HMAC_SHA1_80 inline:{key};inline:{key}"),
                "it has several keys",
            ),
            (format!("1 AES_CM_128_HMAC_SHA1_80 uri:{key}"), "it has no inline key"),
            (
                format!("99999999999 AES_CM_128_HMAC_SHA1_80 inline:{key}"),
                "its tag is no number of at most nine digits",
            ),
        ] {
            let text = format!(
                "v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\ns=-\r\nc=IN IP4 192.0.2.1\r\nt=0 0\r\n\
                 m=audio 9000 RTP/SAVP 0\r\na=crypto:{line}\r\n"
            );
            let session = Session::parse(text.as_bytes()).expect("a description");
            let refusal = Refusal::no_crypto(session.audio().expect("audio"));
            let told = refusal.to_string();
            assert!(told.contains("a=crypto") && told.contains(sentence), "{line}: {told}");
            assert!(
                !told.contains("lines are for") && !told.contains("there is no"),
                "{told}"
            );
        }
    }

    #[test]
    fn a_warning_is_one_quoted_string() {
        let refusal = Refusal::Unreadable(SdpError::NotAnAddress("a\"b\r\nX: y\\".repeat(100)));
        let warning = refusal.warning("sbc1.example.net");
        assert!(
            warning.starts_with("301 sbc1.example.net \"") && warning.ends_with('"'),
            "{warning}"
        );
        assert_eq!(warning.matches('"').count(), 2);
        assert!(!warning.contains(['\r', '\n', '\\']) && warning.len() < 300);
        assert_eq!(refusal.status(), 488);
    }
}
