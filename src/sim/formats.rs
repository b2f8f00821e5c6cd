//! What a side offers, in its order: payload types and the lines that say what they are.

use super::description::Shape;
use super::sdp_shape::SdpFormats;

pub(super) const COMFORT_NOISE: u8 = 13;
/// What names events at the clock of speech.
pub(super) const EVENTS_8000: &str = "telephone-event/8000";

/// A payload type, and its lines.
pub(super) type Listed = (u8, &'static [&'static str]);

/// Everything that a side speaks.
pub(super) fn offered(shape: Shape, formats: SdpFormats) -> &'static [Listed] {
    match (shape, formats) {
        (Shape::Carrier, _) => CARRIER,
        (Shape::Teams | Shape::TeamsBypass, SdpFormats::Processor) => PROCESSOR,
        (Shape::Teams | Shape::TeamsBypass, SdpFormats::WebRtc) => WEBRTC,
    }
}

/// Teams' list on a non-bypass leg (TV-03).
const PROCESSOR: &[Listed] = &[
    (104, &["rtpmap:104 SILK/16000"]),
    (9, &["rtpmap:9 G722/8000"]),
    (103, &["rtpmap:103 SILK/8000"]),
    (111, &["rtpmap:111 SIREN/16000", "fmtp:111 bitrate=16000"]),
    (18, &["rtpmap:18 G729/8000", "fmtp:18 annexb=no"]),
    (0, &["rtpmap:0 PCMU/8000"]),
    (8, &["rtpmap:8 PCMA/8000"]),
    (97, &["rtpmap:97 RED/8000"]),
    (101, &["rtpmap:101 telephone-event/8000", "fmtp:101 0-16"]),
    (COMFORT_NOISE, &["rtpmap:13 CN/8000"]),
    (118, &["rtpmap:118 CN/16000"]),
];

/// A client's list on a bypass leg: Microsoft's own sample (TV-04).
const WEBRTC: &[Listed] = &[
    (111, &["rtpmap:111 opus/48000/2"]),
    (103, &["rtpmap:103 ISAC/16000"]),
    (104, &["rtpmap:104 ISAC/32000"]),
    (9, &["rtpmap:9 G722/8000"]),
    (0, &["rtpmap:0 PCMU/8000"]),
    (8, &["rtpmap:8 PCMA/8000"]),
    (106, &["rtpmap:106 CN/32000"]),
    (COMFORT_NOISE, &["rtpmap:13 CN/8000"]),
    (110, &["rtpmap:110 telephone-event/48000"]),
    (112, &["rtpmap:112 telephone-event/32000"]),
    (113, &["rtpmap:113 telephone-event/16000"]),
    (126, &["rtpmap:126 telephone-event/8000"]),
];

const CARRIER: &[Listed] = &[
    (8, &["rtpmap:8 PCMA/8000"]),
    (0, &["rtpmap:0 PCMU/8000"]),
    (101, &["rtpmap:101 telephone-event/8000", "fmtp:101 0-15"]),
];
