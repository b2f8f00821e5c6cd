//! Media worker threads: ports, latch, relay, RTCP. No tokio in the packet path.
//!
//! In: [`MediaPlane::open`] binds the sockets of a leg in the caller's thread; `configure`, `bridge` and `close` are
//! commands to the leg's worker. Out: [`MediaEvent`]s to the leg's owner, [`MediaStats`] when asked and at the end.
//! A worker owns its sockets and SRTP contexts and waits in one level-triggered epoll set; a packet costs one receive,
//! one transform in place and one send. Per packet nothing is allocated, locked or logged. What a peer sends can be
//! counted, never cause an answer to a stranger, an event per packet or a panic. The one answer that there is, to a
//! connectivity check, needs our password ([`MediaPlane::expect_checks`]).
//!
//! A leg sends one RTP stream, whoever speaks in it: the bridged leg, a sound ([`MediaPlane::play`]) or digits
//! ([`MediaPlane::send_digits`]). A leg that says something by itself is paced at its packet time, legs spread over
//! 20 ms; one that only relays has no tick at all.
//!
//! A leg is one value with its sockets and contexts, so that it can move to another worker by message. Taps and
//! recorders will tick from the worker's wheel; none exists yet.

mod checks;
mod converter;
mod dtmf;
mod ear;
mod epoll;
mod error;
mod event;
mod inbound;
mod inbox;
mod keys;
mod latch;
mod leg;
mod leg_config;
mod life;
mod outbound;
mod outgoing;
mod pacer;
mod plane;
mod play;
mod ports;
mod protection;
mod repacker;
mod reports;
mod settings;
mod socket;
mod sound;
mod speaker;
mod stats;
#[cfg(test)]
mod tests;
mod wheel;
mod worker;

pub use converter::Converter;
pub use error::MediaError;
pub use event::{DigitSource, MediaEvent, MediaEvents};
pub use keys::SendDigits;
pub use leg_config::{
    IceConfig, Latch, LegConfig, LegId, Payload, PayloadKind, RemoteKey, RemoteRtcp, Security, Voice,
};
pub use plane::{MediaLeg, MediaPlane, OpenSpec};
pub use play::{CannotSend, Ending, Over, Play, Player, Rounds};
pub use ports::{FEWEST_WITH_RESERVE, PortUsage, RtcpPort};
pub use settings::{MediaAddress, MediaSettings};
pub use sound::Sound;
pub use stats::{Dropped, MediaStats, PeerReport, Received, Sent, WorkerStats};
