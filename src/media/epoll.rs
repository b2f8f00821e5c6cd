//! The two kernel objects a worker waits on: a level-triggered epoll set and an eventfd.

use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::time::Duration;

/// Ready descriptors taken from the kernel in one wait.
const BATCH: usize = 256;

/// A level-triggered epoll set with its event buffer.
pub(super) struct Epoll {
    fd: OwnedFd,
    events: Box<[libc::epoll_event; BATCH]>,
}

impl Epoll {
    pub fn new() -> io::Result<Epoll> {
        // SAFETY: no pointers are passed; the result is checked before it is owned.
        let fd = check(unsafe { libc::epoll_create1(libc::EPOLL_CLOEXEC) })?;
        // SAFETY: the descriptor is fresh and nobody else owns it.
        let fd = unsafe { OwnedFd::from_raw_fd(fd) };
        Ok(Epoll {
            fd,
            events: Box::new([libc::epoll_event { events: 0, u64: 0 }; BATCH]),
        })
    }

    /// Reports `key` from now on whenever `target` is readable.
    pub fn add(&self, target: RawFd, key: u64) -> io::Result<()> {
        let mut event = libc::epoll_event {
            events: libc::EPOLLIN as u32,
            u64: key,
        };
        // SAFETY: `event` outlives the call; the kernel checks both descriptors.
        check(unsafe { libc::epoll_ctl(self.fd.as_raw_fd(), libc::EPOLL_CTL_ADD, target, &mut event) })?;
        Ok(())
    }

    /// Reports nothing of `target` any more.
    pub fn remove(&self, target: RawFd) -> io::Result<()> {
        // SAFETY: no pointer is read for this operation; the kernel checks both descriptors.
        check(unsafe { libc::epoll_ctl(self.fd.as_raw_fd(), libc::EPOLL_CTL_DEL, target, std::ptr::null_mut()) })?;
        Ok(())
    }

    /// Waits until something is readable or `timeout` (None: for ever) is over; the number of ready keys.
    pub fn wait(&mut self, timeout: Option<Duration>) -> io::Result<usize> {
        let millis = match timeout {
            None => -1,
            // rounded up: a wait that ends just before the deadline would spin
            Some(span) => i32::try_from(span.as_micros().div_ceil(1000)).unwrap_or(i32::MAX),
        };
        // SAFETY: the buffer holds BATCH events and lives as long as `self`.
        let ready = unsafe {
            libc::epoll_wait(
                self.fd.as_raw_fd(),
                self.events.as_mut_ptr(),
                BATCH as libc::c_int,
                millis,
            )
        };
        match check(ready) {
            Ok(count) => Ok(usize::try_from(count).unwrap_or(0)),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Ok(0),
            Err(error) => Err(error),
        }
    }

    /// The key of the `index`th ready descriptor of the last wait.
    pub fn key(&self, index: usize) -> Option<u64> {
        self.events.get(index).map(|event| event.u64)
    }
}

/// Wakes a worker from another thread.
pub(super) struct Wake(OwnedFd);

impl Wake {
    pub fn new() -> io::Result<Wake> {
        // SAFETY: no pointers are passed; the result is checked before it is owned.
        let fd = check(unsafe { libc::eventfd(0, libc::EFD_CLOEXEC | libc::EFD_NONBLOCK) })?;
        // SAFETY: the descriptor is fresh and nobody else owns it.
        Ok(Wake(unsafe { OwnedFd::from_raw_fd(fd) }))
    }

    pub fn raw(&self) -> RawFd {
        self.0.as_raw_fd()
    }

    /// Makes the descriptor readable. A full counter (EAGAIN) is readable already.
    pub fn ring(&self) {
        let one = 1u64.to_ne_bytes();
        // SAFETY: eight readable bytes, as eventfd wants.
        unsafe { libc::write(self.raw(), one.as_ptr().cast(), one.len()) };
    }

    /// Makes the descriptor unreadable until the next ring.
    pub fn clear(&self) {
        let mut count = [0u8; 8];
        // SAFETY: eight writable bytes, as eventfd wants.
        unsafe { libc::read(self.raw(), count.as_mut_ptr().cast(), count.len()) };
    }
}

fn check(result: libc::c_int) -> io::Result<libc::c_int> {
    if result < 0 {
        Err(io::Error::last_os_error())
    } else {
        Ok(result)
    }
}
