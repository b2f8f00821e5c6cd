//! Lines on their way to a slow writer.

use crate::observe::ending::finish;
use std::io::{self, Write};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::mpsc::{Receiver, SyncSender, channel, sync_channel};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;
use tracing_subscriber::fmt::MakeWriter;

/// Lines that may wait. Overflow: the newest is dropped and counted.
const WAITING: usize = 8_192;

/// The queue; cheap to clone. Each write to it is one whole line.
#[derive(Clone)]
pub struct LineQueue {
    lines: SyncSender<Item>,
    dropped: Arc<AtomicU64>,
    /// Told when the writer is done.
    done: Arc<Mutex<Receiver<()>>>,
}

enum Item {
    Line(Vec<u8>),
    End,
}

impl LineQueue {
    /// Starts the thread that writes to `out`.
    pub fn start(mut out: impl Write + Send + 'static) -> io::Result<LineQueue> {
        let (lines, waiting) = sync_channel::<Item>(WAITING);
        let (tell, done) = channel();
        thread::Builder::new().name("log".to_owned()).spawn(move || {
            while let Ok(Item::Line(line)) = waiting.recv() {
                // A closed terminal is no reason to stop serving calls, and there is nowhere to say so.
                let _ = out.write_all(&line);
            }
            let _ = out.flush();
            // Nobody may be waiting.
            let _ = tell.send(());
        })?;
        Ok(LineQueue {
            lines,
            dropped: Arc::default(),
            done: Arc::new(Mutex::new(done)),
        })
    }

    /// Lines dropped because the queue was full.
    pub fn dropped(&self) -> u64 {
        self.dropped.load(Relaxed)
    }

    /// Waits until everything queued so far is written, `grace` at most; false when it was not. Later lines are lost.
    pub fn finish(&self, grace: Duration) -> bool {
        finish(&self.lines, Item::End, &self.done, grace)
    }
}

/// One line being handed over.
pub struct LineWriter<'a>(&'a LineQueue);

impl Write for LineWriter<'_> {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        if self.0.lines.try_send(Item::Line(line.to_vec())).is_err() {
            self.0.dropped.fetch_add(1, Relaxed);
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for LineQueue {
    type Writer = LineWriter<'a>;

    fn make_writer(&'a self) -> LineWriter<'a> {
        LineWriter(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc;

    /// Takes nothing until it may.
    struct Stuck(mpsc::Receiver<()>, Arc<AtomicU64>);

    impl Write for Stuck {
        fn write(&mut self, line: &[u8]) -> io::Result<usize> {
            let _ = self.0.recv();
            self.1.fetch_add(1, Relaxed);
            Ok(line.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_stuck_reader_costs_lines_and_nobody_waits() {
        let (free, stuck) = mpsc::channel();
        let written = Arc::new(AtomicU64::new(0));
        let queue = LineQueue::start(Stuck(stuck, written.clone())).expect("a thread");
        let lines = WAITING as u64 + 100;
        for _ in 0..lines {
            queue.make_writer().write_all(b"line\n").expect("never fails");
        }
        // One line may be in the writer's hands.
        assert!((99..=100).contains(&queue.dropped()), "{}", queue.dropped());
        assert!(!queue.finish(Duration::from_millis(1)));
        drop(free);
        assert!(queue.finish(Duration::from_secs(10)));
        assert_eq!(written.load(Relaxed) + queue.dropped(), lines);
    }
}
