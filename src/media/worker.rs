//! The worker thread: waits, moves packets between its legs, carries out commands, turns its wheel.

use super::epoll::Epoll;
use super::inbox::Command;
use super::leg::{Channel, Leg, MAX_PACKET};
use super::outbound::Transmitted;
use super::pacer::Pacer;
use super::plane::{Shared, WorkerHandle};
use super::wheel::Wheel;
use super::{LegId, MediaEvent, WorkerStats};
use crate::moment::Moment;
use crate::srtp::Suite;
use std::io;
use std::os::fd::AsRawFd;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use tokio::sync::oneshot;

/// The epoll key of the command eventfd; sockets have `slot << 1 | channel`.
const INBOX: u64 = u64::MAX;

/// One byte more than a packet may have shows that it was longer; behind it the room that encryption needs.
const BUFFER: usize = MAX_PACKET + 1 + Suite::MAX_OVERHEAD;

/// A worker. Built by the plane, then moved into its thread.
pub(super) struct Worker {
    index: u16,
    shared: Arc<Shared>,
    epoll: Epoll,
    legs: Vec<Option<Box<Leg>>>,
    wheel: Wheel,
    pacer: Pacer,
    buffer: Box<[u8; BUFFER]>,
    commands: Vec<Command>,
    totals: WorkerStats,
    /// The clock as read at the last wake-up.
    now: Moment,
    stopping: bool,
}

impl Worker {
    pub fn new(index: u16, shared: Arc<Shared>) -> io::Result<Worker> {
        let epoll = Epoll::new()?;
        if let Some(handle) = shared.worker(index) {
            epoll.add(handle.inbox.raw(), INBOX)?;
        }
        let wheel = Wheel::new(shared.settings.report_interval);
        let now = shared.now();
        Ok(Worker {
            index,
            shared,
            epoll,
            legs: Vec::new(),
            wheel,
            pacer: Pacer::default(),
            buffer: Box::new([0; BUFFER]),
            commands: Vec::new(),
            totals: WorkerStats::default(),
            now,
            stopping: false,
        })
    }

    /// Runs until told to stop; then every leg is closed, and nothing more is taken. A panic outside the work on one leg
    /// ends the worker in the same order.
    pub fn run(mut self) {
        let turned = catch_unwind(AssertUnwindSafe(|| {
            while !self.stopping {
                if let Err(error) = self.turn() {
                    tracing::error!(worker = self.index, %error, "media worker cannot wait, it ends");
                    break;
                }
            }
        }));
        if turned.is_err() {
            self.totals.panics += 1;
            tracing::error!(worker = self.index, "media worker has panicked, it ends");
        }
        self.close();
    }

    /// Takes nothing any more, closes every leg, those that wait to be opened too, and tells their owners.
    pub(super) fn close(&mut self) {
        let late = self.handle().map(|handle| handle.inbox.close()).unwrap_or_default();
        let now = self.now;
        for command in late {
            if let Command::Open(leg) | Command::Arrive(leg, _) = command {
                let slot = leg.id.slot;
                self.guarded(slot, |worker| worker.adopt(leg, now));
            }
        }
        for slot in 0..self.legs.len() as u32 {
            self.guarded(slot, |worker| worker.remove(slot));
        }
        self.publish();
    }

    /// One wake-up: waits, then deals with everything that is ready or due.
    pub(super) fn turn(&mut self) -> io::Result<()> {
        let timeouts = [self.wheel.timeout(self.now), self.pacer.timeout(self.now)];
        let ready = self.epoll.wait(timeouts.into_iter().flatten().min())?;
        self.now = self.shared.now();
        let now = self.now;
        self.totals.wakeups += 1;
        for index in 0..ready {
            match self.epoll.key(index) {
                Some(INBOX) => self.obey(now),
                Some(key) => self.guarded((key >> 1) as u32, |worker| worker.packet(key, now)),
                None => {}
            }
        }
        while let Some((due, leg)) = self.pacer.take_due(now) {
            self.guarded(leg.slot(), |worker| worker.speak(leg, due, now));
        }
        while let Some((hand, mut legs)) = self.wheel.take_due(now) {
            legs.retain(|leg| self.visit(*leg, now));
            self.wheel.put_back(hand, legs);
        }
        self.publish();
        Ok(())
    }

    fn publish(&mut self) {
        if let Some(handle) = self.handle() {
            handle.counters.publish(&self.totals);
        }
    }

    fn handle(&self) -> Option<&WorkerHandle> {
        self.shared.worker(self.index)
    }

    /// One packet from one socket: level-triggered, so that a flood on one leg takes one turn in each round.
    fn packet(&mut self, key: u64, now: Moment) {
        let channel = if key & 1 == 0 { Channel::Rtp } else { Channel::Rtcp };
        let Some(leg) = leg_at(&mut self.legs, (key >> 1) as u32) else {
            return;
        };
        let Some(socket) = leg.socket(channel) else { return };
        let (receivable, _) = self.buffer.split_at_mut(MAX_PACKET + 1);
        // an error is a spurious readiness (a bad checksum was found late); there is no packet to judge
        let Ok((len, from)) = socket.recv_from(receivable) else {
            return;
        };
        self.totals.packets_in += 1;
        if self.shared.is_own(from) && (!self.shared.settings.allow_hairpin || leg.is_from_itself(from)) {
            leg.dropped().hairpin += 1;
            return;
        }
        let Some(onward) = leg.receive(channel, self.buffer.as_mut_slice(), len, from, now, &mut self.totals) else {
            return;
        };
        let transmitted = match leg_at(&mut self.legs, onward.peer) {
            Some(peer) => peer.relay(self.buffer.as_mut_slice(), &onward, now, &mut self.totals),
            None => Transmitted::NotNow,
        };
        if matches!(transmitted, Transmitted::Yes | Transmitted::Failed) {
            return;
        }
        if let Some(leg) = leg_at(&mut self.legs, (key >> 1) as u32) {
            match transmitted {
                Transmitted::Replaced => leg.dropped().replaced += 1,
                _ => leg.dropped().unbridged += 1,
            }
        }
    }

    /// A leg's own packet is due.
    fn speak(&mut self, id: LegId, due: Moment, now: Moment) {
        let Some(leg) = leg_at(&mut self.legs, id.slot()).filter(|leg| leg.id == id) else {
            return;
        };
        if let Some(interval) = leg.speak(self.buffer.as_mut_slice(), now, &mut self.totals) {
            self.pacer.again(due, interval, id, now);
        }
    }

    /// Runs work on one leg; if it panics, that leg is closed and the others live.
    fn guarded(&mut self, slot: u32, work: impl FnOnce(&mut Worker)) {
        if catch_unwind(AssertUnwindSafe(|| work(self))).is_err() {
            self.totals.panics += 1;
            self.remove(slot);
        }
    }

    /// True while the leg stays on the wheel.
    fn visit(&mut self, id: LegId, now: Moment) -> bool {
        match self.find(id) {
            None => return false,
            Some(leg) if leg.is_orphan() => {
                tracing::warn!(leg = %id, label = %leg.label, "media leg closed: its owner is gone");
                self.totals.orphans += 1;
                self.remove(id.slot);
                return false;
            }
            Some(_) => {}
        }
        let (interval, silence) = (self.shared.settings.report_interval, self.shared.settings.silence_after);
        self.guarded(id.slot, |worker| {
            if let Some(leg) = leg_at(&mut worker.legs, id.slot) {
                leg.visit(worker.buffer.as_mut_slice(), interval, silence, now, &mut worker.totals);
            }
        });
        true
    }

    fn obey(&mut self, now: Moment) {
        let mut commands = std::mem::take(&mut self.commands);
        if let Some(handle) = self.handle() {
            handle.inbox.take(&mut commands);
        }
        let interval = self.shared.settings.report_interval;
        for command in commands.drain(..) {
            match command {
                Command::Open(leg) => self.adopt(leg, now),
                Command::Move(id, to, arrived) => self.send_away(id, to, arrived),
                Command::Arrive(leg, arrived) => {
                    self.adopt(leg, now);
                    // Whoever moved it may not wait any more.
                    let _gone = arrived.send(());
                }
                Command::Configure(id, config) => self.guarded(id.slot, |worker| {
                    if let Some(leg) = worker.find(id)
                        && let Err(error) = leg.configure(*config, interval, now)
                    {
                        tracing::error!(leg = %id, label = %leg.label, %error, "media leg closed: no SRTP context");
                        worker.remove(id.slot);
                    }
                    if let Some(leg) = leg_at(&mut worker.legs, id.slot).filter(|leg| leg.id == id) {
                        leg.speak_anew(&mut worker.totals);
                    }
                }),
                Command::ExpectChecks(id, ours) => {
                    if let Some(leg) = self.find(id) {
                        leg.expect_checks(&ours, now);
                    }
                }
                Command::Bridge(a, b) => self.bridge(a, b),
                Command::Unbridge(id) => self.unbridge(id),
                Command::AwaitRtp(id) => {
                    if let Some(leg) = self.find(id) {
                        leg.await_rtp(now);
                    }
                }
                Command::HandOver(id, events) => {
                    if let Some(leg) = self.find(id) {
                        leg.events = events;
                    }
                }
                Command::Play(id, play) => self.begin(id, now, |leg, totals| leg.play(*play, totals)),
                Command::StopPlaying(id, cookie) => self.begin(id, now, |leg, totals| {
                    leg.stop(cookie, totals);
                    false
                }),
                Command::SendDigits(id, send) => self.begin(id, now, |leg, totals| leg.send_digits(&send, totals)),
                Command::Boost(id, gain) => {
                    if let Some(leg) = self.find(id) {
                        leg.boost(gain);
                    }
                }
                Command::Mute(id, muted) => {
                    if let Some(leg) = self.find(id) {
                        leg.muted = muted;
                    }
                }
                Command::ListenInBand(id, on) => {
                    if let Some(leg) = self.find(id) {
                        leg.ear = on.then(|| leg.ear.take().unwrap_or_default());
                    }
                }
                Command::Stats(id, answer) => {
                    // dropping the answer says that there is no such leg; a caller that went away needs none
                    if let Some(leg) = self.find(id)
                        && answer.send(leg.stats()).is_err()
                    {
                        tracing::debug!(leg = %id, "nobody waits for these media figures any more");
                    }
                }
                Command::Close(id) => {
                    if self.find(id).is_some() {
                        self.remove(id.slot);
                    }
                }
                Command::Stop => self.stopping = true,
            }
        }
        self.commands = commands;
    }

    /// Something that may make a leg speak; true from `work` puts it into the pacer.
    fn begin(&mut self, id: LegId, now: Moment, work: impl FnOnce(&mut Leg, &mut WorkerStats) -> bool) {
        self.guarded(id.slot(), |worker| {
            if let Some(leg) = leg_at(&mut worker.legs, id.slot()).filter(|leg| leg.id == id)
                && work(leg, &mut worker.totals)
            {
                worker.pacer.begin(id, now);
            }
        });
    }

    fn adopt(&mut self, leg: Box<Leg>, now: Moment) {
        let id = leg.id;
        let key = u64::from(id.slot) << 1;
        let rtp = self.epoll.add(leg.sockets.rtp.as_raw_fd(), key);
        let rtcp = leg
            .sockets
            .rtcp
            .as_ref()
            .map_or(Ok(()), |rtcp| self.epoll.add(rtcp.as_raw_fd(), key | 1));
        let slot = id.slot as usize;
        if self.legs.len() <= slot {
            self.legs.resize_with(slot + 1, || None);
        }
        if let Some(place) = self.legs.get_mut(slot) {
            *place = Some(leg);
            self.totals.legs += 1;
            self.wheel.insert(id, now);
        }
        if let Err(error) = rtp.and(rtcp) {
            tracing::error!(leg = %id, %error, "media leg closed: it cannot be waited for");
            self.remove(id.slot);
        }
    }

    fn bridge(&mut self, a: LegId, b: LegId) {
        self.unbridge(a);
        self.unbridge(b);
        if self.find(a).is_none() || self.find(b).is_none() {
            return;
        }
        for (id, peer) in [(a, b), (b, a)] {
            if let Some(leg) = self.find(id) {
                leg.peer = Some(peer.slot);
                if leg.speaks_for.replace(peer).is_some_and(|before| before != peer) {
                    leg.outgoing.keep_on();
                    leg.repacker = None;
                }
            }
        }
    }

    fn unbridge(&mut self, id: LegId) {
        let peer = self.find(id).and_then(|leg| leg.peer.take());
        if let Some(peer) = peer.and_then(|slot| leg_at(&mut self.legs, slot)) {
            peer.peer = None;
        }
    }

    /// Gives a leg with its sockets to the worker of `to`; dropping `arrived` says that it never came there.
    fn send_away(&mut self, id: LegId, to: LegId, arrived: oneshot::Sender<()>) {
        self.unbridge(id);
        let place = self.legs.get_mut(id.slot as usize);
        let Some(mut leg) = place.and_then(|place| place.take_if(|leg| leg.id == id)) else {
            self.shared.free_slot(to);
            return;
        };
        leg.fall_silent(&mut self.totals);
        leg.leave_pacer();
        self.totals.legs -= 1;
        let fds = [
            Some(leg.sockets.rtp.as_raw_fd()),
            leg.sockets.rtcp.as_ref().map(AsRawFd::as_raw_fd),
        ];
        for fd in fds.into_iter().flatten() {
            if let Err(error) = self.epoll.remove(fd) {
                tracing::error!(leg = %id, %error, "a media leg that moves is still waited for");
            }
        }
        self.shared.free_slot(id);
        leg.id = to;
        let (address, claim) = (leg.address, leg.sockets.claim);
        let there = self.shared.worker(to.worker);
        let taken = there.is_some_and(|there| there.inbox.push(Command::Arrive(leg, arrived)).is_ok());
        if !taken {
            // It was closed with the command that nobody took.
            self.shared.retire(to, address, claim);
        }
    }

    /// Closes the sockets of a leg, gives its ports back and tells its owner.
    fn remove(&mut self, slot: u32) {
        let Some(mut leg) = self.legs.get_mut(slot as usize).and_then(Option::take) else {
            return;
        };
        leg.fall_silent(&mut self.totals);
        if let Some(peer) = leg.peer.and_then(|peer| leg_at(&mut self.legs, peer)) {
            peer.peer = None;
        }
        self.totals.legs -= 1;
        let stats = Box::new(leg.stats());
        let Leg {
            id,
            address,
            sockets,
            events,
            ..
        } = *leg;
        let claim = sockets.claim;
        drop(sockets);
        self.shared.retire(id, address, claim);
        // told last: whoever hears it finds the ports free
        if events.try_send(MediaEvent::Closed { leg: id, stats }).is_err() {
            self.totals.events_dropped += 1;
        }
    }

    fn find(&mut self, id: LegId) -> Option<&mut Leg> {
        leg_at(&mut self.legs, id.slot).filter(|leg| leg.id == id)
    }
}

fn leg_at(legs: &mut [Option<Box<Leg>>], slot: u32) -> Option<&mut Leg> {
    legs.get_mut(slot as usize)?.as_deref_mut()
}
