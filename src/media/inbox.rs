//! Commands to a worker: a queue that only commands lock, and an eventfd that tells the worker to look.

use super::epoll::Wake;
use super::leg::Leg;
use super::{LegConfig, LegId, MediaEvents, MediaStats, Play, SendDigits};
use crate::codec::speech::Gain;
use std::io;
use std::os::fd::RawFd;
use std::sync::{Mutex, MutexGuard, PoisonError};
use tokio::sync::oneshot;

/// Commands that may wait; a worker that is further behind takes no new ones but `Close` and `Stop`.
const LIMIT: usize = 16_384;

/// What a worker can be told. Commands about a leg that is gone have no effect.
pub(super) enum Command {
    Open(Box<Leg>),
    Configure(LegId, Box<LegConfig>),
    Bridge(LegId, LegId),
    Unbridge(LegId),
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

/// The worker is too far behind.
pub(super) struct Full;

/// A worker's command queue.
pub(super) struct Inbox {
    waiting: Mutex<Vec<Command>>,
    wake: Wake,
}

impl Inbox {
    pub fn new() -> io::Result<Inbox> {
        Ok(Inbox {
            waiting: Mutex::new(Vec::new()),
            wake: Wake::new()?,
        })
    }

    pub fn push(&self, command: Command) -> Result<(), Full> {
        let mut waiting = self.lock();
        if waiting.len() >= LIMIT && !matches!(command, Command::Close(_) | Command::Stop) {
            return Err(Full);
        }
        waiting.push(command);
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
        std::mem::swap(&mut *self.lock(), batch);
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Command>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
