//! What a context remembers for each SSRC, in fixed tables.

use super::SrtpError;
use super::replay::{ReplayWindow, estimate_index};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// SSRCs remembered at once for each of RTP and RTCP. A peer changes its SSRC at transfers and codec changes, so that
/// two or three are live at a time.
pub(super) const STREAMS: usize = 16;

/// State by SSRC; when full, the one that was idle longest makes room.
#[derive(Debug)]
pub(super) struct Streams<T> {
    slots: [Option<Slot<T>>; STREAMS],
    /// Where the last stream was found: media comes in runs of one SSRC.
    recent: usize,
    uses: u64,
}

#[derive(Debug, Clone, Copy)]
struct Slot<T> {
    ssrc: u32,
    last_use: u64,
    state: T,
}

impl<T: Copy> Streams<T> {
    pub(super) fn new() -> Streams<T> {
        Streams {
            slots: [None; STREAMS],
            recent: 0,
            uses: 0,
        }
    }

    pub(super) fn get(&self, ssrc: u32) -> Option<T> {
        match self.slots.get(self.recent) {
            Some(Some(slot)) if slot.ssrc == ssrc => Some(slot.state),
            _ => self
                .slots
                .iter()
                .flatten()
                .find(|slot| slot.ssrc == ssrc)
                .map(|slot| slot.state),
        }
    }

    /// Keeps `state`, and returns the SSRC and state of the stream that had to make room.
    pub(super) fn put(&mut self, ssrc: u32, state: T) -> Option<(u32, T)> {
        self.uses += 1;
        let slot = Slot {
            ssrc,
            last_use: self.uses,
            state,
        };
        if let Some(Some(recent)) = self.slots.get_mut(self.recent)
            && recent.ssrc == ssrc
        {
            *recent = slot;
            return None;
        }
        // The slot of this SSRC, else a free one, else the one idle longest.
        let rank = |slot: &Option<Slot<T>>| match slot {
            Some(slot) if slot.ssrc == ssrc => (0, 0),
            None => (1, 0),
            Some(slot) => (2, slot.last_use),
        };
        let (position, place) = self.slots.iter_mut().enumerate().min_by_key(|(_, place)| rank(place))?;
        self.recent = position;
        place
            .replace(slot)
            .filter(|previous| previous.ssrc != ssrc)
            .map(|previous| (previous.ssrc, previous.state))
    }

    pub(super) fn is_full(&self) -> bool {
        self.slots.iter().all(Option::is_some)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.slots.iter().all(Option::is_none)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (u32, T)> {
        self.slots.iter().flatten().map(|slot| (slot.ssrc, slot.state))
    }
}

/// The state of one SSRC's RTP.
#[derive(Debug, Clone, Copy)]
pub(super) enum RtpStream {
    /// Only the rollover counter is known (late join).
    Seeded { roc: u32 },
    /// Packets have passed.
    Running(ReplayWindow),
}

/// Half of all sequence numbers.
const HALF: u64 = 1 << 15;

impl RtpStream {
    /// The index of a packet that may still pass.
    pub(super) fn fresh_index(stream: Option<RtpStream>, sequence: u16) -> Result<u64, SrtpError> {
        match stream {
            None => Ok(u64::from(sequence)),
            Some(RtpStream::Seeded { roc }) => Ok(u64::from(roc) << 16 | u64::from(sequence)),
            Some(RtpStream::Running(window)) => {
                let index = estimate_index(window.highest(), sequence).ok_or(SrtpError::KeyExhausted)?;
                window.check(index).map(|()| index)
            }
        }
    }

    /// Whether a packet with this index is more than half of all numbers ahead of the newest. Before the first rollover that
    /// can be told; a receiver that guesses by the letter of RFC 3711 looks for it behind index zero instead.
    pub(super) fn leaps(stream: Option<RtpStream>, index: u64) -> bool {
        matches!(stream, Some(RtpStream::Running(window)) if index > window.highest() + HALF)
    }

    pub(super) fn after(stream: Option<RtpStream>, index: u64) -> RtpStream {
        match stream {
            Some(RtpStream::Running(mut window)) => {
                window.accept(index);
                RtpStream::Running(window)
            }
            _ => RtpStream::Running(ReplayWindow::starting_at(index)),
        }
    }

    pub(super) fn rollover_counter(self) -> u32 {
        match self {
            RtpStream::Seeded { roc } => roc,
            // An index has 48 bits.
            RtpStream::Running(window) => (window.highest() >> 16) as u32,
        }
    }

    fn snapshot(self, ssrc: u32) -> StreamSnapshot {
        match self {
            RtpStream::Seeded { roc } => StreamSnapshot {
                ssrc,
                highest: u64::from(roc) << 16,
                seen: None,
            },
            RtpStream::Running(window) => StreamSnapshot::of_window(ssrc, &window),
        }
    }
}

/// The streams of one context as plain data, without any key.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Snapshot {
    /// RTP streams.
    pub rtp: Vec<StreamSnapshot>,
    /// RTCP streams.
    pub rtcp: Vec<StreamSnapshot>,
    /// A sender's RTP SSRCs whose place is forgotten: never to be used again.
    #[serde(default)]
    pub spent: BTreeSet<u32>,
}

/// One SSRC's place in its packet sequence.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StreamSnapshot {
    /// The stream's SSRC.
    pub ssrc: u32,
    /// RTP: rollover counter << 16 | sequence number of the newest packet. RTCP: the newest SRTCP index.
    pub highest: u64,
    /// Which of the 128 packets up to `highest` were seen, high and low half (bit `n` is `highest - n`).
    /// `None`: no packet yet, only the rollover counter is known.
    pub seen: Option<[u64; 2]>,
}

impl StreamSnapshot {
    pub(super) fn of_window(ssrc: u32, window: &ReplayWindow) -> StreamSnapshot {
        let seen = window.seen();
        StreamSnapshot {
            ssrc,
            highest: window.highest(),
            seen: Some([(seen >> 64) as u64, seen as u64]),
        }
    }

    pub(super) fn window(&self) -> Option<ReplayWindow> {
        self.seen
            .map(|[high, low]| ReplayWindow::restored(self.highest, u128::from(high) << 64 | u128::from(low)))
    }
}

impl Streams<RtpStream> {
    pub(super) fn snapshot(&self) -> Vec<StreamSnapshot> {
        self.iter().map(|(ssrc, stream)| stream.snapshot(ssrc)).collect()
    }

    pub(super) fn restore(snapshots: &[StreamSnapshot]) -> Streams<RtpStream> {
        let mut streams = Streams::new();
        for snapshot in snapshots {
            let seeded = RtpStream::Seeded {
                roc: (snapshot.highest >> 16) as u32,
            };
            streams.put(snapshot.ssrc, snapshot.window().map_or(seeded, RtpStream::Running));
        }
        streams
    }
}
