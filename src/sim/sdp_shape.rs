//! How a side of Teams writes its descriptions, as far as clients and media processors differ: what a test, a script or a
//! command line can say.

use serde::Serialize;
use std::str::FromStr;

/// The shape of a side's descriptions. By default that of a media processor: `RTP/SAVP`, one key, `rtcp-mux` (TV-03).
///
/// As text, words in any order: `UDP/TLS/RTP/SAVP AES_CM_128_HMAC_SHA1_32 no-rtcp-mux mki webrtc`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Default)]
pub struct SdpShape {
    pub profile: SdpProfile,
    pub suites: SdpSuites,
    pub rtcp: SdpRtcp,
    pub key_id: SdpKeyId,
    pub formats: SdpFormats,
}

/// The transport in the m-line. An answer has that of its offer, unless this side insists on DTLS's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Default)]
pub enum SdpProfile {
    #[default]
    RtpSavp,
    /// `UDP/TLS/RTP/SAVP` with `a=fingerprint` and `a=setup` beside the keys, in answers too.
    UdpTlsRtpSavp,
}

/// The suites of an offer; an answer has the one that it takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Default)]
pub enum SdpSuites {
    /// `AES_CM_128_HMAC_SHA1_80` with tag 1.
    #[default]
    Sha1Of80,
    /// `AES_CM_128_HMAC_SHA1_32` with tag 0 before it, under a key of its own (TV-04).
    Sha1Of32First,
}

/// Where RTCP is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Default)]
pub enum SdpRtcp {
    /// On the port of RTP where the other side has it there as well.
    #[default]
    Mux,
    /// On the port after that of RTP, without `a=rtcp-mux`.
    NextPort,
}

/// Whether keys have an identifier.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Default)]
pub enum SdpKeyId {
    #[default]
    Absent,
    /// `|2^31|1:1`, and a byte of it in each packet.
    OneByte,
}

/// The formats of an offer, and with ICE its candidates.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Default)]
pub enum SdpFormats {
    /// A media processor's: telephone-event on 101; the host candidate alone.
    #[default]
    Processor,
    /// A client's: telephone-event/8000 on 126; what it gathered from a NAT and a relay beside its host candidates (TV-04).
    WebRtc,
}

impl SdpShape {
    /// Bytes of key identifier in each packet of this side.
    pub(super) fn mki(self) -> u8 {
        match self.key_id {
            SdpKeyId::Absent => 0,
            SdpKeyId::OneByte => 1,
        }
    }
}

impl FromStr for SdpShape {
    type Err = String;

    fn from_str(text: &str) -> Result<SdpShape, String> {
        let mut shape = SdpShape::default();
        for word in text.split_ascii_whitespace() {
            match word {
                "RTP/SAVP" => shape.profile = SdpProfile::RtpSavp,
                "UDP/TLS/RTP/SAVP" => shape.profile = SdpProfile::UdpTlsRtpSavp,
                "AES_CM_128_HMAC_SHA1_32" => shape.suites = SdpSuites::Sha1Of32First,
                "no-rtcp-mux" => shape.rtcp = SdpRtcp::NextPort,
                "mki" => shape.key_id = SdpKeyId::OneByte,
                "webrtc" => shape.formats = SdpFormats::WebRtc,
                _ => return Err(format!("`{word}` is none of {WORDS}")),
            }
        }
        match text.trim().is_empty() {
            true => Err(format!("one or more of {WORDS} are expected")),
            false => Ok(shape),
        }
    }
}

const WORDS: &str = "RTP/SAVP, UDP/TLS/RTP/SAVP, AES_CM_128_HMAC_SHA1_32, no-rtcp-mux, mki, webrtc";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_say_a_shape_in_any_order() {
        let all = SdpShape {
            profile: SdpProfile::UdpTlsRtpSavp,
            suites: SdpSuites::Sha1Of32First,
            rtcp: SdpRtcp::NextPort,
            key_id: SdpKeyId::OneByte,
            formats: SdpFormats::WebRtc,
        };
        let read = |text: &str| text.parse::<SdpShape>();
        let words: Vec<&str> = WORDS.split(", ").skip(1).collect();
        assert_eq!(read(&words.join(" ")), Ok(all));
        let backwards: Vec<&str> = words.iter().rev().copied().collect();
        assert_eq!(read(&backwards.join("  ")), Ok(all));
        assert_eq!(read("RTP/SAVP"), Ok(SdpShape::default()));
        for wrong in ["", " ", "UDP/TLS/RTP/SAVPF", "mki no-mux"] {
            assert!(read(wrong).is_err_and(|why| why.contains(WORDS)), "{wrong}");
        }
    }
}
