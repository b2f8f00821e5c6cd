//! What a leg tells its owner.

use super::{Ending, LegId, MediaStats};
use std::time::Duration;
use tokio::sync::mpsc;

/// Where a leg's owner listens. Bounded: what a full queue refuses is counted and gone, the worker never waits.
pub type MediaEvents = mpsc::Sender<MediaEvent>;

/// How a digit came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DigitSource {
    /// As an event (RFC 4733).
    Event,
    /// As tones in the audio; only on legs that were told to listen ([`MediaPlane::listen_in_band`](super::MediaPlane)).
    InBand,
}

/// Something happened on a leg. Rare by construction: nothing here is told once per packet.
#[derive(Debug, Clone, PartialEq)]
pub enum MediaEvent {
    /// The first believed RTP packet since the leg was opened.
    Flowing {
        /// The leg.
        leg: LegId,
    },
    /// No believed RTP packet for a multiple of the silence limit, although the direction lets the peer send. Told
    /// again after each further limit; once only while the peer's reports keep coming.
    Silence {
        /// The leg.
        leg: LegId,
        /// Since the last RTP packet, or since the direction allowed one.
        lasting: Duration,
        /// RTCP came within the limit: the peer is there, and sends nothing (discontinuous transmission) or is blocked.
        reports: bool,
    },
    /// RTP after `Silence`.
    Resumed {
        /// The leg.
        leg: LegId,
    },
    /// A digit was pressed and released. It was relayed as well.
    Dtmf {
        /// The leg.
        leg: LegId,
        /// `0`-`9`, `*`, `#`, `A`-`D`.
        digit: char,
        /// How long it was held.
        duration: Duration,
        /// How it came.
        source: DigitSource,
    },
    /// A sound ended; told exactly once for each [`Play`](super::Play) that a leg was given.
    Played {
        /// The leg.
        leg: LegId,
        /// Of the [`Play`](super::Play).
        cookie: u64,
        /// How it ended.
        ending: Ending,
        /// How much of it was sent, all rounds together.
        played: Duration,
    },
    /// Digits were sent; told exactly once for each [`SendDigits`](super::SendDigits) that a leg was given.
    DigitsSent {
        /// The leg.
        leg: LegId,
        /// Of the [`SendDigits`](super::SendDigits).
        cookie: u64,
        /// How it ended.
        ending: Ending,
    },
    /// The leg is gone: closed by its owner, or by the worker because handling it failed.
    Closed {
        /// The leg.
        leg: LegId,
        /// Its final figures.
        stats: Box<MediaStats>,
    },
}
