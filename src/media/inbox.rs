//! Commands to a worker: a queue that only commands lock, and an eventfd that tells the worker to look.

use super::epoll::Wake;
use super::leg::Leg;
use super::{LegConfig, LegId, MediaEvents, MediaStats, Play, SendDigits};
use crate::codec::speech::Gain;
use crate::ice::Credentials;
use std::io;
use std::os::fd::RawFd;
use std::sync::{Mutex, MutexGuard, PoisonError};
use tokio::sync::oneshot;

/// Commands that may wait; a worker that is further behind takes no new ones but `Close` and `Stop`.
const LIMIT: usize = 16_384;

/// What a worker can be told. Commands about a leg that is gone have no effect.
pub(super) enum Command {
    Open(Box<Leg>),
    /// Give the leg to another worker, where it bears the second name.
    Move(LegId, LegId, oneshot::Sender<()>),
    /// It comes from another worker.
    Arrive(Box<Leg>, oneshot::Sender<()>),
    Configure(LegId, Box<LegConfig>),
    ExpectChecks(LegId, Box<Credentials>),
    Bridge(LegId, LegId),
    Unbridge(LegId),
    AwaitRtp(LegId),
    HandOver(LegId, MediaEvents),
    Stats(LegId, oneshot::Sender<MediaStats>),
    Play(LegId, Box<Play>),
    StopPlaying(LegId, Option<u64>),
    SendDigits(LegId, Box<SendDigits>),
    Boost(LegId, Option<Gain>),
    Mute(LegId, bool),
    ListenInBand(LegId, bool),
    Close(LegId),
    Stop,
}

/// The worker is too far behind, or has ended.
pub(super) struct Full;

/// A worker's command queue.
pub(super) struct Inbox {
    waiting: Mutex<Waiting>,
    wake: Wake,
}

#[derive(Default)]
struct Waiting {
    commands: Vec<Command>,
    /// The worker has ended and takes no more.
    closed: bool,
}

impl Inbox {
    pub fn new() -> io::Result<Inbox> {
        Ok(Inbox {
            waiting: Mutex::default(),
            wake: Wake::new()?,
        })
    }

    pub fn push(&self, command: Command) -> Result<(), Full> {
        let mut waiting = self.lock();
        let full = waiting.commands.len() >= LIMIT && !matches!(command, Command::Close(_) | Command::Stop);
        if full || waiting.closed {
            return Err(Full);
        }
        waiting.commands.push(command);
        drop(waiting);
        self.wake.ring();
        Ok(())
    }

    /// Readable while commands wait.
    pub fn raw(&self) -> RawFd {
        self.wake.raw()
    }

    /// Swaps the waiting commands into `batch`, which must be empty.
    pub fn take(&self, batch: &mut Vec<Command>) {
        self.wake.clear();
        std::mem::swap(&mut self.lock().commands, batch);
    }

    /// From now on nothing is taken; what waits comes out.
    pub fn close(&self) -> Vec<Command> {
        let mut waiting = self.lock();
        waiting.closed = true;
        std::mem::take(&mut waiting.commands)
    }

    /// The worker has ended.
    pub fn is_closed(&self) -> bool {
        self.lock().closed
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
