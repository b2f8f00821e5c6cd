//! Call detail records: one JSON line a call, in a file that is rotated by size and age.
//!
//! In: [`CallRecord`](crate::call::CallRecord)s, through a bounded queue that never makes a call wait; what does not
//! fit is dropped and counted. Out: lines as `docs/cdr.md` describes them, each written whole and at once, by a thread
//! that owns the file. A full disk costs records, counted and said once, and no call.

mod file;
mod line;
mod writer;

pub use file::{CdrError, try_open};
pub use line::{CdrLeg, CdrLine, CdrMedia, carrier, dropped};
pub use writer::{CdrCounts, CdrWriter};

#[cfg(test)]
mod tests;
