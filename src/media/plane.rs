//! The handle of the media plane: starts workers, opens legs, sends commands.

use super::inbox::{Command, Full, Inbox};
use super::leg::Leg;
use super::ports::{Claim, PortPool};
use super::socket;
use super::stats::WorkerCounters;
use super::worker::Worker;
use super::{
    LegConfig, LegId, MediaAddress, MediaError, MediaEvents, MediaSettings, MediaStats, Play, PortUsage, RtcpPort,
    Security, SendDigits, WorkerStats,
};
use crate::codec::speech::Gain;
use crate::ice::Credentials;
use crate::moment::Moment;
use serde::{Deserialize, Serialize};
use std::io;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Instant;
use tokio::sync::oneshot;

/// What a leg needs before its peer is known.
#[derive(Debug, Clone)]
pub struct OpenSpec {
    /// Index into [`MediaSettings::addresses`].
    pub address: usize,
    /// One port or two.
    pub rtcp: RtcpPort,
    /// Of an emergency call: it may have the last ports.
    pub urgent: bool,
    /// A leg that this one will be bridged with: both must share a worker.
    pub near: Option<LegId>,
    /// Who is told. When the receiver is gone, the leg is closed.
    pub events: MediaEvents,
    /// Names the leg in logs; never sent.
    pub label: Arc<str>,
}

/// An open leg: a value, not a guard. It lives until [`MediaPlane::close`] or until its owner's receiver is gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct MediaLeg {
    /// Its name in every call to the plane.
    pub id: LegId,
    /// The address to print in a description.
    pub address: IpAddr,
    /// RTP port.
    pub rtp_port: u16,
    /// RTCP port; the same as the RTP port when opened for rtcp-mux.
    pub rtcp_port: u16,
}

/// The media plane. Dropping the last handle stops the workers and closes every leg.
pub struct MediaPlane {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
}

/// What the plane's handle and its workers share.
pub(super) struct Shared {
    pub settings: MediaSettings,
    epoch: Instant,
    /// One for all addresses that are bound alike: their sockets would take each other's ports.
    pools: Vec<(IpAddr, Mutex<PortPool>)>,
    /// How many legs have each port of the range open, on whichever address.
    open: Vec<AtomicU32>,
    workers: Vec<WorkerHandle>,
}

/// A worker as other threads see it.
pub(super) struct WorkerHandle {
    pub inbox: Inbox,
    pub counters: WorkerCounters,
    slots: Mutex<Slots>,
    load: AtomicUsize,
}

/// The leg slots of one worker.
#[derive(Default)]
struct Slots {
    generations: Vec<u32>,
    free: Vec<u32>,
}

impl Shared {
    /// The media plane's monotonic clock.
    pub fn now(&self) -> Moment {
        Moment::from_micros(u64::try_from(self.epoch.elapsed().as_micros()).unwrap_or(u64::MAX))
    }

    pub fn worker(&self, index: u16) -> Option<&WorkerHandle> {
        self.workers.get(usize::from(index))
    }

    /// Gives back what a leg held, after its sockets were closed.
    pub fn retire(&self, leg: LegId, address: usize, claim: Claim) {
        for open in self.counted(claim) {
            open.fetch_sub(1, Relaxed);
        }
        if let Some(pool) = self.pool(address) {
            lock(pool).release(claim, self.now());
        }
        self.free_slot(leg);
    }

    /// The ports of the address of that index.
    fn pool(&self, address: usize) -> Option<&Mutex<PortPool>> {
        let bind = self.settings.addresses.get(address)?.bind;
        let pool = self.pools.iter().find(|(bound, _)| share_ports(*bound, bind));
        pool.map(|(_, pool)| pool)
    }

    /// Nobody bears this name any more.
    pub fn free_slot(&self, leg: LegId) {
        if let Some(worker) = self.worker(leg.worker) {
            worker.load.fetch_sub(1, Relaxed);
            lock(&worker.slots).free.push(leg.slot);
        }
    }

    fn counted(&self, claim: Claim) -> impl Iterator<Item = &AtomicU32> {
        let last = claim.rtp + u16::from(claim.rtcp == RtcpPort::Pair);
        (claim.rtp..=last).filter_map(|port| self.open_at(port))
    }

    fn open_at(&self, port: u16) -> Option<&AtomicU32> {
        let at = port.checked_sub(*self.settings.ports.start())?;
        self.open.get(usize::from(at))
    }

    /// True when a leg of ours has this socket open now. Another port of our address may be a peer's behind the same NAT.
    pub fn is_own(&self, from: SocketAddr) -> bool {
        let is_open = self.open_at(from.port()).is_some_and(|open| open.load(Relaxed) > 0);
        let of_address = |own: &MediaAddress| own.bind == from.ip() || own.advertise == from.ip();
        is_open && (self.settings.addresses.iter().any(of_address) || self.settings.own.contains(&from.ip()))
    }
}

/// Whether a socket on the one address keeps a port of the other from being bound.
fn share_ports(one: IpAddr, other: IpAddr) -> bool {
    let every = one.is_unspecified() || other.is_unspecified();
    one == other || every && one.is_ipv4() == other.is_ipv4()
}

impl WorkerHandle {
    fn claim_slot(&self, worker: u16) -> LegId {
        self.load.fetch_add(1, Relaxed);
        let mut slots = lock(&self.slots);
        let slot = slots.free.pop().unwrap_or_else(|| {
            slots.generations.push(0);
            u32::try_from(slots.generations.len() - 1).unwrap_or(u32::MAX)
        });
        let generation = match slots.generations.get_mut(slot as usize) {
            Some(generation) => {
                *generation = generation.wrapping_add(1);
                *generation
            }
            None => 0,
        };
        LegId {
            worker,
            slot,
            generation,
        }
    }
}

impl MediaPlane {
    /// Starts the worker threads.
    pub fn start(settings: MediaSettings) -> Result<Arc<MediaPlane>, MediaError> {
        for address in &settings.addresses {
            // A free port of an address that this machine has can always be bound.
            let address = SocketAddr::new(address.bind, 0);
            UdpSocket::bind(address).map_err(|error| MediaError::Socket { address, error })?;
        }
        let (mut plane, workers) = MediaPlane::prepare(settings).map_err(MediaError::Start)?;
        for (worker, index) in workers.into_iter().zip(0u16..) {
            let thread = thread::Builder::new()
                .name(format!("media-{index}"))
                .spawn(move || worker.run());
            plane.threads.push(thread.map_err(MediaError::Start)?);
        }
        Ok(Arc::new(plane))
    }

    /// The plane with workers that do not run yet.
    #[allow(
        clippy::disallowed_methods,
        reason = "workers are plain threads with a clock of their own"
    )]
    pub(super) fn prepare(settings: MediaSettings) -> io::Result<(MediaPlane, Vec<Worker>)> {
        let count = settings.worker_count();
        let pool = || {
            Mutex::new(PortPool::new(
                *settings.ports.start(),
                *settings.ports.end(),
                settings.port_rest,
            ))
        };
        let mut pools: Vec<(IpAddr, Mutex<PortPool>)> = Vec::new();
        for MediaAddress { bind, .. } in &settings.addresses {
            if !pools.iter().any(|(bound, _)| share_ports(*bound, *bind)) {
                pools.push((*bind, pool()));
            }
        }
        let workers = (0..count).map(|_| WorkerHandle::new()).collect::<io::Result<_>>()?;
        let open = settings.ports.clone().map(|_| AtomicU32::new(0)).collect();
        let shared = Arc::new(Shared {
            open,
            settings,
            epoch: Instant::now(),
            pools,
            workers,
        });
        let workers = (0..count)
            .map(|index| Worker::new(index, Arc::clone(&shared)))
            .collect::<io::Result<_>>()?;
        Ok((
            MediaPlane {
                shared,
                threads: Vec::new(),
            },
            workers,
        ))
    }

    /// Binds the sockets of a new leg in this thread and hands them to a worker. Until `configure` everything that
    /// arrives is dropped and counted, except for the checks that were announced by `expect_checks`.
    pub fn open(&self, spec: OpenSpec) -> Result<MediaLeg, MediaError> {
        let settings = &self.shared.settings;
        let (Some(own), Some(pool)) = (settings.addresses.get(spec.address), self.shared.pool(spec.address)) else {
            return Err(MediaError::NoSuchAddress(spec.address));
        };
        let index = match spec.near {
            Some(near) => near.worker,
            None => self.least_loaded()?,
        };
        let worker = self.shared.worker(index).ok_or(MediaError::NoSuchWorker(index))?;
        let sockets = socket::open(
            own.bind,
            pool,
            (spec.rtcp, spec.urgent),
            settings.dscp,
            self.shared.now(),
        )?;
        let claim = sockets.claim;
        for open in self.shared.counted(claim) {
            open.fetch_add(1, Relaxed);
        }
        let id = worker.claim_slot(index);
        let rtcp_port = claim.rtp + u16::from(spec.rtcp == RtcpPort::Pair);
        let leg = Box::new(Leg::new(id, spec.address, sockets, spec.events, spec.label));
        if let Err(Full) = worker.inbox.push(Command::Open(leg)) {
            self.shared.retire(id, spec.address, claim);
            return Err(worker.refusal(index));
        }
        Ok(MediaLeg {
            id,
            address: own.advertise,
            rtp_port: claim.rtp,
            rtcp_port,
        })
    }

    /// Applies the outcome of an offer and answer. During a call nothing is lost: the same keys keep their contexts
    /// and rollover counters, the same signalled address keeps what was learnt.
    pub fn configure(&self, leg: LegId, config: LegConfig) -> Result<(), MediaError> {
        for payload in &config.payloads {
            let numbers = [Some(payload.number), payload.relay_as];
            if let Some(number) = numbers.into_iter().flatten().find(|number| *number > 127) {
                return Err(MediaError::PayloadNumber(number));
            }
        }
        let own = [config.voice.map(|voice| voice.number), config.events];
        if let Some(number) = own.into_iter().flatten().find(|number| *number > 127) {
            return Err(MediaError::PayloadNumber(number));
        }
        if let Security::Sdes {
            local, remote, forks, ..
        } = &config.security
            && (local == remote || forks.iter().any(|fork| fork.key == *local))
        {
            return Err(MediaError::SameKeys);
        }
        self.command(leg, Command::Configure(leg, Box::new(config)))
    }

    /// Answers connectivity checks that prove these credentials, before the leg is configured, too: who got our offer
    /// checks before it answers. [`LegConfig::ice`] says whose checks lead somewhere.
    pub fn expect_checks(&self, leg: LegId, ours: Credentials) -> Result<(), MediaError> {
        self.command(leg, Command::ExpectChecks(leg, Box::new(ours)))
    }

    /// What each of the two legs receives is sent on by the other one. Bridges that either had are dissolved.
    pub fn bridge(&self, a: LegId, b: LegId) -> Result<(), MediaError> {
        if a.worker != b.worker || a == b {
            return Err(MediaError::NotBridgeable(a, b));
        }
        self.command(a, Command::Bridge(a, b))
    }

    /// Moves a leg to the worker of `near`, with all that it is: sockets, keys, counts, what was learnt. Its bridge is dissolved, and
    /// what it played is stopped. Once this is done it bears the name that comes out, and no other.
    pub async fn relocate(&self, leg: LegId, near: LegId) -> Result<LegId, MediaError> {
        if leg.worker == near.worker {
            return Ok(leg);
        }
        let worker = self
            .shared
            .worker(near.worker)
            .ok_or(MediaError::NoSuchWorker(near.worker))?;
        let id = worker.claim_slot(near.worker);
        let (there, arrived) = oneshot::channel();
        if let Err(error) = self.command(leg, Command::Move(leg, id, there)) {
            self.shared.free_slot(id);
            return Err(error);
        }
        arrived.await.map(|()| id).map_err(|_| MediaError::NoSuchLeg(leg))
    }

    /// Dissolves the bridge of a leg; both legs stay open and go on with RTCP.
    pub fn unbridge(&self, leg: LegId) -> Result<(), MediaError> {
        self.command(leg, Command::Unbridge(leg))
    }

    /// Counts the leg's silence from now on: what was not heard of a peer before its answer says nothing of it.
    pub fn await_rtp(&self, leg: LegId) -> Result<(), MediaError> {
        self.command(leg, Command::AwaitRtp(leg))
    }

    /// Plays a sound to the leg's own peer, whether or not the leg is bridged; a sound that it plays already is stopped.
    /// Every accepted call ends with one [`MediaEvent::Played`](super::MediaEvent::Played).
    pub fn play(&self, leg: LegId, play: Play) -> Result<(), MediaError> {
        self.command(leg, Command::Play(leg, Box::new(play)))
    }

    /// Stops what is played on the leg; with a cookie, only that.
    pub fn stop_playing(&self, leg: LegId, cookie: Option<u64>) -> Result<(), MediaError> {
        self.command(leg, Command::StopPlaying(leg, cookie))
    }

    /// Sends digits to the leg's own peer: events where negotiated, else tones. Meanwhile a sound waits and the bridged
    /// leg is not heard. Digits that are still being sent are stopped. Every accepted call ends with one
    /// [`MediaEvent::DigitsSent`](super::MediaEvent::DigitsSent).
    pub fn send_digits(&self, leg: LegId, send: SendDigits) -> Result<(), MediaError> {
        if let Some(fault) = send.fault() {
            return Err(MediaError::Digit(fault));
        }
        self.command(leg, Command::SendDigits(leg, Box::new(send)))
    }

    /// Makes what the bridged leg says louder or softer for this leg's peer, where its codec can be decoded here; None
    /// for as it is.
    pub fn boost(&self, leg: LegId, gain: Option<Gain>) -> Result<(), MediaError> {
        self.command(leg, Command::Boost(leg, gain))
    }

    /// What the leg's peer says is not passed on while `muted`, silence is in its place where the codec is one of ours; its
    /// digits are still told.
    pub fn mute(&self, leg: LegId, muted: bool) -> Result<(), MediaError> {
        self.command(leg, Command::Mute(leg, muted))
    }

    /// Looks for digits as tones in what the leg's peer says, too. Where the peer sends events, only they count.
    pub fn listen_in_band(&self, leg: LegId, on: bool) -> Result<(), MediaError> {
        self.command(leg, Command::ListenInBand(leg, on))
    }

    /// Tells a leg's events to another owner from now on (transfer, Replaces).
    pub fn hand_over(&self, leg: LegId, events: MediaEvents) -> Result<(), MediaError> {
        self.command(leg, Command::HandOver(leg, events))
    }

    /// The leg's figures now, asked of its worker.
    pub async fn stats(&self, leg: LegId) -> Result<MediaStats, MediaError> {
        let (answer, answered) = oneshot::channel();
        self.command(leg, Command::Stats(leg, answer))?;
        answered.await.map_err(|_| MediaError::NoSuchLeg(leg))
    }

    /// Closes a leg. Its owner is told `Closed` with the final figures; its ports rest.
    pub fn close(&self, leg: LegId) -> Result<(), MediaError> {
        self.command(leg, Command::Close(leg))
    }

    /// The addresses that legs are bound to: each has ports of its own.
    pub fn addresses(&self) -> impl Iterator<Item = IpAddr> + '_ {
        self.shared.pools.iter().map(|(bind, _)| *bind)
    }

    /// How full the range of each of these is.
    pub fn port_usage(&self) -> Vec<PortUsage> {
        self.shared.pools.iter().map(|(_, pool)| lock(pool).usage()).collect()
    }

    /// The totals of each worker, without disturbing it.
    pub fn worker_stats(&self) -> Vec<WorkerStats> {
        self.shared
            .workers
            .iter()
            .map(|worker| worker.counters.read())
            .collect()
    }

    fn command(&self, leg: LegId, command: Command) -> Result<(), MediaError> {
        let worker = self.shared.worker(leg.worker).ok_or(MediaError::NoSuchLeg(leg))?;
        worker.inbox.push(command).map_err(|Full| worker.refusal(leg.worker))
    }

    /// Workers that have ended although nobody stopped them; their legs were closed.
    pub fn ended_workers(&self) -> usize {
        let workers = self.shared.workers.iter();
        workers.filter(|worker| worker.inbox.is_closed()).count()
    }

    fn least_loaded(&self) -> Result<u16, MediaError> {
        let workers = self.shared.workers.iter().zip(0u16..);
        let alive = workers.filter(|(worker, _)| !worker.inbox.is_closed());
        let loads = alive.map(|(worker, index)| (worker.load.load(Relaxed), index));
        loads.min().map(|(_, index)| index).ok_or(MediaError::NoWorkers)
    }
}

impl Drop for MediaPlane {
    fn drop(&mut self) {
        for worker in &self.shared.workers {
            if worker.inbox.push(Command::Stop).is_err() && !worker.inbox.is_closed() {
                tracing::error!("a media worker could not be told to stop");
            }
        }
        for thread in self.threads.drain(..) {
            if thread.join().is_err() {
                tracing::error!("a media worker had panicked");
            }
        }
    }
}

impl WorkerHandle {
    fn new() -> io::Result<WorkerHandle> {
        Ok(WorkerHandle {
            inbox: Inbox::new()?,
            counters: WorkerCounters::default(),
            slots: Mutex::default(),
            load: AtomicUsize::new(0),
        })
    }

    /// Why the worker takes no command.
    fn refusal(&self, index: u16) -> MediaError {
        match self.inbox.is_closed() {
            true => MediaError::WorkerEnded(index),
            false => MediaError::Behind(index),
        }
    }
}

pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
