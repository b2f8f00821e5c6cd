//! The media legs of a call: opened, told, heard.

use super::CallTask;
use crate::call::event::{Event, MediaNotice};
use crate::call::id::LegIndex;
use crate::call::offering::RecodingPlace;
use crate::config::{Limits, MediaAddressId};
use crate::guard::RECODING;
use crate::ice::Secret;
use crate::media::{LegId, MediaError, MediaEvent, OpenSpec, Play, Rounds, RtcpPort, Sound};
use crate::observe::{Happening, Queue};
use crate::sdp::LocalMedia;
use crate::srtp::{MasterKey, Suite};
use std::sync::{Arc, OnceLock};

/// What the ringing tone is called at a media worker: no sound of an application has this number.
const RING_BACK: u64 = u64::MAX;

impl CallTask {
    pub(super) fn leg_of(&self, handle: LegId) -> Option<LegIndex> {
        let known = self.handles.iter().find(|(known, _)| *known == handle);
        known.map(|(_, leg)| *leg)
    }

    pub(super) fn media_event(&mut self, event: MediaEvent) -> Option<Event> {
        match event {
            MediaEvent::Silence { leg, lasting, reports } => {
                let silence = MediaNotice::Silent { lasting, reports };
                Some(Event::Media(self.leg_of(leg)?, silence))
            }
            MediaEvent::Closed { leg, stats } => Some(Event::Media(self.leg_of(leg)?, MediaNotice::Closed(stats))),
            MediaEvent::Flowing { leg } => Some(Event::Media(self.leg_of(leg)?, MediaNotice::Flows)),
            MediaEvent::Resumed { leg } => Some(Event::Media(self.leg_of(leg)?, MediaNotice::FlowsAgain)),
            event @ (MediaEvent::Dtmf { .. } | MediaEvent::Played { .. } | MediaEvent::DigitsSent { .. }) => {
                self.played(&event)
            }
        }
    }

    pub(super) fn media_command(&self, result: Result<(), MediaError>) {
        if result.is_err() {
            self.node.observer.happened(&Happening::Overflow {
                queue: Queue::MediaCommands,
            });
        }
    }

    /// Lets a leg hear that somebody rings, or no longer.
    pub(super) fn ring_back(&self, handle: LegId, on: bool) {
        self.media_command(match on {
            true => {
                static TONE: OnceLock<Arc<Sound>> = OnceLock::new();
                let sound = TONE.get_or_init(|| Arc::new(Sound::ring_back())).clone();
                let rounds = Rounds::Forever;
                self.node.media.play(
                    handle,
                    Play {
                        rounds,
                        ..Play::once(sound, RING_BACK)
                    },
                )
            }
            false => self.node.media.stop_playing(handle, Some(RING_BACK)),
        });
    }

    pub(super) fn open_media(&mut self, leg: LegIndex, address: MediaAddressId, mux: bool, may_recode: bool) {
        let spec = OpenSpec {
            address: usize::from(address.0),
            rtcp: if mux { RtcpPort::Mux } else { RtcpPort::Pair },
            urgent: self.call.is_emergency(leg),
            near: self.handles.first().map(|(handle, _)| *handle),
            events: self.media_events.clone(),
            label: self.label.clone(),
        };
        let result = match self.node.media.open(spec) {
            Ok(opened) => {
                self.handles.push((opened.id, leg));
                let key = MasterKey::generate(Suite::AesCm128HmacSha1_80, &mut rand::rng());
                let rtcp_port = (opened.rtcp_port != opened.rtp_port).then_some(opened.rtcp_port);
                let local = LocalMedia::new(opened.address, opened.rtp_port, rtcp_port, rand::random(), key);
                Ok((opened.id, local.with_secret(Secret::generate(&mut rand::rng()))))
            }
            Err(error) => Err(error.to_string()),
        };
        let may_recode = may_recode && self.take_recoding_place(self.call.is_emergency(leg));
        self.pending.push_back(Event::MediaOpened {
            leg,
            result,
            may_recode,
        });
    }

    /// Whether the call has a place among those that are recoded at cost, now or already; with `anyway` it has.
    fn take_recoding_place(&mut self, anyway: bool) -> bool {
        if self.recoding_place.is_none() {
            let limits = Limits {
                calls: Some(self.node.config.load().sbc.media.recoded_calls),
                ..Limits::default()
            };
            let taken = self
                .node
                .places
                .take(&[(RECODING, limits)], anyway, self.node.clock.now());
            self.recoding_place = taken.ok();
        }
        self.recoding_place.is_some()
    }

    /// The place follows what the call needs: a codec that changes while the call is up is recoded whatever the limit.
    pub(super) fn keep_recoding_place(&mut self, place: RecodingPlace) {
        match place {
            RecodingPlace::Needed => {
                self.take_recoding_place(true);
            }
            RecodingPlace::Needless => self.recoding_place = None,
            RecodingPlace::Undecided => {}
        }
    }
}
