//! What has to outlive the process: small values by key, in one file, without any other service.
//!
//! In: changes, whose writing nobody waits for. Out: after a start, everything that was kept. Owns its file and one
//! thread. A value means nothing here; whoever keeps it encodes it.
//!
//! Durability: changes gather for 50 ms and are then written and flushed to the disk (fsync) together. A crash of the
//! machine loses what gathered since, never what was flushed, and never leaves half of a batch. [`Store::close`] writes
//! what is waiting. A batch that can't be written (a full disk) waits with what comes after it, and is tried again after a
//! second, then at longer intervals of up to 30 s, upon the file opened anew.

mod file;
mod journal;
#[cfg(test)]
mod tests;
mod writer;

pub use file::{Entry, StoreError, StoreFile};
pub use journal::{Store, StoreStatus};

/// A table of the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Table {
    /// Where registered users are.
    Bindings,
    /// Which emergency callers ELINs stand for.
    Elins,
}
