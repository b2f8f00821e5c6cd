//! Session descriptions and the offer/answer model of a leg (RFC 8866, 3264, 4568, 3605, 5761, 8839). Pure.
//!
//! In: the bytes of a body, what a leg's configuration allows ([`LegProfile`]) and a leg's own address, port and key
//! ([`LocalMedia`]). Out: what to print on the other leg, what was negotiated ([`Negotiated`]), or a [`Refusal`] that
//! knows its SIP code and Warning. Reads no clock, opens no socket; the only value that changes is `LocalMedia`, whose
//! session version moves when, and only when, its description changes (RFC 3264 §8).
//!
//! A call between leg A (made the offer) and leg B:
//! ```text
//! Session::parse(A's body) -> carry_offer(A's offer, A's profile, B's profile) -> offer(B) -> on the wire
//! Session::parse(B's body) -> read_answer(B) -> answer(A, A's offer, B's formats and direction) -> on the wire
//! payload_map(A, B), payload_map(B, A) -> the relay
//! ```
//! An INVITE without an offer starts from [`formats_without_offer`]; its late answer comes in the ACK.

mod answer;
mod codec;
mod crypto;
mod direction;
mod ended;
mod error;
mod ice;
mod lines;
mod local;
mod multipart;
mod negotiated;
mod offer;
mod profile;
mod session;

pub use answer::{Answer, answer, answer_switched_off, is_another_endpoint, read_answer};
pub use codec::{Codec, Format};
pub use crypto::{Crypto, CryptoFault};
pub use direction::{Direction, HoldStyle};
pub use ended::{formats_alone, formats_ended_here, formats_of_our_own};
pub use error::{Refusal, SdpError};
pub use ice::{Ice, IceSettled, IceSide};
pub use local::LocalMedia;
pub use multipart::{part_of, sdp_part, sdp_somewhere};
pub use negotiated::{DROP, Negotiated, NegotiatedFormat, PayloadMap, SrtpKeys, payload_map};
pub use offer::{
    Carried, LeftOut, Offer, Recoding, WhyLeftOut, carry_offer, carry_settled, formats_without_offer, offer,
};
pub use profile::{AddressFamilies, AddressPolicy, Auxiliary, KeyLifetime, LegProfile, RtcpMux, Security};
pub use session::{Audio, MediaLine, Origin, Protocol, Session};

#[cfg(test)]
mod golden;
#[cfg(test)]
mod matrix;
#[cfg(test)]
mod properties;
