//! What a call with an application wants beside signalling: questions, sounds, keys, plans.

use super::CallTask;
use super::loading::{Found, Loader};
use crate::app::payload::{self, Kind, Properties, Voiced};
use crate::app::verb::Hook;
use crate::app::websocket::CloseCode;
use crate::call::cause::Cause;
use crate::call::event::{Command, Effect, Event, Outcome, PlayOutcome, Sound, Source};
use crate::call::id::LegIndex;
use crate::call::server::{Heard, Server};
use crate::call::{AppTerms, CallNews};
use crate::codec::speech::Gain;
use crate::media::{Ending, LegId, MediaEvent, Over, Play, Rounds, SendDigits};
use crate::observe::Queue;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;
use tokio::sync::oneshot;
use tokio::task::JoinSet;

/// Silence between keys that are sent.
const BETWEEN_KEYS: Duration = Duration::from_millis(100);

/// Counts the status events of a call, and of the callees that have become calls of their own: one application hears of
/// all of them.
#[derive(Debug, Clone, Default)]
pub(super) struct EventCount(Arc<AtomicU32>);

impl EventCount {
    /// The number of the event that is told now.
    fn next(&self) -> u32 {
        self.0.fetch_add(1, Ordering::Relaxed).wrapping_add(1)
    }
}

/// What a call with an application has that others have not.
pub(super) struct Applied {
    server: Server,
    events: EventCount,
    /// Sounds that are being fetched, decoded or spoken.
    loading: JoinSet<Loaded>,
    /// The sound that comes next is made ready while one plays.
    preparing: JoinSet<()>,
    /// The numbers of those in `loading`.
    loads: Vec<u32>,
    /// Sounds that were stopped before they were there.
    stopped: Vec<u32>,
    /// Who waits for what comes of a command, by the number that the command bears.
    waiting: Vec<(u32, oneshot::Sender<Outcome>)>,
    commands: u32,
}

pub(super) struct Loaded {
    handle: LegId,
    play: u32,
    sound: Sound,
    found: Found,
}

impl Applied {
    pub(super) fn new(server: Server, events: EventCount) -> Applied {
        Applied {
            server,
            events,
            loading: JoinSet::new(),
            preparing: JoinSet::new(),
            loads: Vec::new(),
            stopped: Vec::new(),
            waiting: Vec::new(),
            commands: 0,
        }
    }

    /// What counts its status events.
    pub(super) fn events(&self) -> EventCount {
        self.events.clone()
    }

    fn notify(&mut self, kind: Kind, hook: &Hook, mut properties: Properties) -> bool {
        if kind == Kind::CallStatus {
            payload::number_event(&mut properties, self.events.next());
        }
        self.server.tell(kind, hook, properties)
    }

    /// What comes next of the server and the sounds; waits for ever while there is nothing to come.
    pub(super) async fn next(applied: &mut Option<Box<Applied>>) -> Next {
        let Some(applied) = applied else {
            return std::future::pending().await;
        };
        let loaded = async {
            loop {
                match applied.loading.join_next().await {
                    Some(Ok(loaded)) => return loaded,
                    // Only the end of the call takes a load back, and then nobody listens here.
                    Some(Err(_)) => {}
                    None => std::future::pending().await,
                }
            }
        };
        tokio::select! {
            heard = applied.server.heard() => Next::Heard(heard),
            loaded = loaded => Next::Loaded(Box::new(loaded)),
        }
    }
}

/// What came.
pub(super) enum Next {
    Heard(Heard),
    Loaded(Box<Loaded>),
}

impl CallTask {
    /// The server of a call that an application has. Without one every question fails, and the call with the first.
    pub(super) fn serve(&mut self, terms: &AppTerms, call_sid: String, trace: String, events: EventCount) {
        let ways = self.node.ways.load_full();
        match Server::new((*ways).clone(), self.node.tally.clone(), terms, call_sid, trace) {
            Ok(server) => self.applied = Some(Box::new(Applied::new(server, events))),
            Err(detail) => self.tell(&CallNews::ApplicationError {
                what: "hook",
                detail,
                call_sid: None,
            }),
        }
    }

    /// Tells a connected application of its errors.
    pub(super) fn complain(&self, news: &CallNews) {
        let (CallNews::ApplicationError { what, detail, call_sid }, Some(applied)) = (news, &self.applied) else {
            return;
        };
        // Servers of sounds and of speech fail without it.
        if !matches!(*what, "say" | "play" | "dialMusic") {
            applied.server.blame();
        }
        let message = match *what {
            "say" => "TTS error",
            what => what,
        };
        applied.server.complain(Some(what), message, detail, *call_sid);
    }

    /// Carries out what only a call with an application wants.
    pub(super) fn apply(&mut self, effect: Effect) {
        match effect {
            Effect::Plan { dial } => {
                let result = self.plan(&dial).map(Box::new);
                self.pending.push_back(Event::Planned { result });
            }
            Effect::Ask {
                ask,
                kind,
                course,
                hook,
                properties,
                ..
            } => match &mut self.applied {
                Some(applied) => applied.server.ask(ask, kind, course, &hook, properties),
                None => self.pending.push_back(Event::Answered {
                    ask,
                    result: Err("this call has no server".into()),
                }),
            },
            Effect::TakeBack { ask } => {
                if let Some(applied) = &mut self.applied {
                    applied.server.take_back(ask);
                }
            }
            Effect::Moved { hook } => {
                if let Some(applied) = &mut self.applied {
                    applied.server.moved(&hook);
                }
            }
            Effect::Notify {
                kind, hook, properties, ..
            } => {
                let told = self
                    .applied
                    .as_mut()
                    .is_some_and(|applied| applied.notify(kind, &hook, properties));
                if !told {
                    self.overflow(Queue::ApplicationEvents);
                }
            }
            Effect::Play {
                handle, play, sound, ..
            } => self.load(handle, play, sound),
            Effect::Prepare { source } => self.prepare(source),
            Effect::StopPlaying { handle, play } => {
                if let Some(applied) = &mut self.applied
                    && applied.loads.contains(&play)
                {
                    applied.stopped.push(play);
                }
                self.media_command(self.node.media.stop_playing(handle, Some(u64::from(play))));
            }
            Effect::SendDigits {
                handle,
                cookie,
                digits,
                duration,
            } => {
                let send = SendDigits {
                    digits,
                    cookie: u64::from(cookie),
                    duration,
                    gap: BETWEEN_KEYS,
                };
                if self.node.media.send_digits(handle, send).is_err()
                    && let Some(leg) = self.leg_of(handle)
                {
                    self.pending.push_back(Event::DigitsSent { leg, cookie });
                }
            }
            Effect::Mute { handle, on } => self.media_command(self.node.media.mute(handle, on)),
            Effect::ListenInBand { handle, on } => self.media_command(self.node.media.listen_in_band(handle, on)),
            Effect::Boost { handle, decibels } => {
                let gain = decibels.map(|decibels| Gain::decibels(f32::from(decibels)));
                self.media_command(self.node.media.boost(handle, gain));
            }
            Effect::Done { reply, outcome } => {
                if let Some(applied) = &mut self.applied
                    && let Some(position) = applied.waiting.iter().position(|(number, _)| *number == reply)
                {
                    let (_, sender) = applied.waiting.swap_remove(position);
                    // Who asked may not wait any more.
                    let _gone = sender.send(outcome);
                }
            }
            Effect::LegsSwapped { with } => {
                let handles = self.handles.iter_mut().map(|(_, leg)| leg);
                let places = self.carrier_places.iter_mut().map(|(leg, ..)| leg);
                let answers = self.answering.iter_mut().map(|(_, leg, _)| leg);
                for leg in handles.chain(places).chain(answers) {
                    *leg = match *leg {
                        LegIndex::CALLER => with,
                        leg if leg == with => LegIndex::CALLER,
                        leg => leg,
                    };
                }
            }
            Effect::ApplicationOver => {
                if let Some(applied) = self.applied.take() {
                    let code = match &self.call.cause {
                        Some(Cause::ApplicationFailed { .. }) => CloseCode::InvalidApplication,
                        _ => CloseCode::CallOver,
                    };
                    applied.server.over(code);
                }
            }
            // What every call wants is carried out by the task itself.
            Effect::OpenMedia { .. }
            | Effect::ConfigureMedia { .. }
            | Effect::ExpectChecks { .. }
            | Effect::BridgeMedia { .. }
            | Effect::UnbridgeMedia { .. }
            | Effect::AwaitMedia { .. }
            | Effect::RingBack { .. }
            | Effect::Part(_)
            | Effect::PlanTransfer(_)
            | Effect::Join(_)
            | Effect::GiveLeg { .. }
            | Effect::CloseMedia { .. }
            | Effect::Send { .. }
            | Effect::RepeatBye { .. }
            | Effect::SendAck { .. }
            | Effect::CancelRequest { .. }
            | Effect::Respond { .. }
            | Effect::Acknowledged { .. }
            | Effect::Peer { .. }
            | Effect::Tell(_)
            | Effect::AddressDown { .. }
            | Effect::Over(_) => {}
        }
    }

    /// A command whose outcome somebody waits for gets a number.
    pub(super) fn numbered(&mut self, event: Event) -> Event {
        let Event::Wanted { command, answer } = event else {
            return event;
        };
        let reply = self.applied.as_mut().map(|applied| {
            applied.waiting.retain(|(_, sender)| !sender.is_closed());
            applied.commands = applied.commands.wrapping_add(1);
            applied.waiting.push((applied.commands, answer));
            applied.commands
        });
        Event::Command(Box::new(Command { reply, ..*command }))
    }

    fn load(&mut self, handle: LegId, play: u32, sound: Sound) {
        let Some(loader) = self.loader() else { return };
        let Some(applied) = &mut self.applied else { return };
        applied.loads.push(play);
        applied.loading.spawn(async move {
            let found = loader.load(&sound.source).await;
            Loaded {
                handle,
                play,
                sound,
                found,
            }
        });
    }

    fn prepare(&mut self, source: Source) {
        let Some(loader) = self.loader() else { return };
        if let Some(applied) = &mut self.applied {
            while applied.preparing.try_join_next().is_some() {}
            applied.preparing.spawn(async move {
                // It is told of when it is played.
                let _kept = loader.load(&source).await;
            });
        }
    }

    fn loader(&self) -> Option<Loader> {
        Some(Loader {
            sounds: self.node.sounds.load_full(),
            base: self.applied.as_ref()?.server.hook().clone(),
            tenant: self.planner.as_ref()?.tenant.clone(),
        })
    }

    /// What came of the server or of a sound, as an event of the call.
    pub(super) fn came(&mut self, next: Next) -> Option<Event> {
        match next {
            Next::Heard(Heard::Event(event)) => Some(event),
            Next::Heard(Heard::Wrong(detail)) => {
                self.tell(&CallNews::ApplicationError {
                    what: "websocket",
                    detail,
                    call_sid: None,
                });
                None
            }
            Next::Heard(Heard::Place(order)) => {
                self.place_call(*order);
                None
            }
            Next::Loaded(loaded) => self.loaded(*loaded),
        }
    }

    fn loaded(&mut self, loaded: Loaded) -> Option<Event> {
        let play = loaded.play;
        // By then it may be another call's, or have another place in this one.
        let leg = self.leg_of(loaded.handle);
        let applied = self.applied.as_mut()?;
        applied.loads.retain(|loading| *loading != play);
        if let Some(position) = applied.stopped.iter().position(|stopped| *stopped == play) {
            applied.stopped.swap_remove(position);
            let played = Duration::ZERO;
            return Some(Event::Played {
                leg: leg?,
                play,
                outcome: PlayOutcome::Stopped { played },
            });
        }
        let leg = leg?;
        let failed = |why: String| {
            Some(Event::Played {
                leg,
                play,
                outcome: PlayOutcome::Failed { why },
            })
        };
        if let Some(detail) = loaded.found.missed {
            let news = CallNews::ApplicationError {
                what: "say",
                detail,
                call_sid: None,
            };
            self.tell(&news);
            self.complain(&news);
        }
        let sound = match loaded.found.result {
            Ok(sound) => sound,
            Err(why) => return failed(why),
        };
        let command = Play {
            sound,
            cookie: u64::from(play),
            offset: loaded.sound.seek,
            rounds: match loaded.sound.times.map(NonZeroU32::new) {
                None => Rounds::Forever,
                Some(times) => Rounds::Times(times.unwrap_or(NonZeroU32::MIN)),
            },
            gain: Gain::decibels(f32::from(loaded.sound.decibels)),
            over: match loaded.sound.mixed {
                true => Over::Mix,
                false => Over::Replace,
            },
        };
        if let Err(error) = self.node.media.play(loaded.handle, command) {
            return failed(error.to_string());
        }
        let began = Event::PlayBegan { leg, play };
        let Some((voiced, took)) = loaded.found.voiced else {
            return Some(began);
        };
        self.pending.push_back(began);
        let took = took.take();
        let voiced = Voiced { took, ..voiced };
        Some(Event::Voiced { leg, play, voiced })
    }

    /// What a media worker tells of sounds and keys.
    pub(super) fn played(&self, event: &MediaEvent) -> Option<Event> {
        match event {
            MediaEvent::Dtmf { leg, digit, .. } => Some(Event::Digit {
                leg: self.leg_of(*leg)?,
                digit: *digit,
            }),
            MediaEvent::DigitsSent { leg, cookie, .. } => Some(Event::DigitsSent {
                leg: self.leg_of(*leg)?,
                cookie: u32::try_from(*cookie).ok()?,
            }),
            MediaEvent::Played {
                leg,
                cookie,
                ending,
                played,
            } => Some(Event::Played {
                leg: self.leg_of(*leg)?,
                play: u32::try_from(*cookie).ok()?,
                outcome: match ending {
                    Ending::Completed => PlayOutcome::Completed { played: *played },
                    Ending::Stopped => PlayOutcome::Stopped { played: *played },
                    Ending::Failed(why) => PlayOutcome::Failed { why: why.to_string() },
                },
            }),
            _ => None,
        }
    }
}
