//! One stream of what happens: inner rooms return or report enums, and everything that people read (logs, metrics,
//! CDRs, ladders) is made from them here.
//!
//! In: [`Happening`]s, on the task where they happen. Out: log lines, counters, records, ladders. Nothing here makes a
//! call wait: what is written to a file or to standard error goes through a bounded queue, and what does not fit is
//! dropped and counted.

pub mod cdr;
mod effectiveness;
mod ending;
mod happening;
mod ladder;
pub mod logs;
pub mod metrics;
mod observation;
mod observers;
mod redaction;
mod reloads;
mod timestamp;

pub use effectiveness::{Effectiveness, Ratio};
pub use happening::{Happening, LadderLine, Observer, Queue, Way};
pub use ladder::{Arrow, Ladders};
pub use observation::{Observation, ObservationError};
pub use observers::Observers;
pub use redaction::{mask_number, mask_numbers_in, printable};
pub use reloads::{ReloadOutcome, ReloadReport, Reloads};
pub use timestamp::{rfc3339, unix_ms};
